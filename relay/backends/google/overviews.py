"""Audiences as pages show them: some at a time, and all of them added up, for few reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from relay.backends.google import audience_documents as docs
from relay.backends.google.documents import Documents, Query
from relay.backends.interfaces import AudienceSummary, HoldSummary
from relay.domain.audience import HOLD_REASONS, Audience, HoldReason, Status

MOST_LOOKED_AT = 5_000
"""Audiences that a search looks at."""

MOST_HELD = 1_000
"""Held audiences that `summary` looks at."""

_PAGE = 300
_AT_ONCE = 8
_UNREADY = ("unknown", "creating", "failed", "answers")

Where = list[tuple[str, str, Any]]


class Overviews:
    """The part of `interfaces.Audiences` that pages use.

    The order of connector and ID is that of the documents' names (`names.safe_name`), in which letters, digits and `-._~` stand
    for themselves. A record that was last written by a program before these methods is not found by status, reason or pause,
    and counts as ready, until it is mended (see `mending`).
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def page(
        self,
        connector: str | None = None,
        *,
        like: str = "",
        status: Status | None = None,
        held: Collection[HoldReason] = (),
        paused: bool = False,
        answers: bool = False,
        after: tuple[str, str] | None = None,
        limit: int,
    ) -> list[Audience]:
        """As `interfaces.Audiences.page`. Firestore cannot search in names: with `like`, with status `ready`, and with several
        reasons but not all, the next 5,000 audiences are looked at, each a read, and what is behind them is not found."""
        wanted = _Wanted(like.casefold(), status, frozenset(held), paused, answers)
        query = _line(connector, wanted)
        behind = [] if after is None else [*(after[:1] if query.order else ()), docs.path_of(*after)]
        found: list[Audience] = []
        looked_at = 0
        while len(found) < limit and looked_at < MOST_LOOKED_AT:
            size = _PAGE if wanted.sifted else limit - len(found)
            part = self._documents.query(query._replace(limit=size, behind=behind))
            # The order of the documents, which `load_all` changes.
            known = {docs.path_of(one.audience.connector, one.audience.id): one for one in docs.load_all(self._documents, part)}
            found += (known[one.path].audience for one in part if wanted.has(known[one.path].audience))
            if len(part) < size:
                break
            looked_at += len(part)
            behind = [*(part[-1].fields[field] for field in query.order), part[-1].path]
        return found[: max(0, limit)]

    def summary(self, connector: str | None = None) -> dict[str, AudienceSummary]:
        """As `interfaces.Audiences.summary`, for some reads of each connector, one of every thousand audiences, and two of each
        of the first thousand that are held. Where there are more, `HoldSummary.partly` says so."""
        connectors = [connector] if connector is not None else list(self._steps("connector"))
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            whole = dict(zip(connectors, threads.map(lambda of: self._count(connector=of), connectors), strict=True))
            there = [name for name, number in zip(_UNREADY, threads.map(self._unready, _UNREADY), strict=True) if number]
            pairs = [(of, name) for of in connectors for name in there]
            unready = dict(
                zip(pairs, threads.map(lambda pair: self._count(connector=pair[0], unready=pair[1]), pairs), strict=True)
            )
            holds = self._holds(connector, threads)
        summaries = {}
        for of in (one for one in connectors if whole[one]):
            by_status = {name: unready[of, name] for name in there}
            answers = by_status.pop("answers", 0)
            by_status["ready"] = max(0, whole[of] - answers - sum(by_status.values()))
            by_status = {name: number for name, number in sorted(by_status.items()) if number}
            summaries[of] = AudienceSummary(sum(by_status.values()), by_status, holds.get(of, {}))
        return summaries

    def _holds(self, connector: str | None, threads: ThreadPoolExecutor) -> dict[str, dict[HoldReason, HoldSummary]]:
        where = [] if connector is None else [("held_by", "==", connector)]
        order = ["held_by"] if connector is None else []
        found = self._documents.query(Query(docs.AUDIENCES, where, order, limit=MOST_HELD + 1))
        holds: dict[str, dict[HoldReason, HoldSummary]] = {}
        for known in docs.load_all(self._documents, found[:MOST_HELD]):
            audience, hold = known.audience, known.audience.hold
            if hold is None:
                continue
            of = holds.setdefault(audience.connector, {})
            before = of.get(hold.reason, HoldSummary())
            due_at = None if audience.paused or hold.due_at is None else max(hold.due_at, hold.asked_at)
            of[hold.reason] = HoldSummary(
                audiences=before.audiences + 1,
                batches=before.batches + hold.batches,
                items=before.items + hold.items,
                bytes=before.bytes + hold.bytes,
                oldest_at=min((moment for moment in (before.oldest_at, hold.oldest_at) if moment), default=0),
                next_due=min((moment for moment in (before.next_due, due_at) if moment is not None), default=None),
            )
        if len(found) > MOST_HELD:
            self._count_all([connector] if connector is not None else list(self._steps("held_by")), holds, threads)
        return holds

    def _count_all(
        self, connectors: list[str], holds: dict[str, dict[HoldReason, HoldSummary]], threads: ThreadPoolExecutor
    ) -> None:
        """How many there are is counted, where there are too many to look at."""
        there = [reason for reason in HOLD_REASONS if self._count(held_as=reason)]
        pairs = [(of, reason) for of in connectors for reason in there]
        numbers = threads.map(lambda pair: self._count(held_by=pair[0], held_as=pair[1]), pairs)
        for (of, reason), number in zip(pairs, numbers, strict=True):
            seen = holds.get(of, {}).get(reason, HoldSummary())
            if number > seen.audiences:
                holds.setdefault(of, {})[reason] = HoldSummary(
                    number, seen.batches, seen.items, seen.bytes, seen.oldest_at, seen.next_due, partly=True
                )

    def _steps(self, field: str) -> Iterator[str]:
        """The different values of a field, a read for each."""
        last = ""
        while found := self._documents.query(
            Query(docs.AUDIENCES, [(field, ">", last)], [field], limit=1, fields=(field,))
        ):
            last = found[0].fields[field]
            yield last

    def _unready(self, name: str) -> int:
        return self._count(unready=name)

    def _count(self, **fields: str) -> int:
        return self._documents.count(Query(docs.AUDIENCES, [(field, "==", value) for field, value in fields.items()]))


