"""How partners want identifiers written."""

from __future__ import annotations

import hashlib
import math
import re
import string
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Field, Rejected
from adapters.normalisation import RULES, email_rule, normalised

ADA = "ada@example.org"
HASH = hashlib.sha256(ADA.encode()).hexdigest()


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ("email", " Ada@Example.ORG\n", ADA),
        ("email", "\ufeff\u200bada@example.org\u00a0", ADA),
        ("email", "ada+news@example.org", "ada+news@example.org"),
        ("email", "JÖRG@müller.de", "jörg@müller.de"),
        ("email", "ada @example.org", ""),
        ("email", "n/a", ""),
        ("email", "ada@", ""),
        ("email", "@example.org", ""),
        ("email_no_blanks", " A da@ Exam\tple.org ", ADA),
        ("email_no_blanks", "none", ""),
        ("phone_digits", "+1 (650) 555-1212", "16505551212"),
        ("phone_digits", "0049 170 1234567", "491701234567"),
        ("phone_digits", "+٤٩ 170", "49170"),
        ("phone_digits", "unknown", ""),
        ("phone_digits", "000", ""),
        ("e164", "+49 (0)170 / 123 45 67", "+491701234567"),
        ("e164", "0049 170 1234567", "+491701234567"),
        ("e164", "0170 1234567", ""),
        ("e164", "491701234567", ""),
        ("e164", "+49", ""),
        ("e164", "+49000000", ""),
        ("name", "  Ada ", "ada"),
        ("name", "O'Brien-Smith, Jr.", "obriensmith jr"),
        ("name", "Ada\t  King\u00a0Noel", "ada king noel"),
        ("name", "Łukasz ŽIŽEK", "łukasz žižek"),
        ("name", "李 明", "李 明"),
        ("name", " -.- ", ""),
        ("lower", " Ada B ", "ada b"),
        ("trim", "\u200b Ada B ", "Ada B"),
        ("country", " DE ", "de"),
        ("country", "Germany", ""),
        ("country", "ß", ""),
        ("advertising_id", " 6D92078A-8246-4BA4-AE5B-76104861E7DC", "6d92078a-8246-4ba4-ae5b-76104861e7dc"),
        ("advertising_id", "6D92078A82464BA4AE5B76104861E7DC", "6d92078a82464ba4ae5b76104861e7dc"),
        ("advertising_id", "00000000-0000-0000-0000-000000000000", ""),
        ("advertising_id", "unknown", ""),
    ],
)
def test_a_rule_makes_of_a_value_what_the_partner_compares(rule: str, text: str, expected: str) -> None:
    assert RULES[rule](text) == expected


ALPHABETS = {
    "email": r"[^\sA-Z]+@[^\sA-Z@]+",
    "email_no_blanks": r"[^\sA-Z]+@[^\sA-Z@]+",
    "phone_digits": r"[1-9][0-9]*",
    "e164": r"\+[1-9][0-9]{5,16}",
    "name": r"[^\sA-Z!-/:-@\[-`{-~]+( [^\sA-Z!-/:-@\[-`{-~]+)*",
    "lower": r"[^A-Z]+",
    "trim": r"\S(.*\S)?",
    "country": r"[a-z]{2}",
    "advertising_id": r"[0-9a-f-]{32,36}",
}

real_values = {
    "email": st.emails(),
    "email_no_blanks": st.emails(),
    "phone_digits": st.from_regex(r"\+[1-9][0-9 ()/-]{6,14}", fullmatch=True),
    "e164": st.from_regex(r"(\+|00)(49|1|39|44|81)[0-9 ()/-]{6,14}", fullmatch=True),
    "name": st.text(string.ascii_letters + "äöüéñжя '-.,", max_size=20),
    "lower": st.text(string.ascii_letters + "äöüжя _-", max_size=20),
    "trim": st.text(max_size=20),
    "country": st.text(string.ascii_letters, min_size=1, max_size=3),
    "advertising_id": st.uuids().map(str),
}
rule_names = st.sampled_from(sorted(RULES))


@st.composite
def values_of_rules(draw: st.DrawFn) -> tuple[str, str]:
    """A rule, and a value for it that is mostly of its kind and sometimes anything."""
    rule = draw(rule_names)
    return rule, draw(real_values[rule] | st.text())


def test_every_rule_has_its_alphabet_here() -> None:
    assert set(ALPHABETS) == set(real_values) == set(RULES)


@given(values_of_rules())
def test_a_rule_applied_twice_changes_nothing_more(case: tuple[str, str]) -> None:
    rule, text = case
    once = RULES[rule](text)
    assert RULES[rule](once) == once


@given(values_of_rules())
def test_nothing_but_the_partners_alphabet_comes_out(case: tuple[str, str]) -> None:
    rule, text = case
    made = RULES[rule](text)
    assert made == "" or re.fullmatch(ALPHABETS[rule], made, re.DOTALL)


@given(values_of_rules(), st.text(" \t\r\n\u00a0\u200b\ufeff\u2003"), st.text(" \t\r\n\u00a0\u200b\ufeff\u2003"))
def test_white_space_around_a_value_does_not_matter(case: tuple[str, str], before: str, after: str) -> None:
    rule, text = case
    assert RULES[rule](before + text + after) == RULES[rule](text)


