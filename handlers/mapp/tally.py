"""What was accepted, in a line a minute: a line for each request would cost more than the request itself."""

from __future__ import annotations

from handlers.mapp.request_log import RequestRecord
from relay.domain.clock import Clock
from relay.wide_log import log

EVERY_S = 60.0


class Tally:
    """Counts accepted changes. The first one has a line at once, and so has the first one after each minute, with all in between.
    Used on one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._written_at = float("-inf")
        self._requests = 0
        self._mutations = 0
        self._audiences = 0

    def add(self, record: RequestRecord) -> None:
        """One request that was answered with success; one without mutations does not count."""
        if not record.mutations:
            return
        self._requests += 1
        self._mutations += record.mutations
        self._audiences += record.audiences
        now = self._clock.monotonic()
        if now - self._written_at >= EVERY_S:
            log("received", requests=self._requests, mutations=self._mutations, audiences=self._audiences)
            self._written_at = now
            self._requests = self._mutations = self._audiences = 0
