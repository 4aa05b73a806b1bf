"""What waits in a connector, looked at without reading everything: all held audiences where they are few, else some of each
reason beside the sums of all."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from relay.backends.interfaces import Audiences, AudienceSummary
from relay.domain.audience import HOLD_REASONS, NEEDS_SOMEONE, Audience, HoldReason, Status
from relay.domain.connector import Connector, ConnectorState
from relay.health import concerns as about
from relay.health.advice import ADVICE, meaning, needs_someone, what_to_do
from relay.health.causes import cause
from relay.health.concerns import Concern, Held
from relay.health.wording import count, duration, stopped

FEW = 10
"""So many held audiences of a connector are each looked at. Of more than these, what is said is said by reason."""

_READ = 30
"""Held audiences of a connector that are read at most; of more than these, some of each reason."""

_OF_EACH_REASON = 2


@dataclass(frozen=True)
class WhatWaits:
    """In one connector. held: those that were looked at; whole: they are all there are, and few."""

    summary: AudienceSummary
    state: ConnectorState
    held: tuple[Held, ...]
    whole: bool

    @cached_property
    def by_reason(self) -> tuple[tuple[HoldReason, tuple[Held, ...]], ...]:
        """Each reason, with those that tell how it stands, those that need somebody first; without any, where that is not known
        from those that were looked at: none was, or all of these are paused and others are not known to be."""
        return tuple(_by_reason(self.summary, self.held))

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
    held = tuple(Held(one, one.hold, state) for one in found if one.hold)
    return WhatWaits(summary, state, held, whole)


def _some(audiences: Audiences, connector: str, reason: HoldReason) -> list[Audience]:
    """Of those with this reason, those among them that tell how it stands, if any do."""
    if reason != "audience_not_ready":
        # Those that were paused say nothing of the others.
        return _samples(audiences, connector, reason, lambda one: reason == "paused" or not one.paused)
    # Whether these need somebody depends on each: those that nobody made, and those that wait under the wrong ID.
    needing = [
        *_samples(audiences, connector, reason, _needs_someone, status="unknown"),
        *_samples(audiences, connector, reason, _needs_someone, answers=True),
    ]
    some = audiences.page(connector, held=(reason,), limit=_OF_EACH_REASON)
    return list({one.id: one for one in (*needing, *some)}.values())


def _samples(
    audiences: Audiences,
    connector: str,
    reason: HoldReason,
    telling: Callable[[Audience], bool],
    *,
    status: Status | None = None,
    answers: bool = False,
) -> list[Audience]:
    """The first ones; more, if none of these is a telling one though others may be."""
    first: list[Audience] = []
    for limit in (_OF_EACH_REASON, _READ):
        first = audiences.page(connector, held=(reason,), status=status, answers=answers, limit=limit)
        if len(first) < limit or any(telling(one) for one in first):
            break
    return first


def _needs_someone(audience: Audience) -> bool:
    return audience.hold is not None and needs_someone(audience, audience.hold)


def about_waiting(waits: WhatWaits, connector: Connector | None) -> Iterator[Concern]:
    """Why audiences wait."""
    if waits.whole:
        yield from about.about_holds(waits.held, waits.state, connector)
        return
    for reason, some in waits.by_reason:
        if reason in ("gathering", "connector_off") or (reason == "paused" and waits.state.paused):
            continue
        do = _do(some, connector, waits)
        if some:
            first = some[0]
            why = meaning(first.audience, first.hold, connector, waits.state)
            what = stopped(f"{_waiting(waits, reason)}: {cause(first.reason, why, first.hold.detail)}")
            yield Concern(first.needs_someone, f"hold_{first.reason}", what, do)
        else:
            what = f"{_waiting(waits, reason)}: {ADVICE[reason].meaning}."
            yield Concern(reason in NEEDS_SOMEONE, f"hold_{reason}", what, do)


def about_old(waits: WhatWaits, connector: Connector, now: float) -> Iterator[Concern]:
    """Of batches that have waited so long that someone should know before they become rejections."""
    if waits.whole:
        yield from about.about_old_holds(waits.held, waits.state, connector, now)
        return
    retention = connector.retention
    for reason, some in waits.by_reason:
        summed = waits.summary.holds[reason]
        looked_at = (one.hold.oldest_at for one in waits.held if summed.partly and one.hold.reason == reason)
        oldest_at = min((moment for moment in (summed.oldest_at, *looked_at) if moment), default=0)
        if oldest_at and oldest_at < now - retention.warning_s:
            fate = f"at {duration(retention.holds_s)} they become rejections"
            what = f"{_waiting(waits, reason)}, the oldest for {duration(now - oldest_at)} ({reason.replace('_', ' ')}); {fate}."
            yield Concern(True, "old_hold", what, _do(some, connector, waits) or _listed(waits))


def _by_reason(summary: AudienceSummary, held: Sequence[Held]) -> Iterator[tuple[HoldReason, tuple[Held, ...]]]:
    found: defaultdict[HoldReason, list[Held]] = defaultdict(list)
    for one in held:
        found[one.hold.reason].append(one)
    for reason, summed in sorted(summary.holds.items()):
        # Of other reasons, all that are not paused need somebody, or none does.
        some = sorted(found[reason], key=_telling_first if reason == "audience_not_ready" else _paused)
        if some and some[0].audience.paused and reason != "paused" and len(some) < summed.audiences:
            some = []
        yield reason, tuple(some)


def _telling_first(one: Held) -> tuple[bool, bool]:
    return not one.needs_someone, one.audience.paused


def _paused(one: Held) -> bool:
    return one.audience.paused


def _waiting(waits: WhatWaits, reason: HoldReason) -> str:
    found = waits.summary.holds[reason]
    least = "at least " if found.partly else ""
    return f"{least}{count(found.batches, 'batch', 'batches')} of {found.audiences:,} audiences wait"


def _do(some: Sequence[Held], connector: Connector | None, waits: WhatWaits) -> str:
    """The advice for the first of them, and where the others are listed if that for the next is another one, or if none is
    known."""
    if not some:
        return _listed(waits)
    one = some[0]
    first = what_to_do(one.audience, one.hold, connector, one.state)
    if shlex.quote(one.audience.id) not in first:
        return first  # what names no audience is for all that are alike
    kind = one.needs_someone, one.reason
    alike = islice((other for other in some[1:] if (other.needs_someone, other.reason) == kind), 1)
    if all(what_to_do(other.audience, other.hold, connector, other.state) == first for other in alike):
        return first
    return f"{first}; and so for each of: {_listed(waits)}"


def _listed(waits: WhatWaits) -> str:
    return f"diy holds list {shlex.quote(waits.state.name)}"
