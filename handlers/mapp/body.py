"""The request's body: its bytes within the limits of size and time, then JSON."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.requests import Request

from handlers.mapp.headers import first_of
from handlers.mapp.values import too_deep
from relay.domain.errors import Refusal

MAX_CARRIED_BYTES = 16 * 1024
"""Encoded size of the body's other fields: they travel in every message made from the request."""

_CLOSE = {"Connection": "close"}
"""For a body that has no announced end, or does not reach it: nobody waits for the rest."""


def require_announced_size(request: Request, limit: int) -> None:
    """Refuses a body whose announced length is over the limit, without reading it."""
    announced = first_of(request, b"content-length")
    if announced is not None and announced.isdigit() and (len(announced) > 18 or int(announced) > limit):
        raise _too_large(limit)


async def read_bytes(request: Request, *, limit: int, within_s: float) -> bytes:
    """The whole body. Refuses one that turns out larger than `limit` or takes longer to arrive than `within_s`.

    Raises starlette's `ClientDisconnect` where the sender goes away.
    """
    chunks = []
    size = 0
    try:
        async with asyncio.timeout(within_s), aclosing(request.stream()) as stream:
            async for chunk in stream:
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit, _CLOSE)
                chunks.append(chunk)
    except TimeoutError:
        raise Refusal(
            408, f"The request did not arrive within {within_s:g} seconds. Please send it again.", _CLOSE, code="body_timeout"
        ) from None
    return b"".join(chunks)


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in the body. A name that is repeated exactly counts with its last value."""
    if not body.strip():
        raise _bad_json("The body is empty; it must be a JSON object.")
    try:
        content = msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise _bad_json("The body is not valid UTF-8.") from None
    except RecursionError:
        raise _bad_json("Objects or arrays in the body are nested too deeply.") from None
    except msgspec.ValidationError:
        raise _bad_json("The body holds a number that is too large.") from None
    except ValueError:
        raise _bad_json("The body is not valid JSON.") from None
    if not isinstance(content, dict):
        raise _bad_json("The body must be a JSON object.")
    return content


def carried(fields: dict[str, Any]) -> dict[str, Any]:
    """The body's other fields as they travel with the messages. Refuses what is too large or too deep for that."""
    if fields:
        if too_deep(fields):
            raise _bad_json("Objects or arrays in the body are nested too deeply.")
        if len(msgspec.json.encode(fields)) > MAX_CARRIED_BYTES:
            raise Refusal(
                400, f"The body's additional fields are larger than {MAX_CARRIED_BYTES // 1024} KB.", code="fields_too_large"
            )
    return fields


def _too_large(limit: int, headers: dict[str, str] | None = None) -> Refusal:
    return Refusal(
        413, f"The request is larger than {limit:,} bytes. Please send it in smaller parts.", headers, code="body_too_large"
    )


def _bad_json(sentence: str) -> Refusal:
    return Refusal(400, sentence, code="bad_json")
