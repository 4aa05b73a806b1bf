"""From what a route came to, to an HTTP answer: each route's statuses, as the contract lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from handlers.answer import Answer

Visibility = Literal["PUBLIC", "PRIVATE"]

LEAST_DELAY_MS = 100
USUAL_DELAY_S = 5.0
"""Where nobody knows when it is worth another try."""

_DELAY_HEADER = "x-mics-next-msg-delay"

_encoder = msgspec.json.Encoder()


class Result(msgspec.Struct, frozen=True):
    """What a route came to.

    status    as the contract names it for this route
    delay_ms  when the platform may try again; 0: it is not told
    fields    those of the answer that only some routes have
    """

    status: str
    message: str = ""
    visibility: Visibility | None = None
    delay_ms: int = 0
    fields: dict[str, Any] = {}

    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        body: dict[str, Any] = {"status": self.status, **self.fields}
        if self.message:
            body["message"] = self.message
        if self.visibility:
            body["visibility"] = self.visibility
        if self.delay_ms:
            body["next_msg_delay_in_ms"] = self.delay_ms
        return body


def delay_ms(seconds: float | None) -> int:
    """For an answer that asks the platform to come again."""
    return max(LEAST_DELAY_MS, round((USUAL_DELAY_S if seconds is None else seconds) * 1000))


def answer(result: Result, statuses: Mapping[str, int], request_id: str) -> Answer:
    """The result of a route with these statuses."""
    headers = {_DELAY_HEADER: str(result.delay_ms)} if result.delay_ms else None
    return Answer(statuses[result.status], _encoder.encode(result.body()), request_id=request_id, headers=headers)


def plain(status: int, body: Mapping[str, Any] | None, request_id: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer without a status of the contract's; None: an empty one."""
    return Answer(status, b"" if body is None else _encoder.encode(body), request_id=request_id, headers=headers)
