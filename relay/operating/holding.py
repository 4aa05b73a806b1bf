"""Holds, by hand: resume, pause, discard. Each is noted in the audit log."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from relay.backends.interfaces import Backend
from relay.domain.audience import Audience, HoldReason
from relay.domain.clock import Clock
from relay.health.wording import count


class Resumed(msgspec.Struct, frozen=True):
    """holds: how many are tried now. connector: it is no longer paused. audiences: IDs of those that are no longer paused."""

    holds: int
    connector: bool = False
    audiences: tuple[str, ...] = ()


class Discarded(msgspec.Struct, frozen=True):
    """batches: how many left the hold. replays: those among them that were to be read from the journal, where their mutations
    still are: they are not among the rejections. left: how many wait still."""

    batches: int
    replays: int
    left: int = 0


class Shown(msgspec.Struct, frozen=True):
    """What somebody was told of a hold before they were asked. at: when, seconds since the epoch. batches: how many, read before
    that moment."""

    at: float
    batches: int


class Holding:
    """As one person does it (`by`, for the audit)."""

    def __init__(self, backend: Backend, by: str, clock: Clock) -> None:
        self._backend = backend
        self._by = by
        self._clock = clock

    def resume(self, connector: str, *, reason: HoldReason | None = None) -> Resumed:
        """All of a connector: its pauses end, and what waits is tried now. reason: only what waits for it; then only those pauses
        end that it waits for. Raises `NotFound`."""
        store = self._backend
        state = store.connectors.state(connector)
        ends_pauses = reason in (None, "paused")
        if unpaused := state.paused and ends_pauses:
            store.connectors.set_paused(connector, False)
        paused = self._paused(connector) if ends_pauses else []
        for audience_id in paused:
            store.audiences.set_paused(connector, audience_id, False)
        due = store.audiences.make_due(connector, None, reasons=None if reason is None else (reason,))
        detail = count(due, "hold") if reason is None else f"{count(due, 'hold')}: {reason}"
        self._note("resume", connector, detail=detail)
        return Resumed(due, unpaused, tuple(paused))

    def resume_audience(self, audience: Audience) -> Resumed:
        """One audience: its pause ends, and what waits is tried now. A pause of the whole connector stays."""
        store = self._backend.audiences
        if audience.paused:
            store.set_paused(audience.connector, audience.id, False)
        due = store.make_due(audience.connector, audience.id)
        self._note("resume", audience.connector, audience.id, detail=count(due, "hold"))
        return Resumed(due, audiences=(audience.id,) if audience.paused else ())

    def resume_audiences(self, audiences: Iterable[Audience]) -> Resumed:
        """Some of them."""
        all_of_it = [self.resume_audience(audience) for audience in audiences]
        return Resumed(
            sum(one.holds for one in all_of_it), audiences=tuple(name for one in all_of_it for name in one.audiences)
        )

    def pause(self, connector: str, audience_id: str | None = None) -> None:
        """One audience, or all of a connector, waits from now on. Raises `NotFound`."""
        if audience_id is None:
            self._backend.connectors.set_paused(connector, True)
        else:
            self._backend.audiences.set_paused(connector, audience_id, True)
        self._note("pause", connector, audience_id)

    def discard(self, connector: str, audience_id: str, *, shown: Shown) -> Discarded:
        """Drops what waits in one hold, for good, as far as somebody was told of it; its mutations become rejections. What joined
        later stays."""
        from worker.retention import discard

        dropped = discard(self._backend, self._clock, connector, audience_id, until=shown.at, most=shown.batches)
        if dropped.batches:
            self._note("discard", connector, audience_id, detail=count(dropped.batches, "batch", "batches"))
        audience = self._backend.audiences.get(connector, audience_id)
        left = audience.hold.batches if audience is not None and audience.hold is not None else 0
        return Discarded(dropped.batches, dropped.replays, left)

    def _paused(self, connector: str) -> list[str]:
        """IDs of all that are paused, by their records: `page` does not find those that only an older program wrote."""
        return [audience.id for audience in self._backend.audiences.all(connector) if audience.paused]

    def _note(self, what: str, connector: str, audience_id: str | None = None, *, detail: str = "") -> None:
        self._backend.audit.add(by=self._by, what=what, subject=subject(connector, audience_id), detail=detail)


def subject(connector: str, audience_id: str | None) -> str:
    """A connector, or one audience of it, as the audit log names it."""
    return connector if audience_id is None else f"{connector}/{audience_id}"
