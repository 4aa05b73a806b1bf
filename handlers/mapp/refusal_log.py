"""The lines of requests that were refused before they were known to be genuine: anybody can cause them, as many as he likes.

Written one by one, they would cost more than refusing does, and fill the disk, or the bill, of whoever keeps the log.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from handlers.mapp.request_log import RequestRecord
from relay.domain.clock import Clock
from relay.domain.errors import Refusal
from relay.wide_log import log

IN_A_SECOND = 10
"""So many have a line of their own; the others are counted, in a line for each kind of them when the second is over."""

_SECOND_S = 1.0


class RefusalLog:
    """Used on one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = float("-inf")
        self._written = 0
        self._counted: Counter[tuple[str, int, str]] = Counter()

    def write(self, record: RequestRecord, refusal: Refusal, began: float) -> None:
        """began: when the request came, monotonic seconds."""
        now = self._clock.monotonic()
        if now - self._began >= _SECOND_S:
            self._began, self._written = now, 0
        if self._written < IN_A_SECOND:
            self._written += 1
            record.write(refusal.status, (now - began) * 1000, refusal)
            return
        if not self._counted:
            asyncio.get_running_loop().call_later(_SECOND_S, self._tell)
        self._counted[record.connector, refusal.status, refusal.code] += 1

    def _tell(self) -> None:
        counted, self._counted = self._counted, Counter()
        for (connector, status, code), number in counted.items():
            log("requests_refused", "WARNING", connector=connector, status=status, error=code, more=number)
