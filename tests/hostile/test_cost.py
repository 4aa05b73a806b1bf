"""Bodies that are made to be expensive cost no more than a second of CPU for each megabyte, and are answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from handlers.body import MAX_HELD_BYTES
from handlers.mapp.reading import FromBody, MutationReader
from relay.domain.connector import Inbound
from tests.hostile.exchanges import Exchange, answered
from tests.hostile.test_receiver import CPU_S_PER_MEGABYTE, DOCUMENTED, World
from tests.unit.mapp.edge import SECRET, signature

MEGABYTES = 4
SIZE = MEGABYTES * 1_000_000

_TRIES = 3
"""What a body costs, it costs each time; what a machine adds that is short of memory or shared with others, it does not."""

_TIMES_PLAIN = 2
"""What decoding as the last request may cost, in times of decoding as any JSON."""


def _repeated(before: bytes, each: Callable[[int], bytes], after: bytes) -> bytes:
    """As many of them, with commas between, as fit into the size."""
    parts: list[bytes] = []
    size = len(before) + len(after)
    while size < SIZE:
        parts.append(each(len(parts)))
        size += len(parts[-1]) + 1
    return before + b",".join(parts) + after


_IN = b'{"Type":"ADD_TO_AUDIENCE","Audience":"a","Mutations":['
_OUT = b"]}"

BODIES: dict[str, Callable[[], bytes]] = {
    "open brackets": lambda: b"[" * SIZE,
    "nested objects": lambda: b'{"a":' * (SIZE // 5),
    "one long number": lambda: b'{"Type":' + b"9" * SIZE + b"}",
    "one long fraction": lambda: b'{"Type":0.' + b"1" * SIZE + b"}",
    "long numbers": lambda: _repeated(_IN, lambda _: b"9" * 300, _OUT),
    "one long text": lambda: b'{"Type":"' + b"x" * SIZE + b'"}',
    "escapes": lambda: b'{"Type":"' + b"\\u0000" * (SIZE // 6) + b'"}',
    "halves of characters": lambda: b'{"Type":"' + b"\\ud800" * (SIZE // 6) + b'"}',
    "the same name again and again": lambda: _repeated(b"{", lambda _: b'"Type":"VALIDATE"', b"}"),
    "many names": lambda: _repeated(b"{", lambda number: b'"%d":1' % number, b"}"),
    "names that differ in case only": lambda: _repeated(b"{", lambda number: b'"' + _cased(number) + b'":1', b"}"),
    "empty mutations": lambda: _repeated(_IN, lambda _: b"{}", _OUT),
    "nulls": lambda: _repeated(_IN, lambda _: b"null", _OUT),
    "mutations with names of their own": lambda: _repeated(_IN, lambda number: b'{"User":1,"%x":{"%x":1}}' % (number, 1), _OUT),
    "mutations with many names": lambda: _repeated(
        _IN, lambda number: b'{"User":"u",' + b",".join(b'"%d.%d":1' % (number, one) for one in range(300)) + b"}", _OUT
    ),
    "an audience for each": lambda: _repeated(
        b'{"Type":"ADD_TO_AUDIENCE","Mutations":[', lambda number: b'{"Audience":"%d","User":"u"}' % number, _OUT
    ),
    "deep users": lambda: _repeated(_IN, lambda _: b'{"User":' + b"[" * 500 + b"]" * 500 + b"}", _OUT),
    "users one by one": lambda: _repeated(_IN, lambda number: b'{"User":"%d"}' % number, _OUT),
    "white space": lambda: b" " * SIZE,
    "no UTF-8": lambda: b'{"a":"' + b"\xff" * SIZE + b'"}',
}


def _cased(number: int) -> bytes:
    return bytes(0x61 + each if number >> each & 1 else 0x41 + each for each in range(20))


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_made_to_be_expensive_is_not(tmp_path: Path, name: str) -> None:
    body = BODIES[name]()

    async def tried() -> tuple[int, float]:
        world = World(tmp_path / "state")
        headers = [(b"host", b"localhost"), (b"x-hmac", signature(body, SECRET).encode())]
        chunks = [body[start : start + 65_536] for start in range(0, len(body), 65_536)]
        began = time.process_time()
        status, content, _ = await answered(world.receiver, Exchange("POST", "/pangolin", b"", headers, body, chunks))
        cpu_s = time.process_time() - began
        assert ("error" in msgspec.json.decode(content)) == (status != 200)
        await world.close()
        return status, cpu_s

    assert len(body) < MAX_HELD_BYTES
    allowed_s = CPU_S_PER_MEGABYTE * len(body) / 1e6
    for _ in range(_TRIES):
        status, cpu_s = asyncio.run(tried())
        assert status in DOCUMENTED
        if cpu_s <= allowed_s:
            break
    assert cpu_s <= allowed_s


@pytest.mark.parametrize("names", [16, 17, 60, 20_000])
def test_entries_with_the_names_of_the_last_request_in_reverse_cost_little_more_than_any_json(names: int) -> None:
    entry = {"User": "u", "Audience": "a"} | {f"k{number:05}": 1 for number in range(names - 2)}
    usual = msgspec.json.encode({"Mutations": [entry, entry]})
    in_reverse = msgspec.json.encode(dict(reversed(entry.items())))
    body = b'{"Mutations":[' + b",".join([in_reverse] * (SIZE // len(in_reverse))) + b"]}"

    for _ in range(_TRIES):
        reader = MutationReader(Inbound(hmac_secret="hmac"))
        for _ in range(3):
            reader.read(reader.decode(usual)["Mutations"], FromBody("joined"))
        began = time.process_time()
        msgspec.json.decode(body)
        plain_s = time.process_time() - began
        began = time.process_time()
        reader.decode(body)
        cpu_s = time.process_time() - began
        if cpu_s <= _TIMES_PLAIN * plain_s:
            break
    assert cpu_s <= _TIMES_PLAIN * plain_s
