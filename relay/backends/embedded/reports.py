"""`interfaces.Reports` on SQLite: attempts, rejections, counters and latencies by minute."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence

from relay.backends.embedded.counter_rows import (
    COUNTERS,
    LATENCIES,
    count,
    hour_of,
    hours_of,
    minute_of,
    numbers_of,
    totals_of,
)
from relay.backends.embedded.database import Database
from relay.backends.embedded.rejection_rows import add_rejections
from relay.backends.embedded.schema import ATTEMPT_ID
from relay.backends.interfaces import ATTEMPTS_KEPT, RejectionCode
from relay.backends.records import EXCHANGES, REJECTION, REPORT, read_brief_report
from relay.domain.exchange import Exchanges
from relay.domain.outcome import Rejection, Report

MOST_ATTEMPTS_KEPT = 10_000
"""Of each connector, failed ones included: a partner that is away for days fails the probes of thousands of audiences every five
minutes, and no disk has room for all of that."""

_REJECTED_CONNECTORS = """
    WITH RECURSIVE names (name) AS (
        SELECT min(connector) FROM rejections
        UNION ALL
        SELECT (SELECT min(connector) FROM rejections WHERE connector > name) FROM names WHERE name IS NOT NULL
    )
    SELECT name FROM names
"""
"""The few connectors there are, found by steps along an index; with them, that of audiences serves a search by audience alone."""


class EmbeddedReports:
    """Rejections are written durably, since they are a part of the promise that nothing accepted is lost. An attempt without any
    need not be: a loss of power that undoes it undoes the acknowledgement that follows it, too, and its message is delivered
    again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def attempt(self, report: Report, rejections: Sequence[Rejection], exchanges: Exchanges | None = None) -> None:
        with self._database.transaction(durable=bool(rejections)) as connection:
            _add_attempt(connection, report, exchanges)
            count(connection, report)
            add_rejections(connection, rejections)

    def attempts(
        self, connector: str | None = None, *, limit: int = 50, failed_only: bool = False, brief: bool = False
    ) -> list[Report]:
        found = self._database.rows(
            f"SELECT record FROM attempts WHERE {_where(connector, 'failed' if failed_only else '')}"  # noqa: S608 - parts are ours
            " ORDER BY number DESC LIMIT :limit",
            {"connector": connector, "limit": limit},
        )
        read = read_brief_report if brief else REPORT.read
        return [read(record) for (record,) in found]

    def attempt_by_id(self, attempt_id: str) -> Report | None:
        row = self._database.row(f"SELECT record FROM attempts WHERE {ATTEMPT_ID} = ? LIMIT 1", (attempt_id,))  # noqa: S608 - ours
        return REPORT.read(row[0]) if row else None

    def exchanges(self, attempt_id: str) -> Exchanges | None:
        row = self._database.row(f"SELECT exchanges FROM attempts WHERE {ATTEMPT_ID} = ? LIMIT 1", (attempt_id,))  # noqa: S608 - ours
        return EXCHANGES.read(row[0]) if row and row[0] is not None else None

    def add_rejections(self, rejections: Iterable[Rejection]) -> None:
        with self._database.transaction() as connection:
            add_rejections(connection, rejections)

    def rejections(
        self,
        connector: str | None = None,
        *,
        limit: int = 100,
        audience: str | None = None,
        user_hash: str | None = None,
        after: int = 0,
        newest_first: bool = False,
    ) -> list[tuple[int, Rejection]]:
        where = _where(
            connector,
            "audience = :audience" if audience is not None else "",
            f"connector IN ({_REJECTED_CONNECTORS})" if audience is not None and connector is None else "",
            "user_hash = :user_hash" if user_hash is not None else "",
            f"number {'<' if newest_first else '>'} :after" if after else "",
        )
        direction = "DESC" if newest_first else "ASC"
        found = self._database.rows(
            f"SELECT number, record FROM rejections WHERE {where} ORDER BY number {direction} LIMIT :limit",  # noqa: S608 - parts are ours
            {"connector": connector, "audience": audience, "user_hash": user_hash, "after": after, "limit": limit},
        )
        return [(number, REJECTION.read(record)) for number, record in found]

    def rejection_codes(self, connector: str | None = None, *, since: float) -> list[RejectionCode]:
        counted = self._database.rows(
            f"SELECT connector, action, code, sum(number), max(newest) FROM hourly_rejections"  # noqa: S608 - parts are ours
            f" WHERE {_where(connector, 'hour >= :hour')} GROUP BY connector, action, code",
            {"connector": connector, "hour": hour_of(since)},
        )
        newest = {
            number: REJECTION.read(record)
            for number, record in self._database.rows(
                "SELECT number, record FROM rejections WHERE number IN (SELECT value FROM json_each(?))",
                (json.dumps([row[-1] for row in counted]),),
            )
        }
        codes = [
            RejectionCode(
                of, action, code, newest[last].hint if last in newest else "", number, newest[last].at if last in newest else 0
            )
            for of, action, code, number, last in counted
        ]
        return sorted(codes, key=lambda one: -one.number)

    def totals(self, connector: str | None, *, since: float) -> dict[str, int]:
        return _sum(totals_of(self._database, COUNTERS, connector, since=since).values())

    def totals_of_all(self, *, since: float) -> dict[str, dict[str, int]]:
        return totals_of(self._database, COUNTERS, None, since=since)

    def by_minute(self, connector: str, *, since: float) -> list[tuple[int, dict[str, int]]]:
        minutes: defaultdict[int, dict[str, int]] = defaultdict(dict)
        for minute, outcome, number in self._database.rows(
            "SELECT minute, outcome, number FROM counters WHERE connector = ? AND minute >= ? ORDER BY minute, outcome",
            (connector, minute_of(since)),
        ):
            minutes[minute][outcome] = number
        return list(minutes.items())

    def by_hour(self, connector: str | None, *, since: float) -> dict[str, dict[int, dict[str, int]]]:
        hours: defaultdict[str, dict[int, dict[str, int]]] = defaultdict(dict)
        for of, hour, numbers in numbers_of(self._database, COUNTERS, connector, since=since):
            hours[of][hour] = numbers
        return dict(hours)

    def sums_by_hour(self, connector: str | None, *, since: float) -> dict[int, dict[str, int]]:
        return hours_of(self._database, COUNTERS, connector, since=since)

    def latencies(self, connector: str | None, *, since: float) -> dict[int, int]:
        return _in_classes(_sum(totals_of(self._database, LATENCIES, connector, since=since).values()))

    def latencies_by_hour(self, connector: str | None, *, since: float) -> dict[int, dict[int, int]]:
        found = hours_of(self._database, LATENCIES, connector, since=since)
        return {hour: _in_classes(numbers) for hour, numbers in found.items()}


