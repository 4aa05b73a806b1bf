"""What a partner writes is shown on one short line, without what it was sent about people."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.quoting import LONGEST, code_of, shown, with_words


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
        ("no O&#39;Brien here", {"name": "O'Brien"}, "no … here"),
        ("no O&amp;#39;Brien here", {"name": "O'Brien"}, "no … here"),
        (r"no O\'Brien here", {"name": "O'Brien"}, "no … here"),
        (r"no J\u00fcrgen here", {"name": "Jürgen"}, "no … here"),
        (r"no \ud83d\ude00 Jo here", {"name": "😀 Jo"}, "no … here"),
        ("no Ju\u0308rgen here", {"name": "J\u00fcrgen"}, "no … here"),
        ("no J\u00fcrgen here", {"name": "Ju\u0308rgen"}, "no … here"),
        ("no Jurgen here", {"name": "Jürgen"}, ""),
        ("mailbox smith.j of it is full", {"email": "smith.j@example.com"}, "mailbox ….j of it is full"),
        ("no Smith, John here", {"name": "John Smith"}, "no …, … here"),
        ("no CUST 4711A here", {"id": "cust-4711a"}, "no … … here"),
        ("no 12,345 here", {"id": 12345}, ""),
        ("no Mustermann-Lang... here", {"name": "Mustermann-Langenscheidt"}, ""),
        ("no Langens… here", {"name": "Mustermann-Langenscheidt"}, ""),
        ("wait ... and see…", {"name": "Mustermann"}, "wait ... and see..."),
        ("at /users/a+b", {"id": "a b"}, "at /users/…"),
        ("at %2Fusers%2Fann%40example.com", {"id": "ann@example.com"}, "at /users/…"),
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


@pytest.mark.parametrize(
    ("named", "sent", "code"),
    [
        ("RequestValidationError", {"id": "alice"}, "RequestValidationError"),
        ("bad_user", {}, "bad_user"),
        ("alice", {"id": "alice"}, ""),
        ("john.doe", {"email": "john.doe@example.com"}, ""),
        ("two words", {}, ""),
        ("deadbeefdeadbeefdeadbeefdeadbeef", {}, ""),
        (100, {}, ""),
        (None, {}, ""),
    ],
)
def test_a_code_of_the_partner_is_a_word_that_holds_nothing_of_what_was_sent(
    named: object, sent: dict[str, object], code: str
) -> None:
    assert code_of(named, [sent]) == code


def test_the_words_are_one_short_line() -> None:
    line = shown("first\r\nsecond\x00third\u2028" + "x " * 1_000_000)
    assert line.startswith("first second third x")
    assert LONGEST - 5 < len(line) <= LONGEST
    assert line.endswith("…")
    assert line.isprintable()


@pytest.mark.parametrize("words", ["a-" * 1_000_000, "a1-" * 1_000_000, "&amp;" * 500_000, "x..." * 500_000, "1(" * 500_000])
def test_however_much_a_partner_says_the_line_stays_short(words: str) -> None:
    assert len(shown(words, [{"id": f"user-{number}"} for number in range(1_000)])) <= LONGEST


WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in a page": html.escape,
    "in JSON": lambda value: json.dumps(value)[1:-1],
    "in an address": lambda value: quote(value, safe=""),
    "decomposed": lambda value: unicodedata.normalize("NFD", value),
    "in capitals": str.upper,
    "with signs between": " ".join,
    "cut off": lambda value: value[:-1] + "...",
}


@example(value="00%01'00", way="with signs between", before="")
@example(value="000ß<0000", way="in capitals", before="")
@given(
    value=st.text(st.sampled_from("abzäéßñO'\"&<>\\/%-_. 0123456789"), min_size=4, max_size=30),
    way=st.sampled_from(sorted(WRITTEN)),
    before=st.text(max_size=30),
)
def test_no_way_of_writing_shows_a_users_value(value: str, way: str, before: str) -> None:
    said = shown(f"{before} {WRITTEN[way](value)} there", [{"id": value}])
    if len(letters(value)) > 5:
        assert letters(value)[:5] not in letters(said.removesuffix(" there")) or letters(value)[:5] in letters(before)


def letters(text: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFKD", text.casefold()) if sign.isalnum())


@given(value=st.text(min_size=4, max_size=40), before=st.text(max_size=60), behind=st.text(max_size=60))
def test_whatever_was_sent_of_a_user_is_not_in_what_is_shown(value: str, before: str, behind: str) -> None:
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in value).split())
    said = shown(f"{before} {value} {behind}", [{"id": value}])
    if len(line) > 3:
        assert line.casefold() not in said.casefold()
