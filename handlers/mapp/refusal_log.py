"""The lines of requests that were refused before they were known to be genuine: anybody can cause them, as many as he likes.

Written one by one, they would cost more than refusing does, and fill the disk, or the bill, of whoever keeps the log.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from handlers.mapp.request_log import RequestRecord
from relay.domain.clock import Clock
from relay.domain.errors import Refusal
from relay.wide_log import Severity, log

IN_A_SECOND = 10
"""So many of each connector and kind have a line of their own; the others are counted, in a line for each kind of them when the
second is over. A flood at one address takes no lines, and so no request IDs, from a DMP whose secret is wrong at another."""

MOST_SHARES = 32
"""So many connectors and kinds have lines of their own in a second: else who knows many names could cause lines for each."""

TOO_MUCH_HELD = "too_much_held"
"""The one trouble of ours (`handlers.body.HeldBytes`) that anybody can cause."""

_SECOND_S = 1.0

_Kind = tuple[str, int, str]
"""Connector, status, code."""


class RefusalLog:
    """Used on one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = float("-inf")
        self._written: Counter[_Kind] = Counter()
        self._counted: Counter[_Kind] = Counter()

    def write(self, record: RequestRecord, refusal: Refusal, began: float) -> None:
        """began: when the request came, monotonic seconds."""
        kind = record.connector, refusal.status, refusal.code
        now = self._clock.monotonic()
        if _is_trouble_of_ours(refusal) or self._has_share(kind, now):
            record.write(refusal.status, (now - began) * 1000, refusal)
            return
        if not self._counted:
            asyncio.get_running_loop().call_later(_SECOND_S, self._tell)
        self._counted[kind] += 1

    def _has_share(self, kind: _Kind, now: float) -> bool:
        if now - self._began >= _SECOND_S:
            self._began = now
            self._written.clear()
        written = self._written[kind]  # reading adds nothing
        if written >= IN_A_SECOND or (not written and len(self._written) >= MOST_SHARES):
            return False
        self._written[kind] = written + 1
        return True

    def _tell(self) -> None:
        counted, self._counted = self._counted, Counter()
        for (connector, status, code), number in counted.items():
            level: Severity = "ERROR" if status >= 500 else "WARNING"
            log("requests_refused", level, connector=connector, status=status, error=code, more=number)


def _is_trouble_of_ours(refusal: Refusal) -> bool:
    """Whether it is for an operator to see, and nobody else's doing."""
    return refusal.status >= 500 and refusal.code != TOO_MUCH_HELD