def _sum(some: Iterable[dict[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for numbers in some:
        for name, number in numbers.items():
            sums[name] = sums.get(name, 0) + number
    return sums


def _in_classes(numbers: dict[str, int]) -> dict[int, int]:
    return {bound: numbers[str(bound)] for bound in sorted(map(int, numbers))}


def _add_attempt(connection: sqlite3.Connection, report: Report, exchanges: Exchanges | None) -> None:
    newest = connection.execute("SELECT max(nth) FROM attempts WHERE connector = ?", (report.connector,)).fetchone()[0]
    nth = (newest or 0) + 1
    connection.execute(
        "INSERT INTO attempts (connector, nth, at, failed, record, exchanges) VALUES (?, ?, ?, ?, ?, ?)",
        (
            report.connector,
            nth,
            report.at,
            report.failed,
            REPORT.write(report),
            EXCHANGES.write(exchanges) if exchanges else None,
        ),
    )
    if nth > ATTEMPTS_KEPT:
        # Failed attempts stay for longer than what was exchanged in them, which is larger.
        connection.execute(
            "UPDATE attempts SET exchanges = NULL WHERE connector = ? AND nth = ? AND failed",
            (report.connector, nth - ATTEMPTS_KEPT),
        )
    # One goes as one comes, so that a busy connector's do not pile up until the next tidying; failed ones stay for longer.
    connection.execute(
        "DELETE FROM attempts WHERE connector = ? AND (nth = ? AND NOT failed OR nth = ?)",
        (report.connector, nth - ATTEMPTS_KEPT, nth - MOST_ATTEMPTS_KEPT),
    )


def _where(connector: str | None, *conditions: str) -> str:
    given = ["connector = :connector"] if connector is not None else []
    return " AND ".join([*given, *filter(None, conditions)]) or "TRUE"
