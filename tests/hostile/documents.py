"""JSON documents that went wrong: valid bodies of the contract, changed at random in structure, values and bytes."""

from __future__ import annotations

import json
import random
from typing import Any, NamedTuple

CANARY = "canary-of-the-test"
"""In every value that names a person: it is to appear in no answer and no log line."""


class Token(NamedTuple):
    """These bytes in the place of a value, JSON or not."""

    text: bytes


class Pairs(list[tuple[Any, Any]]):
    """An object as it is written: names can occur twice, and need not be text."""


def written(value: Any) -> bytes:
    """The document's bytes."""
    if isinstance(value, Token):
        return value.text
    if isinstance(value, Pairs):
        return b"{" + b",".join(written(name) + b":" + written(inner) for name, inner in value) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(written, value)) + b"]"
    return json.dumps(value, ensure_ascii=len(str(value)) % 2 == 0).encode("utf-8", "surrogatepass")


def valid(chance: random.Random, kind: str) -> Pairs:
    """A body that the contract allows, with one to a dozen mutations where it has any."""
    body = Pairs([("Type", kind)] if chance.random() < 0.8 else [])
    if kind == "CREATE_AUDIENCE":
        body += [("Audience", _audience(chance)), ("Name", "An audience"), ("Customer", 123)]
    elif kind != "VALIDATE":
        if chance.random() < 0.3:
            body.append(("Audience", _audience(chance)))
        body.append((chance.choice(["Mutations", "Mutations", "mutation"]), _mutations(chance)))
    if chance.random() < 0.2:
        body.append(("Anything", Pairs([("else", [1, 2, None])])))
    chance.shuffle(body)
    return body


def _mutations(chance: random.Random) -> list[Any]:
    return [_mutation(chance, number) for number in range(chance.randint(1, 12))]


def _mutation(chance: random.Random, number: int) -> Pairs:
    user: Any = f"{CANARY}-{number}"
    if chance.random() < 0.3:
        user = Pairs([("Email", f"{CANARY}-{number}@example.com"), ("account.crm", f"{CANARY}.{number}")])
    mutation = Pairs([("Audience", _audience(chance)), (chance.choice(["User", "UserId", "id"]), user)])
    for name, value in (("Operation", "add"), ("Action", "remove"), ("Customer", 7), ("Phone", f"{CANARY}{number}")):
        if chance.random() < 0.2:
            mutation.append((name, value))
    return mutation


def _audience(chance: random.Random) -> str:
    return f"a5940e473cea659.{chance.randrange(5)}"


_TOKENS = (
    b"NaN", b"-Infinity", b"1e400", b"-1e-400", b"01", b"+1", b".5", b"1.", b"0x1f", b"'a'", b"undefined", b"True", b"", b"{",
    b"]", b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b'"\\x"', b'"\\u12"',
    b'"\x01"', b'"open', b"/* a */1", b"1//", b"\xef\xbb\xbf1", b"1" * 5_000, b"-" + b"9" * 400, b"1" + b"0" * 308,
    b"1e" + b"9" * 20, b"9007199254740993", b"18446744073709551616", b"-9223372036854775809", b"0.1" + b"0" * 400 + b"1",
)  # fmt: skip

_WORDS = (
    "Type", "type", "TYPE", "Audience", "AUDIENCE", "User", "userid", "Id", "Customer", "Mutations", "Mutation", "Name",
    "Operation", "Action", "Email", "EmailSha256", "account.", "account.crm", "agent.", "VALIDATE", "CREATE_AUDIENCE",
    "ADD_TO_AUDIENCE", "REMOVE_TO_AUDIENCE", "add", "removed", "__proto__", "__class__", "$ref", "null", "\u0130d",
    "u\u017fer", "TYPE\u0000",
)  # fmt: skip


