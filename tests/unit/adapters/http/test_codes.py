"""What counts as a partner's own code for what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.http.looking import code_of, tells


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("invalid_id", "invalid_id"),
        ("OAuthException.190", "OAuthException.190"),
        (10007, "10007"),
        ("REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --", "REQUIRED_FIELD_MISSING"),
        ("UNABLE_TO_LOCK_ROW:unable to obtain\nexclusive access", "UNABLE_TO_LOCK_ROW"),
        ("Ann: is not known", ""),
        ("ann@example.com", ""),
        ("This user is not accepted.", ""),
        (True, ""),
        (None, ""),
    ],
)
def test_a_code_is_a_word_a_short_number_or_the_word_in_capitals_before_a_text(value: Any, code: str) -> None:
    assert code_of(value) == code


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("john.doe", True),
        ("JOHN.DOE", True),
        ("user_4917910031234", True),
        ("d41d8cd98f00b204e9800998ecf8427e", True),
        ("1003", False),
        ("BAD_EMAIL", False),
        ("bad", False),
    ],
)
def test_a_code_that_is_a_part_of_what_was_sent_or_a_hash_tells_of_a_user(code: str, told: bool) -> None:
    assert tells(code, frozenset({"john.doe@example.com", "4917910031234"})) is told
