"""What waits in a connector, looked at without reading everything: all held audiences where they are few, else some of each
reason beside the sums of all."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

import msgspec

from relay.backends.interfaces import Audiences, AudienceSummary
from relay.domain.audience import HOLD_REASONS, Audience, HoldReason
from relay.domain.connector import Connector, ConnectorState
from relay.health import concerns as about
from relay.health.advice import meaning, what_to_do
from relay.health.concerns import OVERDUE_S, Concern, Held
from relay.health.wording import count, duration

FEW = 10
"""So many held audiences of a connector are each looked at. Of more than these, what is said is said by reason."""

_READ = 30
"""Held audiences of a connector that are read at most; of more than these, some of each reason."""

_OF_EACH_REASON = 2


class WhatWaits(msgspec.Struct, frozen=True):
    """In one connector. held: those that were looked at; whole: they are all there are, and few."""

    summary: AudienceSummary
    state: ConnectorState
    held: tuple[Held, ...]
    whole: bool

    @property
    def batches(self) -> int:
        """How many wait."""
        return sum(one.batches for one in self.summary.holds.values())

    @property
    def mutations(self) -> int:
        """How many wait."""
        return sum(one.items for one in self.summary.holds.values())

    @property
    def oldest_at(self) -> float:
        """When the oldest request that waits was received; 0 if nothing does."""
        return min((one.oldest_at for one in self.summary.holds.values() if one.oldest_at), default=0)

    @property
    def all_wait(self) -> bool:
        """Whether all audiences do, other than to gather. A record that only remembers an answer to the DMP is none."""
        if self.whole:
            waiting = sum(1 for one in self.held if not one.audience.answers_to and one.hold.reason != "gathering")
        else:
            waiting = sum(one.audiences for reason, one in self.summary.holds.items() if reason != "gathering")
        return 0 < self.summary.audiences <= waiting


def what_waits(audiences: Audiences, summary: AudienceSummary, state: ConnectorState) -> WhatWaits:
    """Reads the held ones, up to some."""
    if not summary.held:
        return WhatWaits(summary, state, (), whole=True)
    whole = summary.held <= FEW
    if summary.held <= _READ:
        found = audiences.page(state.name, held=HOLD_REASONS, limit=_READ)
    else:
        found = [one for reason in sorted(summary.holds) for one in _some(audiences, state.name, reason)]
    return WhatWaits(summary, state, tuple(Held(one, one.hold, state) for one in found if one.hold), whole)


def _some(audiences: Audiences, connector: str, reason: HoldReason) -> list[Audience]:
    """Of those with this reason, those among them that need somebody, if any do."""
    some = audiences.page(connector, held=(reason,), limit=_OF_EACH_REASON)
    if reason != "audience_not_ready":
        return some
    # Whether these need somebody depends on each: those that nobody made, and those that wait under the wrong ID.
    unknown = audiences.page(connector, held=(reason,), status="unknown", limit=_OF_EACH_REASON)
    ready = audiences.page(connector, held=(reason,), status="ready", limit=_OF_EACH_REASON)
    return list({one.id: one for one in (*unknown, *ready, *some)}.values())


def about_waiting(waits: WhatWaits, connector: Connector | None) -> Iterator[Concern]:
    """Why audiences wait."""
    if waits.whole:
        yield from about.about_holds(waits.held, waits.state, connector)
        return
    for reason, some in _by_reason(waits):
        if reason in ("gathering", "connector_off") or (reason == "paused" and waits.state.paused):
            continue
        first = some[0]
        why = meaning(first.audience, first.hold, connector, waits.state)
        detail = f" ({first.hold.detail.rstrip('.')})" if first.hold.detail else ""
        what = f"{_waiting(waits, reason)}: {why}{detail}."
        yield Concern(first.needs_someone, f"hold_{first.reason}", what, _do(some, connector))


def about_old(waits: WhatWaits, connector: Connector, now: float) -> Iterator[Concern]:
    """Of batches that have waited so long that someone should know before they become rejections."""
    if waits.whole:
        yield from about.about_old_holds(waits.held, waits.state, connector, now)
        return
    retention = connector.retention
    for reason, some in _by_reason(waits):
        oldest_at = waits.summary.holds[reason].oldest_at
        if oldest_at and oldest_at < now - retention.warning_s:
            fate = f"at {duration(retention.holds_s)} they become rejections"
            what = f"{_waiting(waits, reason)}, the oldest for {duration(now - oldest_at)} ({reason.replace('_', ' ')}); {fate}."
            yield Concern(True, "old_hold", what, _do(some, connector) or f"diy holds list {shlex.quote(waits.state.name)}")


def overdue(waits: WhatWaits, now: float) -> int:
    """How many holds are overdue, by what was looked at; at least one if any is."""
    found = sum(1 for one in waits.held if about.is_overdue(one, now))
    due = [one.next_due for one in waits.summary.holds.values() if one.next_due is not None]
    return found or int(not waits.whole and any(moment < now - OVERDUE_S for moment in due))


def _by_reason(waits: WhatWaits) -> Iterator[tuple[HoldReason, list[Held]]]:
    """What was looked at of each reason, those that need somebody first."""
    for reason in sorted(waits.summary.holds):
        some = sorted((one for one in waits.held if one.hold.reason == reason), key=lambda one: not one.needs_someone)
        if some:
            yield reason, some


def _waiting(waits: WhatWaits, reason: HoldReason) -> str:
    found = waits.summary.holds[reason]
    least = "at least " if found.partly else ""
    return f"{least}{count(found.batches, 'batch', 'batches')} of {found.audiences:,} audiences wait"


def _do(some: Sequence[Held], connector: Connector | None) -> str:
    """The advice for the first of them, and where the others are listed if that for the next is another one."""
    alike = [one for one in some if one.needs_someone == some[0].needs_someone]
    first, *others = (what_to_do(one.audience, one.hold, connector, one.state) for one in alike[:2])
    if others in ([], [first]):
        return first
    return f"{first}; and so for each of: diy holds list {shlex.quote(some[0].audience.connector)}"
