"""Counters and latencies as rows: by minute, and added up by hour in the same transaction, a row for each connector and day.

Whatever is read since a moment is added up from the minutes of the hour in which that moment lies, and from whole hours after it.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import msgspec

from relay.backends.embedded.database import Database
from relay.backends.interfaces import latency_class
from relay.domain.outcome import Report

MINUTE_S = 60
HOUR_S = 3_600
DAY_S = 86_400

Numbers = dict[str, int]
"""What is counted → number."""

_hours = msgspec.json.Decoder(dict[int, Numbers])
_encode = msgspec.json.encode

_DAYS_KNOWN = 8_192
"""Sums of days that a process remembers, a kilobyte or two each: a week of a thousand connectors."""
_DAYS_SUMMED = 32
"""Days that a process remembers of all connectors together, a kilobyte or two for each connector."""


class Counted(msgspec.Struct, frozen=True):
    """A table with its sums by hour. column: what is counted apart in it."""

    table: str
    column: str

    @property
    def daily(self) -> str:
        """The table of the sums, a row for each connector and day."""
        return f"daily_{self.table}"


COUNTERS = Counted("counters", "outcome")
LATENCIES = Counted("latencies", "within_ms")
COUNTED = (COUNTERS, LATENCIES)


def minute_of(moment: float) -> int:
    """Its beginning, seconds since the epoch."""
    return int(moment // MINUTE_S) * MINUTE_S


def hour_of(moment: float) -> int:
    """Its beginning, seconds since the epoch."""
    return int(moment // HOUR_S) * HOUR_S


def _day_of(moment: float) -> int:
    return int(moment // DAY_S) * DAY_S


def count(connection: sqlite3.Connection, report: Report) -> None:
    """Counts the attempt."""
    _add(connection, COUNTERS, report, {outcome: number for outcome, number in report.counts.items() if number})
    delivered = report.counts.get("delivered", 0)
    if delivered:
        _add(connection, LATENCIES, report, {str(latency_class(report.lag_ms)): delivered})


def _add(connection: sqlite3.Connection, counted: Counted, report: Report, numbers: Numbers) -> None:
    if not numbers:
        return
    connection.executemany(
        f"INSERT INTO {counted.table} (connector, minute, {counted.column}, number) VALUES (?, ?, ?, ?)"  # noqa: S608 - ours
        " ON CONFLICT DO UPDATE SET number = number + excluded.number",
        [(report.connector, minute_of(report.at), name, number) for name, number in numbers.items()],
    )
    day = _day_of(report.at)
    hours = _day(connection, counted, report.connector, day)
    hour = hours.setdefault((hour_of(report.at) - day) // HOUR_S, {})
    for name, number in numbers.items():
        hour[name] = hour.get(name, 0) + number
    _put_day(connection, counted, report.connector, day, hours)


def _day(connection: sqlite3.Connection, counted: Counted, connector: str, day: int) -> dict[int, Numbers]:
    row = connection.execute(
        f"SELECT hours FROM {counted.daily} WHERE connector = ? AND day = ?", (connector, day)  # noqa: S608 - ours
    ).fetchone()
    return _hours.decode(row[0]) if row else {}


def _put_day(connection: sqlite3.Connection, counted: Counted, connector: str, day: int, hours: dict[int, Numbers]) -> None:
    connection.execute(
        f"INSERT INTO {counted.daily} (connector, day, hours) VALUES (?, ?, ?)"  # noqa: S608 - ours
        " ON CONFLICT DO UPDATE SET hours = excluded.hours",
        (connector, day, _encode(hours).decode()),
    )


def numbers_of(
    database: Database, counted: Counted, connector: str | None, *, since: float
) -> Iterator[tuple[str, int, Numbers]]:
    """(connector, hour, numbers) since that minute: each connector's hours in order; of one connector, or of all."""
    days, first = _read(database, counted, connector, since)
    next_hour = hour_of(since) + HOUR_S
    for of, day, stored in days:
        if numbers := first.pop(of, None):
            yield of, hour_of(since), numbers
        for nth, numbers in sorted(_hours.decode(stored).items()):
            if (hour := day + nth * HOUR_S) >= next_hour:
                yield of, hour, numbers


def totals_of(database: Database, counted: Counted, connector: str | None, *, since: float) -> dict[str, Numbers]:
    """Connector → numbers since that minute; of one connector, or of all."""
    days, totals = _read(database, counted, connector, since)
    first_day, next_hour = _day_of(since), hour_of(since) + HOUR_S
    for of, day, stored in days:
        total = totals.setdefault(of, {})
        if day > first_day:
            _add_to(total, _of_the_day(stored))
            continue
        for nth, numbers in _hours.decode(stored).items():
            if day + nth * HOUR_S >= next_hour:
                _add_to(total, numbers)
    return {of: total for of, total in totals.items() if total}


