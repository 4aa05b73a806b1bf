"""Counters and latencies of past hours, added up: a document for each connector and day, so that a week is few reads.

    days/{connector}-{day}  expire_at · the keys `in_connector` and `in_all` with the day's beginning in seconds since the epoch
                            counts: hour of the day → outcome → number
                            latencies: hour of the day → upper bound of the class in ms → number
    settings/days           up_to: hours before this one, seconds since the epoch, are in them

A message is counted in its hour's documents alone (see `counters`): it costs no write more. The tidying of every hour adds up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Literal

from relay.backends.google.documents import Documents, Stored, Write
from relay.backends.google.names import safe_name
from relay.backends.google.ordered import Line, name_in, number_in, ordered_key
from relay.backends.google.values import moment
from relay.backends.interfaces import COUNTERS_KEPT_S
from relay.domain.clock import Clock

DAYS = "days"
ALL_DAYS = Line(DAYS, "in_all")
DAY_S = 86_400

_ADDED_UP = "settings/days"
_HOUR_S = 3_600
_WAIT_S = 3_600
"""So long after its end an hour is added up: an attempt is counted at its end, in the minute in which it began."""
_AT_ONCE = 200

Field = Literal["counts", "latencies"]
FIELDS: tuple[Field, ...] = ("counts", "latencies")

Hours = dict[str, dict[str, int]]
"""Hour of the day → outcome or latency class → number."""


def added_up(documents: Documents) -> int:
    """The first hour that is not in the documents of days; 0 if none is. One read."""
    stored = documents.get(_ADDED_UP)
    return int(stored.fields["up_to"]) if stored else 0


def of_days(
    documents: Documents, field: Field, connector: str | None, first: int, end: int
) -> Iterator[tuple[str, int, str, int]]:
    """(connector, hour, outcome or latency class, number) from the hour `first` on, to `end`: a read for each connector and
    day."""
    line = ALL_DAYS if connector is None else Line(DAYS, "in_connector", (connector,))
    before = first // DAY_S * DAY_S - 1
    for page in line.pages(documents, above=before, below=end, fields=("in_connector", line.field, field)):
        for day, stored in page:
            of = name_in(stored.fields["in_connector"])
            for hour, numbers in stored.fields.get(field, {}).items():
                at = day + int(hour) * _HOUR_S
                if first <= at < end:
                    for name, number in numbers.items():
                        yield of, at, name, number


class AddingUp:
    """Puts past hours into the documents of their days. It may be done again: what an hour had is put in its place. Several at
    once do no harm."""

    def __init__(self, documents: Documents, clock: Clock, hours: Line) -> None:
        """hours: all documents of hours."""
        self._documents = documents
        self._clock = clock
        self._hours = hours

    def add_up(self) -> None:
        """All hours that are over, a day after the other."""
        now = self._clock.now()
        end = int((now - _WAIT_S) // _HOUR_S) * _HOUR_S
        start = max(added_up(self._documents), int(now - COUNTERS_KEPT_S) // _HOUR_S * _HOUR_S)
        while start < end and (found := self._documents.query(self._hours.query(above=start - 1, below=end, limit=1))):
            first = number_in(found[0].fields[self._hours.field])
            day = first // DAY_S * DAY_S
            start = min(end, day + DAY_S)
            self._add_up(day, first, start)
            self._documents.commit([Write(_ADDED_UP, fields={"up_to": start})])

    def _add_up(self, day: int, first: int, end: int) -> None:
        """The hours of this day from the first on, to `end`."""
        sums: defaultdict[str, dict[Field, defaultdict[str, defaultdict[str, int]]]]
        sums = defaultdict(lambda: {field: defaultdict(lambda: defaultdict(int)) for field in FIELDS})
        fields = ("in_connector", self._hours.field, *FIELDS)
        for page in self._hours.pages(self._documents, above=first - 1, below=end, fields=fields):
            for hour, stored in page:
                of = sums[name_in(stored.fields["in_connector"])]
                for field in FIELDS:
                    for numbers in stored.fields.get(field, {}).values():
                        for name, number in numbers.items():
                            of[field][str((hour - day) // _HOUR_S)][name] += number
        connectors = list(sums)
        for start in range(0, len(connectors), _AT_ONCE):
            part = connectors[start : start + _AT_ONCE]
            self._documents.change(self._written({of: sums[of] for of in part}, day))

    def _written(self, sums: dict[str, Any], day: int) -> Callable[[], None]:
        paths = {f"{DAYS}/{safe_name(of)}-{day}": of for of in sums}

        def write() -> None:
            known = self._documents.get_all(paths)
            self._documents.commit([_day_write(path, of, day, sums[of], known.get(path)) for path, of in paths.items()])

        return write


def _day_write(path: str, connector: str, day: int, sums: dict[Field, Hours], known: Stored | None) -> Write:
    """These hours in the place of what the document has of them."""
    before = known.fields if known else {}
    fields: dict[str, Any] = {
        "in_connector": ordered_key((connector,), day),
        "in_all": ordered_key((), day),
        "expire_at": moment(day + DAY_S + COUNTERS_KEPT_S),
    }
    for field in FIELDS:
        fields[field] = {**before.get(field, {}), **{hour: dict(numbers) for hour, numbers in sums[field].items()}}
    return Write(path, fields=fields, exists=False) if known is None else Write(path, fields=fields, updated=known.updated)
