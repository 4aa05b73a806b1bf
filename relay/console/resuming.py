"""What was resumed, and how far it is: a scope that travels in the address of the page, so that it can be looked at again."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from relay.backends.interfaces import Backend
from relay.console.holds_reading import Group, Row, groups_of, row_of
from relay.console.known import Place
from relay.console.setups import Setups
from relay.domain.audience import HoldReason
from relay.health.concerns import Concern, about_queue


class Scope(msgspec.Struct, frozen=True):
    """What was resumed at `at` (seconds since the epoch), and how many batches of it waited then.

    places      these audiences; empty: everything of the connector (None: of all), or what waited for `reason` there
    others      batches that waited beside them, for other reasons or in other connectors
    """

    at: float
    batches: int
    places: tuple[Place, ...] = ()
    connector: str | None = None
    reason: HoldReason | None = None
    others: int = 0


class Progress(msgspec.Struct, frozen=True):
    """left: how many of the batches wait still. rows: those of chosen audiences that wait. groups: why anything waits in the
    connectors concerned, where all of a reason or a connector was resumed. concerns: why nothing may move at all."""

    scope: Scope
    left: int
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    concerns: tuple[Concern, ...]

    @property
    def gone(self) -> int:
        return self.scope.batches - self.left

    @property
    def partly(self) -> bool:
        """Whether so much waits that it was not all counted."""
        return any(group.partly for group in self.groups)

    @property
    def done(self) -> bool:
        return self.left == 0


def scope_of_places(backend: Backend, places: Iterable[Place], now: float) -> Scope:
    """Of chosen audiences, as they wait now; those in which nothing waits are left out."""
    known = [(place, backend.audiences.get(*place)) for place in places]
    waiting = [(place, one.hold.batches) for place, one in known if one is not None and one.hold is not None]
    return Scope(now, sum(batches for _, batches in waiting), tuple(place for place, _ in waiting))


def scope_of_all(backend: Backend, connector: str | None, reason: HoldReason | None, now: float) -> Scope:
    """Of a connector, or of a reason, as they wait now."""
    groups = groups_of(backend.audiences.summary(connector), connector)
    resumed = sum(group.batches for group in groups if reason in (None, group.words.reason))
    return Scope(now, resumed, (), connector, reason, others=_counted(groups, reason) - resumed)


def progress_of(backend: Backend, scope: Scope) -> Progress:
    """How far it is now. Batches that joined meanwhile cannot be told apart in sums: they count as ones that wait still."""
    concern = about_queue(backend.queue.depth())
    concerns = (concern,) if concern else ()
    if scope.places:
        rows = _rows(backend, scope)
        return Progress(scope, min(scope.batches, sum(row.hold.batches for row in rows)), rows, (), concerns)
    groups = groups_of(backend.audiences.summary(scope.connector), scope.connector)
    left = max(0, min(scope.batches, _counted(groups, scope.reason) - scope.others))
    return Progress(scope, left, (), groups if left else (), concerns)


def _rows(backend: Backend, scope: Scope) -> tuple[Row, ...]:
    """A hold that was set after that is another one."""
    setups = Setups(backend)
    known = (backend.audiences.get(*place) for place in scope.places)
    return tuple(row_of(one, one.hold, setups) for one in known if one is not None and one.hold and one.hold.since <= scope.at)


def _counted(groups: Iterable[Group], reason: HoldReason | None) -> int:
    """What gathers comes and goes as it should: it counts only where it was resumed itself."""
    return sum(
        group.batches for group in groups if group.words.reason != "gathering" or reason == "gathering" or reason is None
    )
