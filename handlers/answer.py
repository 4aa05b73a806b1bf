"""What goes back to the source, if it is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_GONE_WITHIN_S = 1.0


class Answer(Response):
    """A JSON answer that nobody may wait for any more. Made without what the base class does for all kinds of them.

    The server hangs up by itself on what is no HTTP, sometimes after it has handed over the beginning as a request. To write to
    such a connection is an error with uvloop, and what raises leaves pages in the log: for every one that anybody sends.
    """

    def __init__(self, status: int, content: bytes, *, request_id: str, headers: Mapping[str, str] | None = None) -> None:
        self.status_code = status
        self.body = content
        self.background = None
        self.raw_headers = [
            (b"content-length", b"%d" % len(content)),
            (b"content-type", b"application/json"),
            (b"x-request-id", request_id.encode("latin-1")),
        ]
        if headers:
            self.raw_headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self.body})
        except (OSError, RuntimeError):
            with suppress(TimeoutError, OSError, RuntimeError):
                async with asyncio.timeout(_GONE_WITHIN_S):
                    # Until the server knows it as well: it would complain about half an answer.
                    while (await receive())["type"] != "http.disconnect":
                        pass
