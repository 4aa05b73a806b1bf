"""A request's body: its bytes, within the limits of size and time. Shared by all sources."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from handlers.headers import first_of
from relay.domain.errors import Refusal

MAX_HELD_BYTES = 256 * 1024 * 1024
"""Of all bodies that are arriving at one process, together."""

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


def _too_large(limit: int, headers: dict[str, str] | None = None) -> Refusal:
    return Refusal(
        413, f"The request is larger than {limit:,} bytes. Please send it in smaller parts.", headers, code="body_too_large"
    )
