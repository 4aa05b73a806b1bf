"""A clock that tests turn."""

from __future__ import annotations

import threading


class TurnedClock:
    """Stands still until it is turned; `sleep` turns it and returns at once."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._monotonic = 1_000.0
        self._lock = threading.Lock()

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float, *, monotonic: bool = True) -> None:
        """Turns it. `monotonic=False`: a machine that was frozen, whose monotonic clock stood still."""
        with self._lock:
            self._now += seconds
            if monotonic:
                self._monotonic += seconds