def odd_value(chance: random.Random) -> Any:
    """Something that nobody expects where it will stand."""
    match chance.randrange(9):
        case 0:
            return Token(chance.choice(_TOKENS))
        case 1:
            return chance.choice([None, True, False, 0, -1, 1.5, -0.0, 2**53, -(2**63), 2**64, 10**30])
        case 2:
            return chance.choice(["", " ", "\t", "\0", "\u2028", "\ufeff", "\ud83d\ude00", "\u202e", "\x7f", "\x85", "e\u0301"])
        case 3:
            return chance.choice("x\u00e9\u0000 ") * chance.choice([255, 256, 257, 1_024, 1_025, 70_000])
        case 4:
            depth = chance.choice([2, 63, 64, 65, 66, 500, 5_000])
            opened, closed = chance.choice([(b"[", b"]"), (b'{"a":', b"}")])
            return Token(opened * depth + b"1" + closed * chance.choice([depth, depth, depth - 1]))
        case 5:
            return chance.choice(_WORDS)
        case 6:
            return [odd_value(chance) for _ in range(chance.randrange(4))]
        case 7:
            return Pairs([(chance.choice(_WORDS), odd_value(chance)) for _ in range(chance.randrange(4))])
        case _:
            return Pairs([(f"k{number}", number) for number in range(chance.choice([3, 65, 65, 600]))])


def damage(chance: random.Random, document: Any) -> None:
    """One change somewhere within it."""
    outermost, *within = _places(document)
    place = chance.choice(within) if within and chance.random() < 0.8 else outermost
    at = chance.randrange(len(place)) if place else 0
    if not place:
        place.append((chance.choice(_WORDS), odd_value(chance)) if isinstance(place, Pairs) else odd_value(chance))
        return
    match chance.randrange(7):
        case 0 | 1:
            odd = odd_value(chance)
            place[at] = (place[at][0], odd) if isinstance(place, Pairs) else odd
        case 2:
            del place[at]
        case 3:
            place.insert(chance.randrange(len(place) + 1), place[at])  # in an object: the same name twice
        case 4 if isinstance(place, Pairs):
            name, value = place[at]
            renamed = chance.choice([str(name).swapcase(), chance.choice(_WORDS), f"{name} ", Token(b"1"), Token(b'"\\u0041"')])
            place[at] = (renamed, value)
        case 5:
            place.extend([place[at]] * chance.choice([1, 1, 3, 10, 10, 100, 1_000]))
        case _:
            inner = place[at][1] if isinstance(place, Pairs) else place[at]
            wrapped = chance.choice([[inner], Pairs([("value", inner)]), [[inner, inner]]])
            place[at] = (place[at][0], wrapped) if isinstance(place, Pairs) else wrapped


def _places(value: Any) -> list[Any]:
    """All arrays and objects in it."""
    if isinstance(value, Pairs):
        return [value, *(place for _, inner in value for place in _places(inner))]
    if isinstance(value, list):
        return [value, *(place for inner in value for place in _places(inner))]
    return [Pairs()]


def damage_bytes(chance: random.Random, body: bytes) -> bytes:
    """One change of the bytes, whatever they mean."""
    at = chance.randrange(len(body) + 1)
    match chance.randrange(9 if body else 8):
        case 0:
            return body[:at]
        case 1:
            return body[:at] + chance.randbytes(chance.randint(1, 8)) + body[at:]
        case 2:
            return body[:at] + chance.choice([b"\0", b"\xff", b'"', b"\\", b"}", b"]", b",", b"\xed\xa0\x80"]) + body[at + 1 :]
        case 3:
            return b"\xef\xbb\xbf" + body
        case 4:
            return body.decode("utf-8", "replace").encode(chance.choice(["utf-16", "utf-32", "utf-7"]))
        case 5:
            return body + chance.choice([b"\0", b"{}", b"garbage", b"\n" * 10_000, body])
        case 6:
            return b" " * chance.choice([1, 100_000]) + body
        case 7:
            return chance.choice([b"", b"null", b"[]", b"1", b'"text"', b"{}", b"[" * 100_000, b'{"a":' * 50_000])
        case _:
            flipped = bytearray(body)
            for _ in range(1 + len(body) // 500):
                flipped[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
            return bytes(flipped)
