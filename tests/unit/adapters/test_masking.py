"""What is kept of a call shows its structure, and nothing that could tell of a person or a secret."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import masking
from adapters.contract import HttpAnswer, HttpRequest, Row
from adapters.masking import Known, masked_url, users_in
from relay.domain.exchange import Content
from worker.exchanges import Sent

SECRET = "tok3n-S3cret"
ROWS: list[dict[str, Any]] = [
    {"email": "ann@example.org", "age": 41, "country": "de"},
    {"email": "bob@example.org", "country": "de", "tags": ["vip-77", "blue"]},
    {"email": "cleo@example.org"},
    {"email": "dan@example.org"},
]


def known(rows: list[dict[str, Any]] = ROWS, *words: str, secrets: tuple[str, ...] = (SECRET,)) -> Known:
    is_sent = Sent([Row(row, "event", 0.0) for row in rows])
    return Known(frozenset(["email", "country", "age", "tags", *words]), users_in(rows), is_sent, secrets, len(rows))


def sent(body: Any, *words: str) -> Any:
    content = masking.sent(HttpRequest("POST", "https://p.example", body=body), known(ROWS, *words))
    return msgspec.json.decode(content.masked) if content.masked else content


def answered(body: Any, *words: str, rows: list[dict[str, Any]] = ROWS) -> Any:
    content = answer(msgspec.json.encode(body), known(rows, *words))
    return msgspec.json.decode(content.masked) if content.masked else content


def answer(content: bytes, by: Known, **more: Any) -> Content:
    return masking.answered(HttpAnswer(200, {}, content, 1.0, **more), by, secret=False)


def test_users_are_named_by_their_place_and_field_and_only_the_first_are_shown() -> None:
    many = [*ROWS, *({"email": f"user{number}@example.org"} for number in range(9_996))]

    assert sent({"users": many}) == {
        "users": [
            {"email": "‹user 1: email›", "age": "‹user 1: age›", "country": "‹country›"},
            {"email": "‹user 2: email›", "country": "‹country›", "tags": ["‹user 2: tags›", "‹user 2: tags›"]},
            {"email": "‹user 3: email›"},
            "‹9,997 more›",
        ]
    }


def test_what_is_known_to_be_harmless_stands_there_and_nothing_else_does() -> None:
    body = {"action": "include", "list": "Spring", "note": "Ann's", "consent": True, "spent": 12.5, "none": None}

    assert sent(body, "include", "Spring") == {
        "action": "include",
        "list": "Spring",
        "1: ‹name, 4 characters›": "‹text, 5 characters›",
        "2: ‹name, 7 characters›": "‹true or false›",
        "3: ‹name, 5 characters›": "‹number›",
        "‹more›": "‹1 more›",
    }


def test_of_an_answer_counts_states_and_flags_are_shown() -> None:
    error = {"index": 1, "code": "not_found", "message": "No dan."}
    body = {"accepted": 2, "status": "OK", "success": True, "errors": [error]}

    assert answered(body) == {
        "accepted": 2,
        "status": "OK",
        "success": True,
        "errors": [{"index": 1, "code": "not_found", "message": "‹text, 7 characters›"}],
    }


def test_a_count_that_is_somebodys_id_is_masked_and_so_is_a_word_that_is_their_name() -> None:
    rows = [{"id": str(number)} for number in range(5)] + [{"id": "ok"}, {"id": "Spring"}]

    assert answered({"accepted": 4, "status": "ok", "list": "Spring", "code": 1}, "Spring", rows=rows) == {
        "accepted": "‹number›",
        "status": "‹text, 2 characters›",
        "list": "‹text, 6 characters›",
        "code": "‹user 2: id›",
    }


def test_numbers_that_are_long_enough_for_a_phone_are_masked_wherever_they_stand() -> None:
    masked = dict.fromkeys(("total", "count", "id"), "‹number›")
    assert answered({"total": 4_915_112_345, "count": -5, "id": 7}) == masked


@pytest.mark.parametrize("written", ["0005551", "+5551", " 5551", "5551.0", "55-51"])
def test_a_number_is_masked_in_whatever_form_it_was_sent(written: str) -> None:
    by = known([{"id": written}], "5551")
    body = {"accepted": 5551, "row": 5551.0, "id": "5551", "5551": "+5551", "errors": [{"row": 5551}], "rejected": [5551]}
    headers = {"Retry-After": "5551", "X-RateLimit-Limit": "60"}

    assert "5551" not in answer(msgspec.json.encode(body), by).masked
    assert "5551" not in masked_url("https://p.example/contacts/5551/v5551?id=5551&5551=1", by)
    assert masking.answered_headers(HttpAnswer(429, headers, b"", 1.0), by) == {"X-RateLimit-Limit": "60"}


def test_plain_members_of_a_list_are_no_counts_whatever_the_list_is_called() -> None:
    assert answered({"rejected": [5551, 12], "failed": [[7]], "success": [True]}) == {
        "rejected": ["‹number›", "‹number›"],
        "failed": [["‹number›"]],
        "success": ["‹true or false›"],
    }


def test_a_count_is_no_more_than_the_users_in_the_call_or_9_999() -> None:
    many = [{"id": f"user{number}"} for number in range(12_000)]

    assert answered({"accepted": 9_999, "rejected": 10_000}) == {"accepted": 9_999, "rejected": "‹number›"}
    assert answered({"accepted": 12_000, "rejected": 12_001}, rows=many) == {"accepted": 12_000, "rejected": "‹number›"}


def test_names_that_an_answer_makes_of_identifiers_are_masked() -> None:
    failed = {f"user{number}@example.org": "gone" for number in range(10)}

    assert answered({"failed": {"ann@example.org": "gone"}}) == {"failed": {"1: ‹user 1: email›": "‹text, 4 characters›"}}
    assert answered({"failed": failed})["failed"] == {
        **{f"{number}: ‹name, 17 characters›": "‹text, 4 characters›" for number in (1, 2, 3)},
        "‹more›": "‹7 more›",
    }


def test_a_secret_that_stands_in_something_harmless_costs_all_of_it() -> None:
    found = sent({"list": f"list of {SECRET}"}, f"list of {SECRET}")

    assert found.note == "A secret of the connector stood in it: nothing of it is kept."
    assert masked_url(f"https://p.example/{SECRET}", known(ROWS, SECRET)) == "‹address›"


@pytest.mark.parametrize("secret", ['tok"3n', "tok\\3n", "tok\n3n", "tok\x7f3n", "tökén"])
def test_a_secret_is_found_as_json_writes_it(secret: str) -> None:
    found = masking.sent(HttpRequest("POST", "", body=[f"list of {secret}"]), known(ROWS, f"list of {secret}", secrets=(secret,)))

    assert (found.masked, found.kind) == ("", "other")


def test_of_calls_about_credentials_nothing_is_kept() -> None:
    request = HttpRequest("POST", "https://p.example/token", raw=b"grant_type=x&refresh_token=abc", secret=True)
    result = masking.answered(HttpAnswer(200, {}, b'{"status": "ok"}', 1.0), known(), secret=True)

    assert masking.sent(request, known()) == result == Content("other", note="It is about credentials: nothing of it is kept.")


def test_an_address_shows_what_is_known_of_its_path_and_no_value_of_its_query() -> None:
    url = f"https://p.example:8443/v2/lists/77/members/{quote('ann@example.org')}/x9?email=ann%40example.org&zzz=1&limit=50"

    assert masked_url(url, known(ROWS, "77", "50")) == (
        "https://p.example:8443/v2/lists/77/members/‹user 1: email›/‹2 characters›"
        "?email=‹user 1: email›&‹name, 3 characters›=‹text, 1 character›&limit=50"
    )
    assert masked_url("https://ann:pass@p.example/", known()) == "https://p.example/"


@pytest.mark.parametrize("segment", ["57", "7", "123.456.789", "1.2"])
def test_a_number_in_a_path_is_no_version_without_its_v(segment: str) -> None:
    assert masked_url(f"https://p.example/v2.1/users/{segment}/lists", known()) == (
        f"https://p.example/v2.1/users/‹{len(segment)} character{'s' if len(segment) > 1 else ''}›/lists"
    )
    assert masked_url(f"https://p.example/{segment}/lists", known(ROWS, segment)) == f"https://p.example/{segment}/lists"


def test_a_form_and_csv_are_masked_field_by_field() -> None:
    form = HttpRequest(
        "POST", "https://p.example", {"Content-Type": "application/x-www-form-urlencoded"},
        raw=urlencode({"email": "ann@example.org", "action": "include"}).encode(),
    )  # fmt: skip
    lines = "".join(f"{row['email']},extra\r\n" for row in ROWS)
    titled = f"email,zz\r\n{lines}".encode()
    file = HttpRequest("POST", "https://p.example", {"content-type": "text/csv; charset=utf-8"}, raw=titled)

    fields = msgspec.json.decode(masking.sent(form, known(ROWS, "include")).masked)
    assert fields == {"email": "‹user 1: email›", "action": "include"}
    assert msgspec.json.decode(masking.sent(file, known()).masked) == [
        ["email", "‹text, 2 characters›"],
        *([f"‹user {number}: email›", "‹text, 5 characters›"] for number in (1, 2, 3)),
        "‹1 more›",
    ]


@pytest.mark.parametrize("content", [b"<html>ann@example.org</html>", b"ann@example.org", b'{"a": ', b"\xff\xfe", b"[" * 5_000])
def test_of_what_is_not_json_only_the_size_is_kept(content: bytes) -> None:
    found = answer(content, known())

    assert (found.masked, found.size) == ("", len(content))
    assert "nothing of it is kept" in found.note


def test_bodies_are_bounded_whatever_they_hold() -> None:
    deep: Any = "x"
    for _ in range(200):
        deep = {"data": [deep, deep]}
    wide = {"results": [{"errors": [{"message": "x" * 90, "code": "c1", "field": [1, 2, 3] * 5}] * 50}] * 50}
    for body in (deep, wide, {f"n{number}": number for number in range(10_000)}, ["y" * 5_000] * 100, {"z" * 9_000: 1}):
        found = masking.sent(HttpRequest("POST", "https://p.example", body=body), known())
        assert len(found.masked) <= masking.LONGEST
    assert answer(b"[" + b"1," * 200_000 + b"1]", known()).note == "It is too long to be kept, masked or not."
    assert answer(b'{"a": 1}', known(), cut=True).note == "It is too long to be kept, masked or not."


def test_headers_are_of_a_few_names_and_forms_only() -> None:
    kind = {"Content-Type": "text/html; charset=ann@example.org"}
    headers = {**kind, "Retry-After": "ann", "X-Request-Id": "r1", "x-ratelimit-limit": "9"}

    shown = masking.answered_headers(HttpAnswer(429, headers, b"", 1.0), known())
    assert shown == {"Content-Type": "text/html", "X-RateLimit-Limit": "9"}
    assert masking.sent_headers(HttpRequest("POST", "", {"content-type": "ann@example.org", "X-Key": SECRET}), known()) == {}


# --- whatever is sent and echoed -------------------------------------------------------------------------------------

IDENTIFIERS = st.one_of(
    st.emails(),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).map(lambda text: f"q7{text}9Z"),
    st.from_regex(r"(\+| |0{1,4})?7[0-9]{3,13}(\.0)?", fullmatch=True),
    st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
)


def number_of(text: str) -> int | None:
    """What a partner, or an adapter, may make of it."""
    return int(text.removesuffix(".0")) if re.fullmatch(r"[+ ]?[0-9]+(\.0)?", text) else None


def disguised(text: str) -> list[str]:
    """As a partner may write it."""
    quoted = msgspec.json.encode({"user": text}).decode()
    return [text, text.upper(), text[:-1], f"<{text}>", quote(text, safe=""), ascii(text), quoted]


@st.composite
def echoes(draw: st.DrawFn) -> tuple[list[str], list[dict[str, Any]], Any]:
    """Identifiers and secrets, rows with some of them, and a body that has them in any place and disguise."""
    private = draw(st.lists(IDENTIFIERS, min_size=2, max_size=6, unique=True))
    numbers = [number for one in private[1:] if (number := number_of(one)) is not None] or [0]
    rows = [{"email": one, "more": [one]} for one in private[1:]]
    leaf = st.one_of(
        st.sampled_from(private).flatmap(lambda one: st.sampled_from(disguised(one))),
        st.sampled_from(numbers).flatmap(lambda one: st.sampled_from([one, float(one), str(one)])),
        st.sampled_from(["ok", "include", 3, True, None, 1.5]),
    )
    name = st.one_of(
        st.sampled_from(["errors", "status", "count", "code", "email", "data", "success"]),
        st.sampled_from(private).flatmap(lambda one: st.sampled_from(disguised(one))),
        st.sampled_from(numbers).map(str),
    )
    body = st.recursive(leaf, lambda one: st.lists(one, max_size=5) | st.dictionaries(name, one, max_size=5), max_leaves=20)
    return private, rows, draw(body)


@settings(max_examples=200, deadline=None)
@given(echoes())
def test_no_identifier_and_no_secret_is_kept_whatever_is_sent_and_echoed(
    echo: tuple[list[str], list[dict[str, Any]], Any],
) -> None:
    private, rows, body = echo
    numbers = {one: str(number) for one in private[1:] if (number := number_of(one)) is not None}
    by = known(rows, "include", *numbers.values(), secrets=(private[0],))
    content = msgspec.json.encode(body)
    quoted = quote(private[-1], safe="")
    digits = numbers.get(private[-1], "x")
    address = f"https://p.example/{quoted}/{digits}/x?email={quoted}&id={digits}&{digits}=1"
    request = HttpRequest("POST", address, body=body)
    headers = {**dict.fromkeys(("Content-Type", "Retry-After", "X-Request-Id"), private[-1]), "X-RateLimit-Reset": digits}
    reply = HttpAnswer(200, headers, content, 1.0)
    form = HttpRequest("POST", "https://p.example", {"Content-Type": "application/x-www-form-urlencoded"}, raw=urlencode(
        {"email": private[-1], private[-1]: "1", "id": digits, digits: "1"}).encode())  # fmt: skip
    lines = "\n".join([*private, *numbers.values()]).encode()
    csv = HttpRequest("POST", "https://p.example", {"Content-Type": "text/csv"}, raw=lines)

    kept = msgspec.json.decode(
        msgspec.json.encode(
            [
                masking.sent(request, by), masking.sent(form, by), masking.sent(csv, by), masked_url(request.url, by),
                masking.answered(reply, by, secret=False), masking.answered_headers(reply, by), masking.sent_headers(request, by),
            ]
        )
    )  # fmt: skip
    text = "\n".join(texts(kept)).lower()

    for one in private:
        # What is left after the last sign was cut off, or in other letters, tells as much.
        told = {form_.lower() for form_ in (one, one[:-1], msgspec.json.encode(one).decode()[1:-1], quote(one, safe=""))}
        told |= {numbers[one]} if one in numbers else set()
        assert not [form_ for form_ in told if form_ in text], text


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [part for pair in value.items() if pair[0] != "size" for one in pair for part in texts(one)]
    if isinstance(value, list):
        return [part for one in value for part in texts(one)]
    if isinstance(value, str) and value[:1] in "[{" and value:
        return texts(msgspec.json.decode(value))
    return [str(value)]
