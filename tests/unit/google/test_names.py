"""Names that every Google service takes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.backends.google.names import safe_name

ANY_TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from("./_%~\x00 ä€😀"), max_size=400)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("pangolin/a5940e473cea659.356693871497425011", "pangolin%2Fa5940e473cea659.356693871497425011"),
        ("plain", "plain"),
        ("", "%"),
        (".", "%2E"),
        ("..", "%2E."),
        ("__reserved__", "%5F_reserved__"),
        ("50 %", "50%20%25"),
    ],
)
def test_a_name_is_readable_where_it_can_be(text: str, name: str) -> None:
    assert safe_name(text) == name


@given(ANY_TEXT)
def test_every_text_has_a_name_that_documents_and_ordering_keys_may_have(text: str) -> None:
    name = safe_name(text)
    assert re.fullmatch(r"[A-Za-z0-9._~%-]{1,600}", name)
    assert name not in (".", "..")
    assert not re.fullmatch("__.*__", name)


@given(ANY_TEXT, ANY_TEXT)
def test_different_texts_have_different_names(one: str, other: str) -> None:
    assert (safe_name(one) == safe_name(other)) == (one == other)


def test_long_texts_that_differ_at_their_end_have_different_names() -> None:
    assert safe_name("x" * 5_000 + "1") != safe_name("x" * 5_000 + "2")
    assert safe_name("x" * 5_000) != safe_name(safe_name("x" * 5_000))
