"""Batches that leave their hold without delivery, because an operator says so or because of their age: they become rejections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from relay.backends.interfaces import Backend
from relay.domain.audience import Audience, Waiting
from relay.domain.clock import Clock
from relay.domain.connector import Retention
from relay.domain.errors import RelayError, StoreUnavailable
from relay.domain.outcome import Rejection
from relay.wide_log import log
from worker.catalog import Catalog
from worker.report import rejections_of_waiting

_AT_ONCE = 100


class Retired(NamedTuple):
    """What left a hold. replays: those among the batches that were to be read from the journal, so that nobody in them was named
    yet and becomes a rejection."""

    batches: int
    replays: int


def discard(
    backend: Backend, clock: Clock, connector: str, audience_id: str, *, until: float | None = None, most: int | None = None
) -> Retired:
    """Empties one audience's hold; its mutations become rejections. until: only of batches that had joined by then (s since the
    epoch). most: only of so many, the first ones."""
    return _retire(
        backend,
        clock,
        connector,
        audience_id,
        older_than=None if until is None else math.nextafter(until, math.inf),
        most=most,
        code="discarded",
        hint="Discarded from the hold by an operator.",
    )


def retire_old(backend: Backend, catalog: Catalog, clock: Clock) -> int:
    """Turns batches that have waited longer than their connector allows into rejections, and warns of those that soon will.
    Returns how many batches left. Raises `StoreUnavailable` at the end if some could not be looked after."""
    retired = 0
    trouble: StoreUnavailable | None = None
    for audience in backend.audiences.held():
        try:
            retired += _look_after(backend, catalog, clock, audience)
        except StoreUnavailable as error:
            trouble = error  # one audience that is too busy costs the others nothing
    if trouble is not None:
        raise trouble
    return retired


def _look_after(backend: Backend, catalog: Catalog, clock: Clock, audience: Audience) -> int:
    """One audience of `retire_old`."""
    retired = 0
    if audience.hold is not None:
        retention = _retention(backend, catalog, audience.connector)
        age_s = clock.now() - audience.hold.oldest_at
        if age_s > retention.holds_s:
            retired += _retire(
                backend,
                clock,
                audience.connector,
                audience.id,
                older_than=clock.now() - retention.holds_s,
                code="held_too_long",
                hint=f"It waited longer than this connector's retention allows ({audience.hold.reason}).",
            ).batches
        elif age_s > retention.warning_s:
            log(
                "hold_is_old",
                "WARNING",
                connector=audience.connector,
                audience=audience.id,
                reason=audience.hold.reason,
                age_s=round(age_s),
                becomes_rejections_in_s=round(retention.holds_s - age_s),
            )
    return retired


def _retention(backend: Backend, catalog: Catalog, connector: str) -> Retention:
    try:
        return catalog.get(backend.connectors.state(connector)).connector.retention
    except StoreUnavailable:
        raise
    except RelayError:
        return Retention()  # none is live, or it is in no state to run


def _retire(
    backend: Backend,
    clock: Clock,
    connector: str,
    audience_id: str,
    *,
    older_than: float | None,
    most: int | None = None,
    code: str,
    hint: str,
) -> Retired:
    replays: set[str] = set()

    def reject(batches: Sequence[Waiting]) -> Sequence[Rejection]:
        replays.update(batch.message_id for batch in batches if batch.message.replay is not None)
        return rejections_of_waiting(batches, code=code, hint=hint, at=clock.now())

    retired = 0
    while limit := _AT_ONCE if most is None else min(_AT_ONCE, most - retired):
        left = backend.audiences.drop(connector, audience_id, older_than=older_than, limit=limit, reject=reject)
        if not left:
            break
        retired += left
    if replays:
        log("replay_dropped", "WARNING", connector=connector, audience=audience_id, code=code, replays=len(replays))
    return Retired(retired, len(replays))
