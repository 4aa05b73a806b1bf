"""The functions of expressions, each by a table."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.malformed import Malformed
from relay.expressions.expression import Surroundings, compile_expression

NOW = 1_800_000_000.25  # 2027-01-15 08:00:00.250 UTC
MD5_OF_ADA = "8c8d357b5e872bbacd45197626bd5759"  # echo -n ada | md5sum


def computed(expression: str, surroundings: Surroundings | None = None, **context: Any) -> Any:
    return compile_expression(expression).search(context, surroundings or Surroundings())


@pytest.mark.parametrize(
    ("expression", "value", "expected"),
    [
        ("trim(x)", " \tAda\u00a0\n", "Ada"),
        ("lower(x)", "ÄDA", "äda"),
        ("upper(x)", "äda", "ÄDA"),
        ("sha256(x)", "ü", hashlib.sha256(b"\xc3\xbc").hexdigest()),
        ("md5(x)", "ada", MD5_OF_ADA),
        ("default(x, 'none')", "y", "y"),
        ("default(x, 'none')", None, "none"),
        ("default(x, 'none')", "", "none"),
        ("default(x, 'none')", [], "none"),
        ("default(x, 'none')", {}, "none"),
        ("default(x, 'none')", 0, 0),
        ("default(x, 'none')", False, False),
        ("default(x, 'none')", " ", " "),
        ("default(x, y)", None, None),
        ("join(' ', x)", ["Ada", "Lovelace"], "Ada Lovelace"),
        ("join(' ', x)", ["Ada", None, "Lovelace"], "Ada Lovelace"),
        ("join(' ', x)", [None, "Lovelace"], "Lovelace"),
        ("join(' ', x)", [None, None], None),
        ("join(' ', x)", [], ""),
        ("join(' ', x)", None, None),
        ("join(x, ['a', 'b'])", None, None),
        ("join(', ', map(&upper(@), x))", ["a", "b"], "A, B"),
    ],
)
def test_functions_of_text(expression: str, value: object, expected: object) -> None:
    assert computed(expression, x=value) == expected


@pytest.mark.parametrize(
    ("value", "country", "expected"),
    [
        ("0170 1234567", "DE", "+491701234567"),
        ("(0170) 123-45.67", "de", "+491701234567"),
        ("0049 170 1234567", "DE", "+491701234567"),
        ("+49 (0)170 1234567", "DE", "+491701234567"),
        ("+49 170 1234567 ext 5", "DE", "+491701234567"),
        ("+1 650 555-1212", "DE", "+16505551212"),
        ("011 49 170 1234567", "US", "+491701234567"),
        ("06 1234567", "IT", "+39061234567"),
        ("٠١٧٠١٢٣٤٥٦٧", "DE", "+491701234567"),
        ("+1 650 555-1212", None, "+16505551212"),
        ("+1 650 555-1212", "", "+16505551212"),
        ("650 555-1212", None, None),
        (1701234567, "DE", "+491701234567"),
        (1701234567.0, "DE", "+491701234567"),
        ("491701234567", "DE", "+491701234567"),
        (491701234567, "DE", "+491701234567"),
        ("3906123456", "IT", "+393906123456"),
        ("16505551212", "US", "+16505551212"),
        ("5551212", "US", None),
        ("110", "DE", None),
        ("+49000000", "DE", None),
        ("+491701234567890123", "DE", None),
        ("call +49 170 1234567 now", "DE", None),
        ("none", "DE", None),
        ("", "DE", None),
        ("1" * 5_000, "DE", None),
        (None, "DE", None),
    ],
)
def test_e164_makes_the_international_form_or_null_of_what_is_no_possible_number(
    value: object, country: object, expected: str | None
) -> None:
    assert computed("e164(x, c)", x=value, c=country) == expected


@pytest.mark.parametrize("country", ["XX", "Germany", "D", "49"])
def test_a_country_that_does_not_exist_is_a_mistake_in_a_document_and_in_the_data(country: str) -> None:
    with pytest.raises(Malformed, match="two letters of ISO 3166"):
        compile_expression(f"e164(x, '{country}')")
    with pytest.raises(Malformed, match="two letters of ISO 3166") as caught:
        computed("e164(x, c)", x="0170 1234567", c=country)
    assert "170" not in str(caught.value)


@given(st.from_regex(r"[+0-9 ()x-]{1,20}", fullmatch=True), st.sampled_from(["DE", "US", "IT", None]))
def test_e164_gives_a_plus_and_digits_and_takes_its_own_result_unchanged(number: str, country: str | None) -> None:
    found = computed("e164(x, c)", x=number, c=country)
    if found is not None:
        assert found.startswith("+")
        assert found[1:].isascii()
        assert found[1:].isdigit()
        assert computed("e164(x, c)", x=found, c=country) == found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_800_000_000, "2027-01-15T08:00:00.000Z"),
        (1_800_000_000.25, "2027-01-15T08:00:00.250Z"),
        (1_800_000_000_250, "2027-01-15T08:00:00.250Z"),
        ("1800000000", "2027-01-15T08:00:00.000Z"),
        (" 1800000000.25 ", "2027-01-15T08:00:00.250Z"),
        ("1800000000250", "2027-01-15T08:00:00.250Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.000Z"),
        (99_999_999_999, "5138-11-16T09:46:39.000Z"),
        (100_000_000_000, "1973-03-03T09:46:40.000Z"),
        ("2027-01-15T08:00:00Z", "2027-01-15T08:00:00.000Z"),
        ("2027-01-15t08:00:00.25z", "2027-01-15T08:00:00.250Z"),
        ("2027-01-15T09:30:00+01:30", "2027-01-15T08:00:00.000Z"),
        ("2027-01-15 08:00:00", "2027-01-15T08:00:00.000Z"),
        ("2027-01-15", "2027-01-15T00:00:00.000Z"),
        ("20270115", "2027-01-15T00:00:00.000Z"),
        ("20270115T080000Z", "2027-01-15T08:00:00.000Z"),
        ("", None),
        ("  ", None),
        (None, None),
    ],
)
def test_rfc3339_reads_seconds_milliseconds_and_iso_8601(value: object, expected: str | None) -> None:
    assert computed("rfc3339(x)", x=value) == expected


@pytest.mark.parametrize(
    "value",
    ["yesterday", "15.01.2027", "2027-13-01", "20271301", "0001-01-01T00:00:00+14:00", float("inf"), float("nan"), 10**13,
     20_270_115_080_000, "20270115080000", "9" * 5_000],
)  # fmt: skip
def test_what_is_no_time_is_a_mistake_whose_sentence_does_not_repeat_it(value: object) -> None:
    with pytest.raises(Malformed, match="time") as caught:
        computed("rfc3339(x)", x=value)
    assert str(value) not in str(caught.value)


def test_now_is_the_reading_of_the_clock_that_is_passed_in() -> None:
    assert computed("now()", Surroundings(now=NOW)) == "2027-01-15T08:00:00.250Z"


def test_uuid_is_the_same_for_the_same_seed_and_another_for_each_call_and_seed() -> None:
    first = computed("[uuid(), uuid()]", Surroundings(seed="r-1/0/Add/id"))
    assert computed("[uuid(), uuid()]", Surroundings(seed="r-1/0/Add/id")) == first
    others = computed("map(&uuid(), x)", Surroundings(seed="r-1/1/Add/id"), x=[1, 2])
    assert len({*first, *others}) == 4
    assert all(str(uuid.UUID(one)) == one for one in [*first, *others])


def test_email_is_the_partners_rule_and_null_where_it_leaves_nothing() -> None:
    surroundings = Surroundings(email=lambda text: text.replace(" ", "").lower())
    assert computed("email(x)", surroundings, x="A da@X.org") == "ada@x.org"
    assert computed("email(x)", surroundings, x="  ") is None
    assert computed("email(x)", surroundings, x=None) is None


@pytest.mark.parametrize("call", ["now()", "uuid()", "email('a@b.c')"])
def test_what_has_no_meaning_in_a_place_says_so(call: str) -> None:
    expression = compile_expression(f"[x, {call}]")
    assert expression.needs == {call.partition("(")[0]}
    with pytest.raises(Malformed, match="has no meaning here"):
        expression.search({"x": 1})


@pytest.mark.parametrize(
    "call", ["trim(x)", "lower(x)", "upper(x)", "sha256(x)", "md5(x)", "e164(x, 'DE')", "rfc3339(x)", "email(x)", "join('-', x)"]
)
def test_null_passes_as_null(call: str) -> None:
    assert computed(call, Surroundings(email=str.lower)) is None


@pytest.mark.parametrize(
    ("expression", "value", "sentence"),
    [
        ("lower(x)", 41, "lower() takes text, and was given a number."),
        ("upper(x)", True, "upper() takes text, and was given true or false."),
        ("sha256(x)", ["secret"], "sha256() takes text, and was given a list."),
        ("md5(x)", {"a": "secret"}, "md5() takes text, and was given an object."),
        ("email(x)", 41, "email() takes text, and was given a number."),
        ("e164(x, 'DE')", True, "e164() takes a number or text, and was given true or false."),
        ("e164('1', x)", 41, "e164() takes text, and was given a number."),
        ("rfc3339(x)", ["secret"], "rfc3339() takes a number or text, and was given a list."),
        ("join('-', x)", "secret", "join() takes a list, and was given text."),
        ("join('-', x)", ["secret", 41], "join() takes a list of texts"),
        ("sum(x)", ["secret"], "sum() takes a list of numbers, and was given text."),
    ],
)
def test_a_function_says_what_it_takes_without_telling_the_value(expression: str, value: object, sentence: str) -> None:
    with pytest.raises(Malformed) as caught:
        computed(expression, Surroundings(email=str.lower), x=value)
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "41" not in str(caught.value)


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
CALLS = ["trim(x)", "lower(x)", "upper(x)", "sha256(x)", "md5(x)", "e164(x, 'DE')", "e164('0170 1234567', x)", "rfc3339(x)",
         "email(x)", "default(x, x)", "join('-', x)", "join(x, ['a', 'b'])"]  # fmt: skip


@given(st.sampled_from(CALLS), anything)
def test_whatever_a_function_is_given_it_computes_or_refuses(call: str, value: Any) -> None:
    with contextlib.suppress(Malformed):
        computed(call, Surroundings(email=str.lower), x=value)
