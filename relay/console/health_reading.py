"""What the page about the program's own health shows. Bounded reads, and no partner is called."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from adapters.registry import describe, names
from relay import __version__
from relay.backends.interfaces import AudienceSummary, Backend, PushQueue, QueueDepth
from relay.configuration import Configuration
from relay.domain.connector import ConnectorState
from relay.domain.notice import Watch
from relay.domain.outcome import Report
from relay.health.concerns import Concern, about_overdue, about_queue, about_room
from relay.health.wording import DEPTH_IN_MONITORING, count, duration

CLOCK_S = 60.0
"""Clocks of two machines that differ by more are a concern: waits and tokens go by them."""

_LOOKED_AT = 300
_SHOWN = 10

_OURS = frozenset(
    {
        "crashed", "no_adapter", "setting_missing", "secret_missing", "secret_unreadable", "secret_unusable", "unusable_request",
        "process_ended", "never_in_time",
    }
)  # fmt: skip
"""Codes of troubles that are this program's, or its installation's, and not the partner's."""


class Room(msgspec.Struct, frozen=True):
    """On the disk that holds the state: bytes."""

    free: int
    total: int

    @property
    def percent(self) -> int:
        """Free, rounded down."""
        return self.free * 100 // self.total if self.total else 0


class AdapterVersion(msgspec.Struct, frozen=True):
    """An adapter, and the partner's API that it speaks."""

    name: str
    title: str
    api_version: str
    partner_page: str


class HealthPage(msgspec.Struct, frozen=True):
    """at: this machine's clock, seconds since the epoch. where: the directory or the project that keeps everything. queue: None
    where it cannot tell; elsewhere: then, where to look. journals: connectors that keep one, with since when. notices: the
    connectors of which somebody is still to be told; None where another service watches. errors: attempts that failed by our own
    fault, newest first, among the newest `looked_at` failed ones."""

    at: float
    program: str
    python: str
    backend: str
    where: str
    queue: QueueDepth | None
    elsewhere: str
    room: Room | None
    waiting: int
    concerns: tuple[Concern, ...]
    adapters: tuple[AdapterVersion, ...]
    errors: tuple[Report, ...]
    more_errors: int
    looked_at: int
    newest_at: float
    journals: tuple[tuple[str, float], ...]
    notices: tuple[Watch, ...] | None


def health_page(backend: Backend, configuration: Configuration, now: float) -> HealthPage:
    """Raises `StoreUnavailable`."""
    depth = backend.queue.depth()
    states = backend.connectors.states()
    summary = backend.audiences.summary()
    newest = backend.reports.attempts(limit=1, brief=True)
    failed = backend.reports.attempts(limit=_LOOKED_AT, failed_only=True, brief=True)
    errors = [report for report in failed if report.problem in _OURS or report.held == "crashed"]
    newest_at = newest[0].at if newest else 0.0
    watches = backend.notices.all() if backend.notices is not None else None
    return HealthPage(
        at=now,
        program=__version__,
        python=platform.python_version(),
        backend=configuration.backend,
        where=_where(configuration),
        queue=depth,
        elsewhere="" if depth else DEPTH_IN_MONITORING,
        room=_room(configuration),
        waiting=sum(hold.batches for one in summary.values() for hold in one.holds.values()),
        concerns=tuple(_concerns(backend, depth, summary, states, newest_at, now)),
        adapters=tuple(_adapters()),
        errors=tuple(errors[:_SHOWN]),
        more_errors=max(0, len(errors) - _SHOWN),
        looked_at=len(failed),
        newest_at=newest_at,
        journals=tuple((state.name, state.journal_since) for state in states if state.journal_since),
        notices=None if watches is None else tuple(watch for watch in watches if watch.untaken),
    )


def _concerns(
    backend: Backend,
    depth: QueueDepth | None,
    summary: Mapping[str, AudienceSummary],
    states: list[ConnectorState],
    newest_at: float,
    now: float,
) -> Iterator[Concern]:
    pushed = isinstance(backend.queue, PushQueue)
    if concern := about_queue(depth) or about_overdue(_flowing(summary, states, now), now, pushed=pushed):
        yield concern
    if concern := about_room(depth):
        yield concern
    crashed = sum(one.holds["crashed"].audiences for one in summary.values() if "crashed" in one.holds)
    if crashed:
        what = f"{count(crashed, 'audience waits', 'audiences wait')}, since handling a batch ended the worker several times."
        yield Concern(True, "crashed", what, "look at the worker's log, then resume them on the page Holds")
    if newest_at > now + CLOCK_S:
        what = f"The worker's clock is {duration(newest_at - now)} ahead of this machine's."
        yield Concern(True, "clock", what, "set the clocks by a time server: waits and tokens go by them")


def _flowing(summary: Mapping[str, AudienceSummary], states: list[ConnectorState], now: float) -> Iterator[AudienceSummary]:
    """Those of each connector that runs and may be called."""
    for state in states:
        if state.live and state.enabled and not state.paused and state.not_before <= now and state.name in summary:
            yield summary[state.name]


def _adapters() -> Iterator[AdapterVersion]:
    for name in names():
        if description := describe(name):
            yield AdapterVersion(name, description.title, description.api_version, description.partner_page)


def _where(configuration: Configuration) -> str:
    if configuration.backend == "embedded":
        return str(configuration.state_dir.absolute())
    return configuration.google_cloud_project


def _room(configuration: Configuration) -> Room | None:
    """None where the state is on no disk of this machine."""
    if configuration.backend != "embedded" or not Path(configuration.state_dir).is_dir():
        return None
    usage = shutil.disk_usage(configuration.state_dir)
    return Room(usage.free, usage.total)
