"""Requests that went wrong around their body: type, signature, headers, method, path; and what they look like to the receiver."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from tests.hostile.documents import damage, damage_bytes, valid, written
from tests.unit.mapp.edge import CREDENTIALS, PREVIOUS_SECRET, SECRET, basic, signature

KINDS = ("ADD_TO_AUDIENCE", "REMOVE_FROM_AUDIENCE", "CREATE_AUDIENCE", "VALIDATE")
_OFTEN = (*KINDS, *KINDS[:2] * 3)


class Exchange(NamedTuple):
    """A request as the server hands it over. chunks: how the body arrives."""

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    chunks: list[bytes]


def exchange(chance: random.Random) -> Exchange:
    """One of any kind; most of them are genuine, since what is not gets no further than that."""
    kind = chance.choice(_OFTEN)
    document = valid(chance, kind)
    for _ in range(chance.choice([0, 1, 1, 2, 4])):
        damage(chance, document)
    body = written(document)
    if chance.random() < 0.15:
        body = damage_bytes(chance, body)
    return Exchange(
        method=chance.choice(["POST"] * 60 + ["GET", "PUT", "HEAD", "post", "M-SEARCH"]),
        path=chance.choice([*["/pangolin"] * 60, "/", "", "/pangolin/", "/with-basic", "//pangolin", "/nobody", "/\0", "/" * 9]),
        query=_query(chance, kind),
        headers=_headers(chance, body),
        body=body,
        chunks=_chunks(chance, body),
    )


_ODD_QUERIES = (
    b"type", b"type=%ff%00", b"=&=", b"%74ype=VALIDATE", b"type=" + b"%" * 50, b"&" * 2_000, b"\xff=\xfe", b"type=&type=",
)  # fmt: skip
_OF_NOTHING = signature(b"").encode()
_NAMES = (b"authorization", b"content-encoding", b"content-type", b"host", b"x-hmac", b"content-length", b"forwarded")
_ODD_VALUES = (
    b"", b"\xff", b"a" * 20_000, b"Basic", b"Basic \xff", b"Basic " + b"A" * 5_000, b"gzip", b"0", b"-1", b"1e9",
)  # fmt: skip


def _query(chance: random.Random, kind: str) -> bytes:
    match chance.randrange(24):
        case 0:
            return f"type={kind}&Type={chance.choice(KINDS)}".encode()
        case 1:
            return chance.choice(_ODD_QUERIES)
        case 2:
            odd = chance.choice([kind.lower(), f" {kind}", f"{kind}\0", "\u0130", "x" * 9_000, kind[:-1], "%", "&&&;=;"])
            return f"a=1&TYPE={quote(odd)}".encode()
        case _:
            return chance.choice([b"", f"type={kind}".encode()])


def _headers(chance: random.Random, body: bytes) -> list[tuple[bytes, bytes]]:
    signed = signature(body, chance.choice([SECRET, SECRET, PREVIOUS_SECRET])).encode()
    match chance.randrange(40):
        case 0:
            signed = signed.upper()
        case 1:
            signed = signed[:-1] + b"0"
        case 2:
            signed = chance.choice([b"", b"\xff" * 40, b"0" * 40, signed[:-1], signed + b"0", b"sha1=" + signed, _OF_NOTHING])
    headers = [(b"host", b"localhost"), (b"x-hmac", signed), (b"content-length", str(len(body)).encode())]
    if chance.random() < 0.5:
        headers.append((b"authorization", basic(CREDENTIALS).encode()))
    if chance.random() < 0.15:
        headers.insert(chance.randrange(len(headers) + 1), (chance.choice(_NAMES), chance.choice(_ODD_VALUES)))
    return headers


def _chunks(chance: random.Random, body: bytes) -> list[bytes]:
    if chance.random() < 0.7 or not body:
        return [body]
    size = chance.choice([1, 7]) if len(body) < 500 else 4_096
    return [body[start : start + size] for start in range(0, len(body), size)]


async def answered(receiver: Callable[[Request], Awaitable[Response]], asked: Exchange) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of the receiver's answer, sent through ASGI."""
    arriving = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in asked.chunks]
    arriving.append({"type": "http.request", "body": b"", "more_body": False})
    sent: list[Any] = []

    async def receive() -> Any:
        return arriving.pop(0) if arriving else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": asked.method, "path": asked.path, "raw_path": asked.path.encode(), "query_string": asked.query,
        "headers": asked.headers, "server": ("127.0.0.1", 8080), "client": ("127.0.0.1", 1), "scheme": "http", "root_path": "",
        "http_version": "1.1",
    }  # fmt: skip
    response = await receiver(Request(scope, receive))
    await response(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]), headers
