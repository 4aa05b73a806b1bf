"""What a partner writes is shown on one short line, without what it was sent about people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.quoting import LONGEST, shown, with_words


def test_the_words_follow_the_hint() -> None:
    assert with_words("Correct the e-mail.", "Malformed e-mail") == "Correct the e-mail. The partner says: “Malformed e-mail”"


@pytest.mark.parametrize("words", [None, "", " \n ", 42, ["x"], {"x": "y"}])
def test_where_there_are_no_words_the_hint_stands_alone(words: object) -> None:
    assert with_words("Correct the e-mail.", words) == "Correct the e-mail."


@pytest.mark.parametrize(
    ("words", "sent", "wanted"),
    [
        ("User alice-7 is unknown", {"id": "alice-7"}, "User … is unknown"),
        ("User ALICE-7 is unknown", {"id": "alice-7"}, "User … is unknown"),
        ("bad id: a b", {"id": "a b"}, "bad id: …"),
        ("unknown: STRASSE", {"id": "straße"}, ""),
        ("at /users/a%20b", {"id": "a b"}, "at /users/…"),
        ("no member 7", {"id": 7}, "no member …"),
        ("no name Ann in data", {"name": {"first": ["Ann"]}}, "no name … in data"),
        ("a is a bad value", {"id": "a"}, "… is … bad value"),
        ("cat is bad", {"id": "a"}, "cat is bad"),
        ("mail to bob@example.com failed", {}, "mail to … failed"),
        ("call +1 (650) 555-1212 now", {}, "call … now"),
        ("hash 0123456789abcdef0123456789abcdef", {}, "hash …"),
        ("device 123e4567-e89b-12d3-a456-426614174000 unknown", {}, "device … unknown"),
        ("token EAAB9xyz-0123456789abcDEF of app", {}, "token … of app"),
        ("the field custom_audience_description_text is long", {}, "the field custom_audience_description_text is long"),
        ("error 1234 at line 7", {}, "error 1234 at line 7"),
    ],
)
def test_identifiers_are_taken_out(words: str, sent: dict[str, object], wanted: str) -> None:
    assert shown(words, [sent]) == wanted


def test_the_words_are_one_short_line() -> None:
    line = shown("first\r\nsecond\x00third\u2028" + "x " * 1_000_000)
    assert line.startswith("first second third x")
    assert LONGEST - 5 < len(line) <= LONGEST
    assert line.endswith("…")
    assert line.isprintable()


@given(value=st.text(min_size=4, max_size=40), before=st.text(max_size=60), behind=st.text(max_size=60))
def test_whatever_was_sent_of_a_user_is_not_in_what_is_shown(value: str, before: str, behind: str) -> None:
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in value).split())
    said = shown(f"{before} {value} {behind}", [{"id": value}])
    if len(line) > 3:
        assert line.casefold() not in said.casefold()
