"""Bytes that are no HTTP, or nearly: the receiver's process answers or hangs up, says nothing in its log, and goes on."""

from __future__ import annotations

import itertools
import json
import random
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from relay.domain.message import decode
from tests.end_to_end.stack import BASIC, HMAC_SECRET, Stack
from tests.hostile.documents import CANARY
from tests.hostile.test_receiver import DOCUMENTED
from tests.unit.mapp.edge import basic, signature

BY_THE_SERVER = {400, 404, 405}
"""What the server below us answers by itself, in plain text (docs/wire-format.md)."""


_SILENCE_S = 0.1
"""Nothing more is expected after so long."""


class Answer(NamedTuple):
    """One of those that came over a connection."""

    status: int
    head: bytes
    content: bytes


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(tmp_path)
    try:
        made.start("receiver")
        yield made
    finally:
        made.stop()


def _body(number: int) -> bytes:
    return json.dumps({"Type": "ADD_TO_AUDIENCE", "Mutations": [{"Audience": "a", "User": f"{CANARY}-{number}"}]}).encode()


def _genuine(number: int, *more: bytes, framing: bytes | None = None) -> bytes:
    """A request that would be accepted, with these headers beside it. framing: instead of its right length."""
    body = _body(number)
    lines = [
        b"POST /pangolin?type=ADD_TO_AUDIENCE HTTP/1.1", b"Host: localhost", b"Authorization: " + basic(BASIC).encode(),
        b"X-HMAC: " + signature(body, HMAC_SECRET).encode(), framing or b"Content-Length: %d" % len(body), *more,
    ]  # fmt: skip
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


_ODD_HEADERS = (
    b"Content-Length: 0", b"Content-Length: -1", b"Content-Length: 1e3", b"Content-Length: 99999999999999999999",
    b"Content-Length:", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: xchunked",
    b"Expect: 100-continue", b"Expect: 200-ok", b"Upgrade: websocket\r\nConnection: upgrade",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings", b"Connection: close", b"X: " + b"y" * 100_000,
    b"X" * 20_000 + b": y", b"X: y\r\n folded", b": empty", b"no colon", b"X\0: y", b"X: \0", b"X: \xff\xfe",
    b"X-HMAC: other", b"Host: a\r\nHost: b", b"Content-Encoding: gzip", b"X : y", b"X: y\nY: z",
    b"\r\n".join([b"X: y"] * 2_000),
)  # fmt: skip

_NO_HTTP = (
    b"", b"\r\n" * 100, b"\0" * 100, b"GET", b"GET /", b"GET / HTTP/9.9\r\n\r\n", b"GET  /  HTTP/1.1\r\n\r\n",
    b"get / http/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 300, b"SSH-2.0-x\r\n",
    b"GET http://elsewhere/ HTTP/1.1\r\nHost: x\r\n\r\n", b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"POST / HTTP/1.0\r\n\r\n", b"POST /\xff\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /%00%ff%2e%2e/%0d%0aX:y HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", b"GET //pangolin HTTP/1.1\r\n\r\n",
    b"GET ?type=VALIDATE HTTP/1.1\r\n\r\n",
)  # fmt: skip

_CHUNKS = (
    b"0\r\n\r\n", b"-1\r\n", b"FFFFFFFFFFFFFFFFFF\r\nx", b"5\r\nabc\r\n0\r\n\r\n", b"3\r\nabcdef",
    b"3;" + b"x" * 50_000 + b"\r\nabc\r\n0\r\n\r\n", b"3 \r\nabc\r\n0\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n", b"3\nabc\n0\n\n",
    b"1\r\na\r\n" * 2_000, b"0\r\nX-HMAC: late\r\n\r\n", b"zz\r\n",
)  # fmt: skip


def _sent(chance: random.Random, number: int) -> bytes:
    match chance.randrange(8):
        case 0:
            return chance.choice(_NO_HTTP)
        case 1 | 2:
            return _genuine(number, *chance.choices(_ODD_HEADERS, k=chance.randint(1, 2)))
        case 3:
            head = _genuine(number, framing=b"Transfer-Encoding: chunked").partition(b"\r\n\r\n")[0]
            return head + b"\r\n\r\n" + chance.choice(_CHUNKS)
        case 4:
            request = _genuine(number)
            return request[: chance.randrange(len(request))]
        case 5:
            return _genuine(number) * chance.choice([2, 3]) + chance.choice(_NO_HTTP)
        case 6:
            changed = bytearray(_genuine(number))
            for _ in range(chance.choice([1, 2, 5])):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            return bytes(changed)
        case _:
            return _genuine(number, framing=chance.choice([b"Content-Length: 5", b"Content-Length: 500", b"X: y"]))


def _exchanged(port: int, sent: bytes, chance: random.Random) -> bytes:
    """All that comes back. The sender waits for an answer, or closes its side, which is for the server as if it went away."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, suppress(ConnectionError):
        for part in (sent[:9], sent[9:]) if chance.random() < 0.2 else (sent,):
            connection.sendall(part)
        if chance.random() < 0.5:
            connection.settimeout(_SILENCE_S)
        else:
            with suppress(OSError):  # it has hung up already
                connection.shutdown(socket.SHUT_WR)
        with suppress(TimeoutError):
            while chunk := connection.recv(65_536):
                received += chunk
    return received


def _answers(received: bytes) -> list[Answer]:
    """Those that came whole."""
    found = []
    while received:
        head, blank, rest = received.partition(b"\r\n\r\n")
        if not blank:
            break
        status = int(head.split()[1])
        lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0]) if lengths else 0 if status < 200 else len(rest)
        if status >= 200:
            found.append(Answer(status, head, rest[:length]))
        received = rest[length:]
    return found


@pytest.mark.timeout(0)
def test_a_process_outlives_whatever_is_sent_to_its_port(stack: Stack, fuzz_seconds: float) -> None:
    until = time.monotonic() + fuzz_seconds
    accepted, number = 0, 0
    for number in itertools.count():
        if time.monotonic() > until:
            break
        chance = random.Random(number)
        sent = _sent(chance, number)
        try:
            for answer in _answers(_exchanged(stack.ports["receiver"], sent, chance)):
                accepted += _check(answer)
        except (AssertionError, OSError) as error:
            raise AssertionError(f"case {number}: {sent[:2_000]!r}") from error
    assert stack.change("a", [f"{CANARY}-last"]).status_code == 200
    assert stack.processes["receiver"].poll() is None
    log = stack.output("receiver")
    assert "Traceback" not in log
    assert '"severity":"ERROR"' not in log
    assert not any(secret in log for secret in (CANARY, HMAC_SECRET, BASIC))
    queued = [decode(body) for (body,) in stack.backend.database.rows("SELECT body FROM messages")]
    assert sum(len(message.mutations) for message in queued) >= accepted + 1
    assert accepted > number / 30, "most of them are refused too early to try anything"


def _check(answer: Answer) -> int:
    """How many mutations it says are accepted."""
    if b"application/json" not in answer.head:
        assert answer.status in BY_THE_SERVER
        assert len(answer.content) < 100
        return 0
    assert answer.status in DOCUMENTED
    content = json.loads(answer.content)
    if answer.status != 200:
        assert content["error"].endswith((".", ")"))
        return 0
    return int(content.get("accepted", 0))