@given(st.data(), st.sampled_from(sorted(set(RULES) - {"trim"})))
def test_case_does_not_matter(data: st.DataObject, rule: str) -> None:
    text = data.draw(real_values[rule])
    assert RULES[rule](text.upper()) == RULES[rule](text.lower()) == RULES[rule](text)


@given(st.emails(), st.lists(st.tuples(st.integers(0, 60), st.sampled_from(" \t\u00a0\u200b")), max_size=5))
def test_white_space_inside_an_address_does_not_matter_where_the_partner_takes_it_out(
    address: str, blanks: list[tuple[int, str]]
) -> None:
    text = address
    for place, blank in blanks:
        text = text[:place] + blank + text[place:]
    assert RULES["email_no_blanks"](text) == address.lower()


def field(
    normalise: str = "email", form: Literal["", "raw", "sha256", "auto"] = "", *, hashed: bool = False, title: str = "E-mail"
) -> Field:
    return Field("f", title, normalise=normalise, form=form, hashed=hashed)


@pytest.mark.parametrize(
    ("of", "value", "expected"),
    [
        (field(), " ADA@example.org", ADA),
        (field(hashed=True), " ADA@example.org", HASH),
        (field(form="raw"), " ADA@example.org", ADA),
        (field(form="raw", hashed=True), " ADA@example.org", HASH),
        (field(form="auto", hashed=True), " ADA@example.org", HASH),
        (field(form="auto"), " ADA@example.org", ADA),
        (field(form="auto", hashed=True), f" {HASH.upper()} ", HASH),
        (field(form="auto"), HASH.upper(), HASH),
        (field(form="sha256"), HASH.upper(), HASH),
        (field(form="sha256", hashed=True), HASH, HASH),
        (field("", hashed=True), HASH, hashlib.sha256(HASH.encode()).hexdigest()),
        (field("", hashed=True), ADA, HASH),
        (field("", "raw"), " as it is ", " as it is "),
        (field("phone_digits", "raw"), 491701234567, "491701234567"),
        (field("phone_digits", "raw"), 4.91701234567e11, "491701234567"),
        (field("trim"), -1.5, "-1.5"),
    ],
)
def test_a_value_becomes_what_is_sent(of: Field, value: object, expected: str) -> None:
    assert normalised(of, value) == expected


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("form", ["", "raw", "sha256", "auto"])
@pytest.mark.parametrize("value", ["", "  ", "\u200b\n"])
def test_nothing_is_left_of_blanks_and_nothing_is_not_hashed(form: Any, hashed: bool, value: str) -> None:
    assert normalised(field(form=form, hashed=hashed), value) == ""


@pytest.mark.parametrize("value", ["n/a", "unknown", "-"])
def test_nothing_is_left_of_what_the_rule_finds_unusable_and_it_is_not_hashed(value: str) -> None:
    assert normalised(field(form="auto", hashed=True), value) == ""


@pytest.mark.parametrize(
    ("of", "value", "code"),
    [
        (field(form="raw"), HASH, "already_hashed"),
        (field(form="raw"), f" {HASH.upper()}\n", "already_hashed"),
        (field("", "raw"), HASH, "already_hashed"),
        (field(form="sha256"), ADA, "not_sha256"),
        (field(form="sha256"), HASH[:-1], "not_sha256"),
        (field(form="sha256"), HASH[:-1] + "g", "not_sha256"),
        (field(form="sha256"), hashlib.md5(b"x", usedforsecurity=False).hexdigest(), "not_sha256"),
        (field(), True, "not_text"),
        (field(), [ADA], "not_text"),
        (field(), {"email": ADA}, "not_text"),
        (field(), None, "not_text"),
        (field(), math.nan, "not_text"),
        (field(), math.inf, "not_text"),
    ],
)
def test_a_value_that_contradicts_its_field_is_rejected_with_a_reason_that_does_not_hold_it(
    of: Field, value: Any, code: str
) -> None:
    rejected = normalised(of, value)
    assert isinstance(rejected, Rejected)
    assert rejected.code == code
    assert rejected.hint.startswith("E-mail must ")
    assert ADA not in rejected.hint
    assert HASH not in rejected.hint.lower()


@given(values_of_rules(), st.booleans())
def test_what_is_hashed_is_not_hashed_again_however_often_it_comes_back(case: tuple[str, str], hashed: bool) -> None:
    rule, text = case
    of = field(rule, "auto", hashed=hashed)
    once = normalised(of, text)
    assert isinstance(once, str)
    assert normalised(of, once) == once
    if hashed and once:
        assert normalised(of, once.upper()) == once


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ("email", " ADA@example.org ", ADA),
        ("email_no_blanks", "A DA@example.org", ADA),
        ("email", "n/a", None),
        ("email", "", None),
        ("email", f" {HASH.upper()}", HASH),
    ],
)
def test_email_in_a_mapping_is_the_partners_rule(rule: str, text: str, expected: str | None) -> None:
    assert email_rule(rule)(text) == expected
