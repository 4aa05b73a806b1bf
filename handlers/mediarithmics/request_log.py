"""The lines of the feeds' function: one for a request that somebody may want to see, one a minute for the updates accepted."""

from __future__ import annotations

from typing import Any

from handlers.mediarithmics.requests import FeedRequest
from handlers.mediarithmics.routes import ASKED_OFTEN
from handlers.mediarithmics.trouble import Trouble
from handlers.problem import described
from relay.domain.clock import Clock
from relay.wide_log import Severity, log

EVERY_S = 60.0

STRANGERS_IN_A_SECOND = 10
"""So many requests of strangers have a line of their own; the others are counted in the next one that has."""

_UPDATES = frozenset({"update", "batch_update"})


class FeedRecord:
    """What is known of a request so far; filled in while it is worked on.

    answer    the status that the contract names
    accepted  identifiers that were queued, delivered or given back as rows
    note      what an operator may want to know besides, in a sentence
    """

    __slots__ = ("accepted", "answer", "connector", "datamart", "delivery", "feed", "note", "request_id", "route", "segment")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.route = ""
        self.feed = ""
        self.datamart = ""
        self.segment = ""
        self.connector = ""
        self.delivery = ""
        self.answer = ""
        self.accepted = 0
        self.note = ""

    @property
    def error_id(self) -> str:
        """Short enough to be read out to somebody."""
        return self.request_id[:8]

    def about(self, request: FeedRequest) -> None:
        """Which feed it concerns."""
        self.feed, self.datamart, self.segment = str(request.feed_id), str(request.datamart_id), str(request.segment_id)

    def fields(self) -> dict[str, Any]:
        """Those that are known."""
        names = ("request_id", "route", "feed", "datamart", "segment", "connector", "delivery", "answer", "accepted", "note")
        return {name: value for name in names if (value := getattr(self, name))}


class RequestLog:
    """Used on one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told_at = float("-inf")
        self._requests = 0
        self._identifiers = 0
        self._second = float("-inf")
        self._strangers = 0
        self._more = 0

    def write(self, record: FeedRecord, status: int, began: float, problem: Exception | None = None) -> None:
        """began: when the request came, monotonic seconds."""
        fields = record.fields() | {"status": status, "duration_ms": round((self._clock.monotonic() - began) * 1000, 1)}
        fields |= _described(problem, record)
        if status < 300 and problem is None and record.route in _UPDATES:
            log("feed_request", "DEBUG", **fields)
            self._count(record)
        else:
            log("feed_request", _severity(record, status, problem), **fields)

    def stranger(self, record: FeedRecord, status: int, began: float, problem: Exception) -> None:
        """One who was not let in: anybody can cause this line."""
        now = self._clock.monotonic()
        if now - self._second >= 1.0:
            self._second, self._strangers = now, 0
        self._strangers += 1
        if self._strangers > STRANGERS_IN_A_SECOND:
            self._more += 1
            return
        more, self._more = self._more, 0
        duration_ms = round((now - began) * 1000, 1)
        log(
            "feed_request",
            "WARNING",
            **record.fields(),
            status=status,
            duration_ms=duration_ms,
            **_described(problem, record),
            **({"more": more} if more else {}),
        )

    def _count(self, record: FeedRecord) -> None:
        self._requests += 1
        self._identifiers += record.accepted
        now = self._clock.monotonic()
        if now - self._told_at >= EVERY_S:
            log("feed_received", requests=self._requests, identifiers=self._identifiers)
            self._told_at = now
            self._requests = self._identifiers = 0


def _described(problem: Exception | None, record: FeedRecord) -> dict[str, str]:
    if isinstance(problem, Trouble):
        told = {"error": problem.code, "hint": str(problem)}
        return told if problem.public else {**told, "error_id": record.error_id}
    found = described(problem)
    return {**found, "error_id": record.error_id} if found.get("error") == "unexpected" else found


def _severity(record: FeedRecord, status: int, problem: Exception | None) -> Severity:
    if isinstance(problem, Trouble):
        return "WARNING" if problem.public else "ERROR"
    if problem is None:
        return "DEBUG" if status < 300 and record.route in ASKED_OFTEN else "INFO"
    if status in (401, 403, 429):
        return "WARNING"
    return "ERROR" if status >= 500 else "INFO"
