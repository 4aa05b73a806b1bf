"""How much is worked on at once. What comes beyond it is told to come again, before it costs anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from handlers.mediarithmics.trouble import Trouble
from relay.domain.errors import Refusal

MAX_IN_FLIGHT = 72
"""Requests. Fewer than the platform of the function lets in (`deploy/deploy.sh`): those beyond it are told so by us, as the
contract wants it, and what must always be answered still gets in."""

MAX_WAITING = 48
"""Requests that wait for the deliveries of one connector: a partner that is slow takes no places from the others' requests."""

OVERLOADED = "Too many requests are being worked on. Please send it again in a moment."


class Load:
    """Counts requests in flight. Used on one event loop."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._in_flight = 0

    @contextmanager
    def place(self, *, hurried: bool) -> Iterator[None]:
        """A place for one request. Refuses (429) where there is none, unless it is one that must be answered (`hurried`)."""
        if self._in_flight >= self._limit and not hurried:
            raise overloaded()
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1


class Waiting:
    """Counts those who wait for deliveries, by connector. Used on one event loop."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def place(self, connector: str) -> Iterator[None]:
        """A place for one. Raises `Trouble` where there is none."""
        if self._waiting[connector] >= self._limit:
            raise Trouble("Too many updates wait for the partner's answer.", code="too_many_waiting", passes=True)
        self._waiting[connector] += 1
        try:
            yield
        finally:
            self._waiting[connector] -= 1


def overloaded() -> Refusal:
    """The refusal of one request too many."""
    return Refusal(429, OVERLOADED, code="overloaded")