def hours_of(database: Database, counted: Counted, connector: str | None, *, since: float) -> dict[int, Numbers]:
    """Hour → numbers since that minute, hours oldest first; of one connector, or of all together."""
    rows, first = _read(database, counted, connector, since)
    days: defaultdict[int, list[str]] = defaultdict(list)
    for _, day, stored in rows:
        days[day].append(stored)
    first_hour: Numbers = {}
    for numbers in first.values():
        _add_to(first_hour, numbers)
    hours = {hour_of(since): first_hour} if first_hour else {}
    for day in sorted(days):
        added_up = _hours_of_the_day if day < max(days) else _hours_of_the_day.__wrapped__  # the last one still grows
        for nth, sums in added_up(tuple(days[day])).items():
            if (hour := day + nth * HOUR_S) > hour_of(since):
                hours[hour] = dict(sums)
    return hours


def _add_to(total: Numbers, numbers: Mapping[str, int]) -> None:
    for name, number in numbers.items():
        total[name] = total.get(name, 0) + number


@lru_cache(maxsize=_DAYS_KNOWN)
def _of_the_day(stored: str) -> Mapping[str, int]:
    """A day's sums. Most days are past and read again and again, and what a row says is the same as long as its text is."""
    total: Numbers = {}
    for numbers in _hours.decode(stored).values():
        _add_to(total, numbers)
    return MappingProxyType(total)


@lru_cache(maxsize=_DAYS_SUMMED)
def _hours_of_the_day(stored: tuple[str, ...]) -> Mapping[int, Mapping[str, int]]:
    """A day's hours, those of several connectors added up, in order; remembered for the same reason."""
    hours: dict[int, Numbers] = {}
    for one in stored:
        for nth, numbers in _hours.decode(one).items():
            if nth in hours:
                _add_to(hours[nth], numbers)
            else:
                hours[nth] = numbers
    return MappingProxyType(dict(sorted(hours.items())))


def _read(
    database: Database, counted: Counted, connector: str | None, since: float
) -> tuple[list[tuple[str, int, str]], dict[str, Numbers]]:
    """Rows of the days from that of `since` on: connector, day, hours; by connector and day. And what `_first_hours` finds."""
    with database.snapshot() as connection:
        days = connection.execute(
            f"SELECT connector, day, hours FROM {counted.daily}"  # noqa: S608 - ours
            f" WHERE {'TRUE' if connector is None else 'connector = :connector'} AND day >= :day ORDER BY connector, day",
            {"connector": connector, "day": _day_of(since)},
        ).fetchall()
        return days, _first_hours(connection, counted, {of for of, _, _ in days}, since)


def _first_hours(connection: sqlite3.Connection, counted: Counted, connectors: set[str], since: float) -> dict[str, Numbers]:
    """Connector → what its minutes have of the hour of that moment."""
    found: defaultdict[str, Numbers] = defaultdict(dict)
    # A few steps for each connector, in place of a look at every row of an index.
    for of, name, number in connection.execute(
        f"SELECT value, {counted.column}, sum(number) FROM json_each(:connectors) CROSS JOIN {counted.table}"  # noqa: S608 - ours
        f" ON connector = value AND minute >= :minute AND minute < :next GROUP BY value, {counted.column}",
        {"connectors": json.dumps(sorted(connectors)), "minute": minute_of(since), "next": hour_of(since) + HOUR_S},
    ):
        found[of][str(name)] = number
    return found


def counted_since(connection: sqlite3.Connection, counted: Counted, since: float) -> list[str]:
    """Connectors with minutes of that day or later."""
    found = connection.execute(
        f"SELECT DISTINCT connector FROM {counted.table} WHERE minute >= ? ORDER BY connector", (_day_of(since),)  # noqa: S608
    )
    return [of for (of,) in found]


def add_up(connection: sqlite3.Connection, counted: Counted, connector: str, since: float) -> None:
    """Adds up that day and those after it anew: an older program counts by minute alone."""
    days: defaultdict[int, dict[int, Numbers]] = defaultdict(dict)
    for hour, name, number in connection.execute(
        f"SELECT minute / {HOUR_S} * {HOUR_S}, {counted.column}, sum(number) FROM {counted.table}"  # noqa: S608 - ours
        " WHERE connector = ? AND minute >= ? GROUP BY 1, 2",
        (connector, _day_of(since)),
    ):
        day = _day_of(hour)
        days[day].setdefault((hour - day) // HOUR_S, {})[str(name)] = number
    for day, hours in days.items():
        if hours != _day(connection, counted, connector, day):
            _put_day(connection, counted, connector, day, hours)


def forget_counted(connection: sqlite3.Connection, counted: Counted, before: float) -> None:
    """Minutes that began before that moment. What is left of its hour is added up anew."""
    connection.execute(f"DELETE FROM {counted.table} WHERE minute < ?", (before,))  # noqa: S608 - ours
    day, hour = _day_of(before), hour_of(before)
    connection.execute(f"DELETE FROM {counted.daily} WHERE day < ?", (day,))  # noqa: S608
    left: dict[str, Any] = dict(
        connection.execute(f"SELECT connector, hours FROM {counted.daily} WHERE day = ?", (day,)).fetchall()  # noqa: S608
    )
    for of, stored in left.items():
        hours = {nth: numbers for nth, numbers in _hours.decode(stored).items() if day + nth * HOUR_S > hour}
        if rest := _first_hours(connection, counted, {of}, hour).get(of):
            hours[(hour - day) // HOUR_S] = rest
        _put_day(connection, counted, of, day, hours)
