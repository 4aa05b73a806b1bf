"""`interfaces.Reports` on Firestore: attempts, rejections, counters and latencies by minute.

    attempts/{attempt_id}  record · expire_at · the keys `in_all`, `in_connector` and, of failed ones, `failed_in_all` and
                           `failed_in_connector`, with the number of the attempt · `exchanges`, by itself, since lists do without

An attempt without rejections is one commit of two writes.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from relay.backends.google.counters import HOUR_S, Counters, Shards, counter_writes
from relay.backends.google.documents import Changed, Documents, Write
from relay.backends.google.names import safe_name
from relay.backends.google.ordered import PAGE, Line, Numbers, ordered_key
from relay.backends.google.rejections import (
    CachedRetention,
    RetentionOf,
    in_chunks,
    line_of,
    rejection_codes,
    rejection_in,
    rejection_writes,
)
from relay.backends.google.values import moment
from relay.backends.interfaces import RejectionCode
from relay.backends.records import EXCHANGES, REPORT, read_brief_report
from relay.domain.clock import Clock
from relay.domain.exchange import Exchanges
from relay.domain.outcome import Rejection, Report

ATTEMPTS = "attempts"

ATTEMPTS_KEPT_S = 30 * 86400.0
"""Attempts are kept so long, however many there are: on Firestore a time to live is cheaper than counting."""

_PAGE = 50
"""Attempts read by one query: their records can be large."""

_LARGEST_RECORD = 900_000
"""Bytes, without the exchanges. A document may have 1 MiB (https://firebase.google.com/docs/firestore/quotas)."""


class GoogleReports:
    """Rejections are written before the attempt that they belong to, since they are a part of the promise that nothing accepted
    is lost; the attempt and what it counts are written together, once.

    Rejections of which two processes gave out the same number, in the same microsecond, come together: a page then has one more
    than was asked for.
    """

    def __init__(self, documents: Documents, clock: Clock, chance: random.Random, retention_of: RetentionOf) -> None:
        self._documents = documents
        self._clock = clock
        self._retention_of = CachedRetention(retention_of, clock)
        self._attempts = Numbers(clock)
        self._rejections = Numbers(clock)
        self._counters = Counters(documents, clock)
        self._shards = Shards(clock, chance)

    def attempt(self, report: Report, rejections: Sequence[Rejection], exchanges: Exchanges | None = None) -> None:
        self.add_rejections(rejections)
        attempt = self._attempt_write(report, exchanges)

        def record() -> None:
            try:
                # Again in another shard, where others write to this one at the same moment.
                self._documents.commit([attempt, *counter_writes(report, self._shards.next(report.connector))])
            except Changed:
                return  # it is there: a try before this one reached the store, and only its answer was lost

        self._documents.change(record)

    def attempts(
        self, connector: str | None = None, *, limit: int = 50, failed_only: bool = False, brief: bool = False
    ) -> list[Report]:
        field = "in_all" if connector is None else "in_connector"
        line = Line(ATTEMPTS, f"failed_{field}" if failed_only else field, () if connector is None else (connector,))
        read = read_brief_report if brief else REPORT.read
        found: list[Report] = []
        if limit > 0:
            for page in line.pages(self._documents, newest_first=True, size=min(limit, _PAGE), fields=(line.field, "record")):
                found += (read(stored.fields["record"].encode()) for _, stored in page)
                if len(found) >= limit:
                    break
        return found[:limit]

    def attempt_by_id(self, attempt_id: str) -> Report | None:
        stored = self._documents.get(_attempt_path(attempt_id)) if attempt_id else None
        return REPORT.read(stored.fields["record"].encode()) if stored else None

    def exchanges(self, attempt_id: str) -> Exchanges | None:
        path = _attempt_path(attempt_id)
        stored = self._documents.get_all([path], fields=("exchanges",)).get(path) if attempt_id else None
        record = stored.fields.get("exchanges") if stored else None
        return EXCHANGES.read(record.encode()) if record else None

    def add_rejections(self, rejections: Iterable[Rejection]) -> None:
        for chunk in in_chunks(self.rejection_writes(rejections)):
            self._add(chunk)

    def rejection_writes(self, rejections: Iterable[Rejection]) -> list[Write]:
        """What stores these rejections, for a commit or transaction of the caller's: see `rejections.rejection_writes`."""
        return rejection_writes(rejections, self._rejections, self._retention_of)

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
        if limit <= 0:
            return []
        line = line_of(connector, audience, user_hash)
        sifted = user_hash is not None and (connector is not None or audience is not None)
        found: list[tuple[int, Rejection]] = []
        for page in line.pages(
            self._documents,
            above=after if after and not newest_first else None,
            below=after if after and newest_first else None,
            newest_first=newest_first,
            size=PAGE if sifted else min(limit, PAGE),
            fields=(line.field, "record"),
        ):
            for number, rejection in ((number, rejection_in(stored)) for number, stored in page):
                if len(found) >= limit and number != found[-1][0]:
                    return found
                if connector in (None, rejection.connector) and audience in (None, rejection.audience):
                    found.append((number, rejection))
            if len(found) >= limit:
                return found
        return found

    def rejection_codes(self, connector: str | None = None, *, since: float) -> list[RejectionCode]:
        found = rejection_codes(self._documents, connector, since=since // HOUR_S * HOUR_S)
        return sorted(found, key=lambda one: (-one.number, one.connector, one.action, one.code))

    def totals(self, connector: str | None, *, since: float) -> dict[str, int]:
        return self._counters.sums("counts", connector, since=since)

    def totals_of_all(self, *, since: float) -> dict[str, dict[str, int]]:
        totals: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for of, _, outcome, number in self._counters.by_hour("counts", None, since=since):
            totals[of][outcome] += number
        return {of: dict(sorted(numbers.items())) for of, numbers in totals.items()}

    def by_hour(self, connector: str | None, *, since: float) -> dict[str, dict[int, dict[str, int]]]:
        hours: defaultdict[str, defaultdict[int, defaultdict[str, int]]]
        hours = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
        for of, hour, outcome, number in self._counters.by_hour("counts", connector, since=since):
            hours[of][hour][outcome] += number
        return {of: {hour: dict(sorted(found[hour].items())) for hour in sorted(found)} for of, found in hours.items()}

    def sums_by_hour(self, connector: str | None, *, since: float) -> dict[int, dict[str, int]]:
        hours: defaultdict[int, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for _, hour, outcome, number in self._counters.by_hour("counts", connector, since=since):
            hours[hour][outcome] += number
        return {hour: dict(sorted(hours[hour].items())) for hour in sorted(hours)}

    def latencies_by_hour(self, connector: str | None, *, since: float) -> dict[int, dict[int, int]]:
        hours: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        for _, hour, bound, number in self._counters.by_hour("latencies", connector, since=since):
            hours[hour][int(bound)] += number
        return {hour: dict(sorted(hours[hour].items())) for hour in sorted(hours)}

    def by_minute(self, connector: str, *, since: float) -> list[tuple[int, dict[str, int]]]:
        return self._counters.by_minute(connector, since=since)

    def latencies(self, connector: str | None, *, since: float) -> dict[int, int]:
        found = self._counters.sums("latencies", connector, since=since)
        return {int(bound): found[bound] for bound in sorted(found, key=int)}

    def _attempt_write(self, report: Report, exchanges: Exchanges | None) -> Write:
        number = self._attempts.next()
        keys = {"in_all": ordered_key((), number), "in_connector": ordered_key((report.connector,), number)}
        fields = {
            "record": _record(report),
            "expire_at": moment(self._clock.now() + ATTEMPTS_KEPT_S),
            **keys,
            **({"exchanges": EXCHANGES.write(exchanges).decode()} if exchanges else {}),
            **({f"failed_{name}": key for name, key in keys.items()} if report.failed else {}),
        }
        return Write(_attempt_path(report.attempt_id), fields=fields, exists=False)

    def _add(self, writes: list[Write]) -> None:
        """Stores those that are not there yet; one that is there stays as it is."""
        missing = writes

        def add() -> None:
            nonlocal missing
            try:
                self._documents.commit([write._replace(exists=False) for write in missing])
            except Changed:
                known = self._documents.get_all([write.path for write in missing], fields=("in_all",))
                missing = [write for write in missing if write.path not in known]
                if missing:
                    raise

        self._documents.change(add)


def _attempt_path(attempt_id: str) -> str:
    return f"{ATTEMPTS}/{safe_name(attempt_id)}"


def _record(report: Report) -> str:
    """The record as it is stored, without the last exceptions, calls and request IDs where a document could not hold it."""
    record = REPORT.write(report)
    while len(record) > _LARGEST_RECORD and (report.exceptions or report.calls or report.request_ids):
        report = replace(
            report,
            exceptions=report.exceptions[: len(report.exceptions) // 2],
            calls=report.calls[: len(report.calls) // 2],
            request_ids=report.request_ids[: len(report.request_ids) // 2],
        )
        record = REPORT.write(report)
    return record.decode()
