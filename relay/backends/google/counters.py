"""Counters and latencies by minute. A document for each connector, hour and shard: a busy connector makes no hot document.

    counters/{connector}-{hour}-{shard}  expire_at · the keys `in_connector` and `in_all` with the hour in seconds since the epoch
                                         counts: minute of the hour → outcome → number
                                         latencies: minute of the hour → upper bound of the class in ms → number

A view of a connector's day reads the documents of up to 25 hours: 25 where one process delivers for it, now and then, and 250
where many do all the time. That of an hour reads those of up to 2.
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Literal

from relay.backends.google.documents import Documents, Write
from relay.backends.google.names import safe_name
from relay.backends.google.ordered import Line, ordered_key
from relay.backends.google.values import moment
from relay.backends.interfaces import COUNTERS_KEPT_S, latency_class
from relay.domain.clock import Clock
from relay.domain.outcome import Report

COUNTERS = "counters"
SHARDS = 10

HOUR_S = 3600
_MINUTE_S = 60
_RARELY_S = 1.0

ALL_COUNTERS = Line(COUNTERS, "in_all")


class Shards:
    """In which shard a process counts an attempt: in its own, so that few documents are to be read, where the connector's last
    attempt was a second ago; else in any, by chance: a document takes about one write a second for long
    (https://firebase.google.com/docs/firestore/best-practices).
    """

    def __init__(self, clock: Clock, chance: random.Random) -> None:
        self._clock = clock
        self._chance = chance
        self._own = chance.randrange(SHARDS)
        self._lock = threading.Lock()
        self._counted_at: dict[str, float] = {}

    def next(self, connector: str) -> int:
        """The shard for an attempt of this connector, from 0 on."""
        now = self._clock.monotonic()
        with self._lock:
            before = self._counted_at.get(connector)
            self._counted_at[connector] = now
            rarely = before is None or now - before >= _RARELY_S
            return self._own if rarely else self._chance.randrange(SHARDS)


def counter_writes(report: Report, shard: int) -> list[Write]:
    """What counts the attempt, in this shard; nothing where it has nothing to count."""
    hour = int(report.at // HOUR_S) * HOUR_S
    minute = int(report.at % HOUR_S // _MINUTE_S)
    add = {f"counts.{minute}.{outcome}": number for outcome, number in report.counts.items() if number}
    delivered = report.counts.get("delivered", 0)
    if delivered:
        add[f"latencies.{minute}.{latency_class(report.lag_ms)}"] = delivered
    if not add:
        return []
    fields = {
        "in_connector": ordered_key((report.connector,), hour),
        "in_all": ordered_key((), hour),
        "expire_at": moment(hour + HOUR_S + COUNTERS_KEPT_S),
    }
    path = f"{COUNTERS}/{safe_name(report.connector)}-{hour}-{shard}"
    return [Write(path, "merge", fields, add)]


class Counters:
    """Reads them. What is older than they are kept is not read, whether or not it was deleted yet."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    def sums(self, field: Literal["counts", "latencies"], connector: str | None, *, since: float) -> dict[str, int]:
        """Outcome or latency class → number since that moment, by minutes. Of one connector, or of all."""
        sums: defaultdict[str, int] = defaultdict(int)
        for _, numbers in self._minutes(field, connector, since):
            for name, number in numbers.items():
                sums[name] += number
        return dict(sums)

    def by_minute(self, connector: str, *, since: float) -> list[tuple[int, dict[str, int]]]:
        """As `interfaces.Reports.by_minute`."""
        minutes: defaultdict[int, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for minute, numbers in self._minutes("counts", connector, since):
            for outcome, number in numbers.items():
                minutes[minute][outcome] += number
        return [(minute, dict(sorted(minutes[minute].items()))) for minute in sorted(minutes)]

    def _minutes(self, field: str, connector: str | None, since: float) -> Iterator[tuple[int, dict[str, int]]]:
        first = int(max(since, self._clock.now() - COUNTERS_KEPT_S) // _MINUTE_S) * _MINUTE_S
        line = ALL_COUNTERS if connector is None else Line(COUNTERS, "in_connector", (connector,))
        before = first // HOUR_S * HOUR_S - 1
        for page in line.pages(self._documents, above=before, fields=(line.field, field)):
            for hour, stored in page:
                for minute, numbers in stored.fields.get(field, {}).items():
                    at = hour + int(minute) * _MINUTE_S
                    if at >= first:
                        yield at, numbers
