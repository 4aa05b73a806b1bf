"""Bodies as bytes, unusual ones too: decoded as the request before, they say what they say decoded by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.mapp.reading import FromBody, MutationReader
from relay.domain.connector import Inbound
from relay.domain.message import Mutation

BODY = FromBody("joined", "body.1", 123)
Pairs = list[tuple[str, str]]

USERS = ["User", "Us\\u0065r", "Id", "user"]
OTHERS = ["Audience", "audience", "Customer", "Type", "Operation", "X", "x", "rest_0", "rest_1", "user2", "entries", "self"]
ESCAPED = ["ü", "\\u00fc", "😀", "\\ud83d\\ude00", "\\ud800", "\\u0000", "\\u0041udience", 'q\\"q', "a\\\\b"]
ODD = ["", "\u212a", "__class__"]

TEXTS = ["u1", "\\u0075 1", "", " ", "add", "REMOVE", "a.1", "123", "\u2028", "\\ud83d\\ude00", "\\ud800", "\\u0000", "\\x", "\n"]
LONG = ["x" * 1_024, "x" * 1_025, "ä" * 1_024]
WHOLE = ["1", "-0", "123", "01", "9007199254740993", "18446744073709551615", "18446744073709551616", "-9223372036854775809"]
FRACTIONS = ["1.0", "-0.0", "1e0", "1E2", "123.0", "1.", ".1", "0.1", "1e400", "-1e400", "1e-400", "12345678901234567890.0"]
VERY_LONG = ["1" + "0" * 40, "1" + "0" * 4_400, "0." + "1" * 4_400]
NAMES_OF_VALUES = ["true", "false", "null", "NaN", "Infinity", "nul"]
NESTED = ["[]", "[1]", "{}", '{"Id": "u3"}', '{"a": {"b": []}}', "[" * 70 + "]" * 70, "[" * 2_000]
VALUES = [f'"{text}"' for text in TEXTS + LONG] + WHOLE + FRACTIONS + VERY_LONG + NAMES_OF_VALUES + NESTED

values = st.sampled_from(VALUES)
names = st.sampled_from(OTHERS + ESCAPED + ODD)
usual_values = st.sampled_from(['"a.1"', '"add"', "123", "null", "1e0", "-0", "18446744073709551616", '"\\u0075"', VERY_LONG[0]])


def written(pairs: Pairs) -> str:
    return "{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}"


def request(entries: list[str], beside: Pairs, last: bool = True) -> bytes:
    array = [("Mutations", "[" + ",".join(entries) + "]")]
    return written(beside + array if last else array + beside).encode("utf-8", "surrogatepass")


@st.composite
def changed(draw: st.DrawFn, entry: Pairs) -> str:
    """An entry with something else in one place."""
    pairs, place = list(entry), draw(st.integers(0, len(entry) - 1))
    name = pairs[place][0]
    match draw(st.sampled_from(["as it is", "value", "name", "left out", "repeated", "one more", "order", "no object"])):
        case "value":
            pairs[place] = (name, draw(values))
        case "name":
            pairs[place] = (draw(names), pairs[place][1])
        case "left out":
            del pairs[place]
        case "repeated":
            pairs.insert(draw(st.integers(0, len(pairs))), (name, draw(values)))
        case "one more":
            pairs.append((draw(names), draw(values)))
        case "order":
            pairs = draw(st.permutations(pairs))
        case "no object":
            return draw(values)
    return written(pairs)


@st.composite
def requests(draw: st.DrawFn) -> list[bytes]:
    """Two that are the same and have nothing unusual, so that the next are decoded as they are; then unusual ones."""
    keys = [draw(st.sampled_from(USERS)), *draw(st.lists(names, max_size=3, unique=True))]
    entry = [(keys[0], '"u1"'), *((key, draw(usual_values)) for key in keys[1:])]
    found = [request([written(entry)] * 2, [])] * 2
    for _ in range(draw(st.integers(1, 3))):
        entries = [written(entry)] * draw(st.integers(0, 2))
        entries += draw(st.lists(changed(entry), max_size=2))
        beside = draw(st.lists(st.tuples(st.sampled_from(["Customer", "Mutation", "Mutations", "E"]), values), max_size=2))
        body = request(entries, beside, draw(st.booleans()))
        if draw(st.integers(0, 9)) == 0:
            place = draw(st.integers(0, len(body) - 1))
            body = body[:place] + draw(st.binary(max_size=2)) + body[place + 1 :]
        found.append(body)
    return found


def said(reader: MutationReader, decode: Callable[[bytes], Any], body: bytes) -> object:
    """All that a body says, or what is wrong with it, so that 1, 1.0, -0.0 and true are told apart."""
    try:
        content = decode(body)
    except (ValueError, RecursionError) as error:
        return type(error), str(error)
    if not isinstance(content, dict) or not isinstance(content.get("Mutations"), list):
        return "no array"
    found = reader.read(content.pop("Mutations"), BODY)
    return [(audience, *_exactly(mutation)) for audience, mutation in found], repr(sorted(content.items()))


def _exactly(mutation: Mutation) -> tuple[str, ...]:
    fields = sorted(mutation.fields.items())
    return repr(msgspec.structs.replace(mutation, fields={})), repr(fields)


def by_itself(body: bytes) -> object:
    """What a body says to a reader that has seen no other, which therefore reads entry by entry."""
    return said(MutationReader(Inbound(hmac_secret="hmac")), msgspec.json.decode, body)


@given(requests())
def test_whatever_the_bytes_are_they_say_the_same_as_by_themselves(bodies: list[bytes]) -> None:
    reader = MutationReader(Inbound(hmac_secret="hmac"))
    for body in bodies:
        assert said(reader, reader.decode, body) == by_itself(body)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("place", ["User", "Audience", "Customer", "Type", "X", "repeated", "instead of an entry", "in the body"])
def test_each_value_in_each_place_says_the_same_as_by_itself(place: str, value: str) -> None:
    usual = [("User", '"u1"'), ("Audience", '"a.1"'), ("Customer", "123"), ("Type", '"add"'), ("X", "1")]
    there = [(name, value if name == place else was) for name, was in usual]
    if place == "repeated":
        there.append(("X", value))
    entry = value if place == "instead of an entry" else written(there)
    reader = MutationReader(Inbound(hmac_secret="hmac"))
    for _ in range(2):
        said(reader, reader.decode, request([written(usual)], []))
    plain = request([written(usual)], [])
    assert reader.decode(plain) != msgspec.json.decode(plain)

    for entries in ([entry], [written(usual), entry], [entry, written(usual)]):
        body = request(entries, [("Field", value)] if place == "in the body" else [])
        assert said(reader, reader.decode, body) == by_itself(body)


@pytest.mark.parametrize("broken", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"])
@pytest.mark.parametrize("place", [b"u1", b"User", b"Mutations", b"a.1", b"Field"])
def test_broken_utf_8_is_refused_as_in_a_body_by_itself(place: bytes, broken: bytes) -> None:
    usual = b'{"Field": "v", "Mutations": [{"User": "u1", "Audience": "a.1"}]}'
    reader = MutationReader(Inbound(hmac_secret="hmac"))
    for _ in range(2):
        said(reader, reader.decode, usual)
    body = usual.replace(place, place[:1] + broken + place[1:])
    assert said(reader, reader.decode, body) == by_itself(body)