class _Wanted:
    """What `page` is asked for. sifted: a query alone does not find it."""

    def __init__(self, like: str, status: Status | None, held: frozenset[HoldReason], paused: bool, answers: bool) -> None:
        self.like = like
        self.status = status
        self.held = held
        self.paused = paused
        self.answers = answers
        self.all_held = len(held) == len(HOLD_REASONS)
        self.sifted = bool(like) or status == "ready" or (len(held) > 1 and not self.all_held)

    def has(self, audience: Audience) -> bool:
        """Whether this is one of them."""
        if self.like and not any(
            self.like in text.casefold() for text in (audience.id, audience.name, audience.partner_id or "")
        ):
            return False
        if self.held and (audience.hold is None or audience.hold.reason not in self.held):
            return False
        return self.status in (None, audience.status)


def _line(connector: str | None, wanted: _Wanted) -> Query:
    """The shortest one in which all of them are."""
    where: Where = []
    order: list[str] = []
    if len(wanted.held) == 1:
        where += [("held_as", "==", reason) for reason in wanted.held]
    if wanted.held and connector is None and len(wanted.held) > 1:
        order = ["held_by"]
    elif connector is not None:
        where.append(("held_by" if wanted.held else "connector", "==", connector))
    if wanted.answers:
        where.append(("unready", "==", "answers"))
    elif wanted.status not in (None, "ready"):
        where.append(("unready", "==", wanted.status))
    if wanted.paused:
        where.append(("paused", "==", True))
    return Query(docs.AUDIENCES, where, order)
