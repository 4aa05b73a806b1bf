"""How an operator reads a feed's use."""

from __future__ import annotations

import pytest

from relay.domain.feed import Use


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (Use("12"), "12"),
        (Use("12", {"region": "eu", "list": "secret-looking"}), "12, with settings of its own: list, region"),
        (Use("12", {}, "destination.5"), "12, with a login of its own"),
        (Use("12", {"list": "a"}, "destination.5"), "12, with settings of its own: list and a login of its own"),
    ],
)
def test_a_use_is_told_by_names_and_not_by_values(use: Use, words: str) -> None:
    assert use.in_words == words
