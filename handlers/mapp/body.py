"""The request's body: its bytes within the limits of size and time, then JSON."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request

from handlers.mapp.headers import first_of
from handlers.mapp.values import too_deep
from relay.domain.errors import Refusal

MAX_CARRIED_BYTES = 16 * 1024
"""Encoded size of the body's other fields: they travel in every message made from the request."""

MAX_HELD_BYTES = 256 * 1024 * 1024
"""Of all bodies that are arriving at one process, together."""

_TOO_DEEP = "Objects or arrays in the body are nested too deeply."

_CLOSE = {"Connection": "close"}
"""For a body that has no announced end, or does not reach it: nobody waits for the rest."""


def require_announced_size(request: Request, limit: int) -> None:
    """Refuses a body whose announced length is over the limit, without reading it."""
    announced = first_of(request, b"content-length")
    if announced is not None and announced.isdigit() and (len(announced) > 18 or int(announced) > limit):
        raise _too_large(limit)


class HeldBytes:
    """Counts the bytes of all bodies that are still arriving, against one limit.

    A body is known to be genuine only once it is there in full; until then anybody could have this process hold one for each
    connection.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def add(self, size: int) -> None:
        """So many more. Refuses (503) them over the limit, and counts them all the same until they are released."""
        self._held += size
        if self._held > self._limit:
            raise Refusal(503, "Too many requests are arriving at once. Please send it again.", _CLOSE, code="too_much_held")

    def release(self, size: int) -> None:
        """So many are no longer held."""
        self._held -= size


async def read_bytes(request: Request, *, limit: int, within_s: float, held: HeldBytes) -> bytes:
    """The whole body. Refuses one that turns out larger than `limit`, takes longer to arrive than `within_s`, or has no room
    beside the others that are arriving.

    Raises starlette's `ClientDisconnect` where the sender goes away.
    """
    body = bytearray()  # and no list of chunks: the sender decides how small they are
    counted = 0
    expired = False
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - requests are handled in tasks

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    # What `asyncio.timeout` does, for a fraction of what it costs: those pay for it, too, that are refused right afterwards.
    timer = asyncio.get_running_loop().call_later(within_s, expire)
    try:
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk: bytes = message.get("body", b"")
            counted += len(chunk)
            held.add(len(chunk))
            if counted > limit:
                raise _too_large(limit, _CLOSE)
            if not message.get("more_body", False):
                return bytes(body) + chunk if body else chunk
            body += chunk
    except asyncio.CancelledError:
        if not expired or task.uncancel():
            raise
        raise Refusal(
            408, f"The request did not arrive within {within_s:g} seconds. Please send it again.", _CLOSE, code="body_timeout"
        ) from None
    finally:
        timer.cancel()
        held.release(counted)


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in the body. A name that is repeated exactly counts with its last value."""
    if not body.strip():
        raise _bad_json("The body is empty; it must be a JSON object.")
    try:
        content = msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise _bad_json("The body is not valid UTF-8.") from None
    except RecursionError:
        raise _bad_json(_TOO_DEEP) from None
    except msgspec.ValidationError:
        raise _bad_json("The body holds a number that is too large.") from None
    except ValueError:
        raise _bad_json("The body is not valid JSON.") from None
    if not isinstance(content, dict):
        raise _bad_json("The body must be a JSON object.")
    return content


def carried(fields: dict[str, Any]) -> dict[str, Any]:
    """The body's other fields as they travel with the messages. Refuses what is too large or too deep for that."""
    if not fields:
        return fields
    try:
        size = len(msgspec.json.encode(fields))
    except RecursionError:
        raise _bad_json(_TOO_DEEP) from None
    # First, since it is quickly found out, also of fields that are most of the body.
    if size > MAX_CARRIED_BYTES:
        sentence = f"The body's additional fields are larger than {MAX_CARRIED_BYTES // 1024} KB."
        raise Refusal(400, sentence, code="fields_too_large")
    if too_deep(fields):
        raise _bad_json(_TOO_DEEP)
    return fields


def _too_large(limit: int, headers: dict[str, str] | None = None) -> Refusal:
    return Refusal(
        413, f"The request is larger than {limit:,} bytes. Please send it in smaller parts.", headers, code="body_too_large"
    )


def _bad_json(sentence: str) -> Refusal:
    return Refusal(400, sentence, code="bad_json")
