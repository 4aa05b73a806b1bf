"""Slows down whoever guesses passwords."""

from __future__ import annotations

import threading
from collections import OrderedDict

from relay.domain.clock import Clock

FREE_FAILURES = 3
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
MOST_REMEMBERED = 1_000


class Throttle:
    """Counts failed logins by where they come from. After some, each next try has to wait twice as long as the one before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_s(self, origin: str) -> float:
        """Seconds until this one may try again; 0: now."""
        with self._lock:
            failures, last_at = self._failures.get(origin, (0, 0.0))
        if failures < FREE_FAILURES:
            return 0.0
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (failures - FREE_FAILURES))
        return max(0.0, last_at + pause_s - self._clock.monotonic())

    def failed(self, origin: str) -> None:
        """One more; who failed longest ago is forgotten when there are too many."""
        with self._lock:
            failures, _ = self._failures.pop(origin, (0, 0.0))
            self._failures[origin] = failures + 1, self._clock.monotonic()
            if len(self._failures) > MOST_REMEMBERED:
                self._failures.popitem(last=False)

    def succeeded(self, origin: str) -> None:
        with self._lock:
            self._failures.pop(origin, None)
