"""Entries that are read by column say what they say one by one."""

from __future__ import annotations

import gc
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.mapp import reading
from handlers.mapp.alike import Shapes, read_alike
from handlers.mapp.reading import FromBody, MutationReader
from relay.domain.connector import Inbound
from relay.domain.message import Mutation

BODY = FromBody("joined", "body.1", 123)

users: st.SearchStrategy[Any] = st.sampled_from(
    ["u1", "u2", "ü", "a\0", "", " ", "x" * 1_024, "x" * 1_025, 7, None, True, {"Id": "u1"}, "\u2028", "\ud800"]
)
audiences = st.sampled_from(["a.1", "a.2", "", None, 5, "x" * 513, "a\nb", "ü" * 500])
customers = st.sampled_from([123, "123", 123.0, None, 124, True])
directions = st.sampled_from(["add", "REMOVE", "left", "nonsense", None, 1])
others: st.SearchStrategy[Any] = st.sampled_from([1, "text", None, {"deep": []}, [1], 1.5])
columns: dict[str, st.SearchStrategy[Any]] = {
    "User": users,
    "Audience": audiences,
    "Customer": customers,
    "Type": directions,
    "Email": users,
    "Other": others,
    "Id": users,
    "user": users,
    "AUDIENCE": audiences,
}


@st.composite
def alike(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Entries with the same keys, whose values are mostly those of the first."""
    keys = draw(st.lists(st.sampled_from(sorted(columns)), unique=True, min_size=1))
    first = {key: draw(columns[key]) for key in keys}
    entries = [dict(first) for _ in range(draw(st.integers(1, 5)))]
    for _ in range(draw(st.integers(0, 2))):
        key = draw(st.sampled_from(keys))
        draw(st.sampled_from(entries))[key] = draw(columns[key])
    if draw(st.booleans()):
        changed = draw(st.sampled_from(entries))
        changed.pop(draw(st.sampled_from(keys)))
        changed[draw(st.sampled_from(["User", "X", "audience"]))] = "u9"
    if draw(st.booleans()):
        return [{key: entry[key] for key in draw(st.permutations(sorted(entry)))} for entry in entries]
    return entries


def one_by_one(entries: list[Any], body: FromBody, **inbound: Any) -> list[tuple[str, Mutation]]:
    reader = MutationReader(Inbound(hmac_secret="hmac", **inbound))
    found = [reader.read([entry, None], body)[0] for entry in entries]  # beside what is none, each is read by itself
    return [(audience, msgspec.structs.replace(mutation, index=index)) for index, (audience, mutation) in enumerate(found)]


@given(alike(), st.sampled_from([BODY, FromBody("left"), FromBody("left", "b", "123")]))
def test_by_column_and_one_by_one_are_the_same(entries: list[dict[str, Any]], body: FromBody) -> None:
    reader = MutationReader(Inbound(hmac_secret="hmac"))
    for _ in range(2):
        assert reader.read(entries, body) == one_by_one(entries, body)


@given(st.lists(alike(), min_size=1, max_size=4), st.sampled_from([BODY, FromBody("left")]))
def test_a_request_that_is_decoded_as_the_one_before_says_the_same(requests: list[list[dict[str, Any]]], body: FromBody) -> None:
    reader = MutationReader(Inbound(hmac_secret="hmac"))
    for entries in (*requests, *requests, *requests):
        try:
            sent = json.dumps({"Mutations": entries, "Customer": 123}, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return  # never comes out of the JSON reader
        for _ in range(2):
            assert reader.read(reader.decode(sent)["Mutations"], body) == one_by_one(entries, body)


@pytest.mark.parametrize(
    "more",
    [
        b'"Tags": ["a"]',
        b'"Mutation": [{"User": "u2", "Audience": "a.1"}]',
        b'"Additional": {"deep": []}',
        b'"Mutations": {"User": "u2"}',
        b'"Mutations": []',
    ],
)
def test_a_body_with_anything_else_than_simple_fields_is_decoded_as_objects(more: bytes) -> None:
    reader = MutationReader(Inbound(hmac_secret="hmac"))
    usual = b'{"Mutations": [{"User": "u1", "Audience": "a.1"}], "Customer": 123}'
    for _ in range(2):
        assert reader.read(reader.decode(usual)["Mutations"], BODY)
    assert reader.decode(usual) != msgspec.json.decode(usual)

    unusual = usual[:-1] + b", " + more + b"}"
    assert reader.decode(unusual) == msgspec.json.decode(unusual)


@pytest.mark.parametrize(
    "entry",
    [
        {"User": "u1"},
        {"Audience": "a.1", "User": "u1"},
        {"Audience": "a.1", "Id": "ü", "Customer": 123},
        {"User": "u1", "Operation": "remove", "At": 5},
    ],
)
def test_what_the_dmp_sends_is_read_by_column(entry: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[object] = []

    def noted(*given: Any) -> Any:
        taken.append(read_alike(*given))
        return taken[-1]

    monkeypatch.setattr(reading, "read_alike", noted)
    reader = MutationReader(Inbound(hmac_secret="hmac"))
    reader.read([entry, dict(entry)], BODY)
    taken.clear()
    found = reader.read([entry, dict(entry)], BODY)

    assert taken == [found]
    assert [mutation.index for _, mutation in found] == [0, 1]


def test_customers_that_a_connector_does_not_serve_are_refused_by_column_too() -> None:
    entries = [{"User": "u1", "Customer": 9}, {"User": "u2", "Customer": 9}]
    reader = MutationReader(Inbound(hmac_secret="hmac", customers=(123,)))
    for _ in range(2):
        found = reader.read(entries, BODY)
        assert {mutation.unreadable for _, mutation in found} == {"Its customer is not one that this connector serves."}


def types_alive() -> list[type]:
    gc.collect()
    return [each for each in msgspec.Struct.__subclasses__() if each.__name__ == "Entry"]


@pytest.mark.parametrize(("times", "most"), [(1, 0), (3, Shapes.MOST)])
def test_types_are_made_for_few_keys_and_only_for_those_that_come_again(times: int, most: int) -> None:
    before = types_alive()
    reader = MutationReader(Inbound(hmac_secret="hmac"))
    for number in range(2_000):
        for _ in range(times):
            reader.read([{"User": "u", "Audience": "a", f"k{number}": 1}], BODY)
    assert len(types_alive()) - len(before) == most


@pytest.mark.parametrize(
    "entries",
    [
        [{"User": "u1", "X": 1}, {"User": "u2"}],
        [{"User": "u1"}, {"user": "u2"}],
        [{"User": "u1"}, {"User": 2}],
        [{"User": "u1"}, None],
        [{"User": {"Id": "u1"}}],
        [{"User": "u1", "Email": "e"}],
        [{"User": "u1"} | {str(number): number for number in range(Shapes.MOST_KEYS)}],
    ],
)
def test_no_type_is_made_for_entries_that_are_not_alike(entries: list[Any]) -> None:
    before = types_alive()
    reader = MutationReader(Inbound(hmac_secret="hmac"))
    for _ in range(3):
        assert reader.read(entries, BODY) == one_by_one(entries, BODY)
    assert types_alive() == before
