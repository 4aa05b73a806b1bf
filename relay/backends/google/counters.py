"""Counters and latencies by minute. A document for each connector, hour and shard: a busy connector makes no hot document.

    counters/{connector}-{hour}-{shard}  expire_at · the keys `in_connector` and `in_all` with the hour in seconds since the epoch
                                         counts: minute of the hour → outcome → number
                                         latencies: minute of the hour → upper bound of the class in ms → number

Hours that have been over for an hour are added up by `days.AddingUp`, a document for each connector and day. A view of a
connector's last 24 hours reads two of these, and the documents of the hours that are not in them: of the first one, and of the
last two or three; of each, up to 10 where many processes deliver for the connector all the time. That of an hour reads those of
up to 2.
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Iterator

from relay.backends.google.days import Field, added_up, of_days
from relay.backends.google.documents import Documents, Write
from relay.backends.google.names import safe_name
from relay.backends.google.ordered import Line, name_in, ordered_key
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

    def sums(self, field: Field, connector: str | None, *, since: float) -> dict[str, int]:
        """Outcome or latency class → number since that moment, by minutes. Of one connector, or of all."""
        sums: defaultdict[str, int] = defaultdict(int)
        for _, _, name, number in self.by_hour(field, connector, since=since):
            sums[name] += number
        return dict(sums)

    def by_hour(self, field: Field, connector: str | None, *, since: float) -> Iterator[tuple[str, int, str, int]]:
        """(connector, hour, outcome or latency class, number) since that moment, by minutes; the same hour can come more than
        once."""
        first = self._first(since)
        hour = first // HOUR_S * HOUR_S
        next_hour = hour + HOUR_S if first > hour else hour
        added_up_to = added_up(self._documents) if self._clock.now() - next_hour > HOUR_S else 0
        if added_up_to > next_hour:
            yield from self._hours(field, connector, first, next_hour)
            yield from of_days(self._documents, field, connector, next_hour, added_up_to)
            first = added_up_to
        yield from self._hours(field, connector, first, None)

    def by_minute(self, connector: str, *, since: float) -> list[tuple[int, dict[str, int]]]:
        """As `interfaces.Reports.by_minute`."""
        minutes: defaultdict[int, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for _, minute, numbers in self._minutes("counts", connector, self._first(since), None):
            for outcome, number in numbers.items():
                minutes[minute][outcome] += number
        return [(minute, dict(sorted(minutes[minute].items()))) for minute in sorted(minutes)]

    def _first(self, since: float) -> int:
        """The first minute to look at."""
        return int(max(since, self._clock.now() - COUNTERS_KEPT_S) // _MINUTE_S) * _MINUTE_S

    def _hours(
        self, field: Field, connector: str | None, first: int, end: int | None
    ) -> Iterator[tuple[str, int, str, int]]:
        for of, minute, numbers in self._minutes(field, connector, first, end):
            for name, number in numbers.items():
                yield of, minute // HOUR_S * HOUR_S, name, number

    def _minutes(
        self, field: Field, connector: str | None, first: int, end: int | None
    ) -> Iterator[tuple[str, int, dict[str, int]]]:
        """(connector, minute, numbers) from that minute on, to that hour."""
        if first == end:
            return
        line = ALL_COUNTERS if connector is None else Line(COUNTERS, "in_connector", (connector,))
        before = first // HOUR_S * HOUR_S - 1
        for page in line.pages(self._documents, above=before, below=end, fields=("in_connector", line.field, field)):
            for hour, stored in page:
                of = name_in(stored.fields["in_connector"])
                for minute, numbers in stored.fields.get(field, {}).items():
                    at = hour + int(minute) * _MINUTE_S
                    if at >= first:
                        yield of, at, numbers
