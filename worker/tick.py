"""Due holds: looked at all together, again and again. Holds are reconciled, not notified."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import NamedTuple

from relay.backends.interfaces import Backend
from relay.domain.audience import NEEDS_SOMEONE, Audience
from relay.domain.clock import Clock
from relay.domain.errors import StoreUnavailable
from relay.domain.message import VERSION, Message
from relay.wide_log import log
from worker.catalog import Catalog, Running
from worker.holds import must_hold, running_or_why

MOST_OF_A_MINUTE_S = 50.0
"""For `tick_for`, so that it has ended before it is called again."""

_ASKED_FOR = frozenset({"gathering", "replaying"})

_LEAST_PAUSE_S = 1.0
"""Between two looks at the holds, each of which reads those that are due: many small differences are not worth one each."""

_LONGEST_SLEEP_S = 0.5
"""A process that is to end does not sleep longer before it sees so."""


def tick(backend: Backend, catalog: Catalog, clock: Clock) -> int:
    """Publishes a resume for every hold that is due or whose reason is gone. Returns how many.

    Raises `StoreUnavailable`, also where only what one connector needs could not be read, yet not before the holds of all others
    have been resumed.
    """
    looked = _look(backend, catalog, clock)
    if looked.trouble is not None:
        raise looked.trouble
    return looked.resumed


class _Looked(NamedTuple):
    """One look at the holds. trouble: why those of some connector were left out."""

    resumed: int
    trouble: StoreUnavailable | None = None


def _look(backend: Backend, catalog: Catalog, clock: Clock) -> _Looked:
    now = clock.now()
    due = backend.audiences.due(now)
    if not due:
        return _Looked(0)
    states = {state.name: state for state in backend.connectors.states()}
    known: dict[str, tuple[Running | None, str]] = {}
    trouble = None
    for name in {audience.connector for audience in due} & states.keys():
        try:
            known[name] = running_or_why(catalog, states[name])
        except StoreUnavailable as error:
            trouble = error
    resumed = 0
    for audience in due:
        if audience.hold is None or audience.connector not in known:
            continue
        running, why = known[audience.connector]
        if audience.use is not None:
            running, why = running_or_why(catalog, states[audience.connector], audience.use)
        if must_hold(states[audience.connector], running, audience, now, why=why) is None:
            resumed += publish_resume(backend, audience, now)
    return _Looked(resumed, trouble)


def tick_for(seconds: float, backend: Backend, catalog: Catalog, clock: Clock, *, stopping: Callable[[], bool]) -> int:
    """One call of the function `tick`: as `tick`, then for so many seconds each hold that becomes due, when it does. With a log
    line at the end. Returns how many resumes were published in all.

    For whoever is called every minute and not all the time. The holds that there are at the beginning are resumed in time, to the
    second, and after each the one that is then the next. A hold that appears while another one is waited for, or nothing is, is a
    minute late at most; so is one that becomes due after these seconds. Where nothing becomes due, this returns at once.

    Several of these at once do no harm: of all that see a hold due, one is given the right to ask for its resume.

    stopping: the process is to end, so it waits no longer. Raises as `tick` does; what the last look left out, after the log
    line.
    """
    ends_at = clock.monotonic() + seconds
    looked_at = clock.now()
    resumed, trouble = _look(backend, catalog, clock)
    held_at, held = clock.now(), backend.audiences.held()
    while (due_at := _next_due(backend, held, after=looked_at)) is not None:
        if not _slept_until(max(due_at, looked_at + _LEAST_PAUSE_S), clock, ends_at, stopping):
            break
        looked_at = clock.now()
        more, trouble = _look(backend, catalog, clock)
        resumed += more
    log_tick(resumed, held, held_at)
    if trouble is not None:
        raise trouble
    return resumed


def _next_due(backend: Backend, held: Sequence[Audience], *, after: float) -> float | None:
    """The next due time after the last look at them. The store tells only the earliest of all, which may be the past one of a
    hold that cannot be resumed now: then those count that were there at the beginning."""
    times = [audience.hold.due_at for audience in held if audience.hold is not None]
    times.append(backend.audiences.next_due())
    return min((due_at for due_at in times if due_at is not None and due_at > after), default=None)


def _slept_until(moment: float, clock: Clock, ends_at: float, stopping: Callable[[], bool]) -> bool:
    """False if that would be past the end (`ends_at`, monotonic), or, before the time, if the process is to end."""
    while not stopping():
        left = moment - clock.now()
        if left <= 0:
            return True
        if clock.monotonic() + left > ends_at:
            return False
        clock.sleep(min(left, _LONGEST_SLEEP_S))
    return False


def log_tick(resumed: int, held: Sequence[Audience], now: float) -> None:
    """One wide line for each call of the function `tick`: what alerts on holds are made of, and that it runs at all.

    resumed: published by this call. held: all audiences that wait. now: seconds since the epoch at which they were read.

    Its numbers beside `resumed`: held_audiences, held_batches, held_mutations; oldest_hold_s, the age of the oldest request in a
    hold; holds_needing_someone, those for a reason that rarely passes without a person; credentials_refused, those for that
    reason. Holds that are only `gathering` or `replaying` are in none of them: somebody asked for it.
    """
    holds = [audience.hold for audience in held if audience.hold is not None and audience.hold.reason not in _ASKED_FOR]
    log(
        "tick",
        resumed=resumed,
        held_audiences=len(holds),
        held_batches=sum(hold.batches for hold in holds),
        held_mutations=sum(hold.items for hold in holds),
        oldest_hold_s=round(max((now - (hold.oldest_at or hold.since) for hold in holds), default=0.0), 1),
        holds_needing_someone=sum(1 for hold in holds if hold.reason in NEEDS_SOMEONE),
        credentials_refused=sum(1 for hold in holds if hold.reason == "credentials_refused"),
    )


def publish_resume(backend: Backend, audience: Audience, now: float) -> bool:
    """Asks for a turn of this audience's hold, on its own key. False if the hold has changed since the record was read.

    Noted first: a resume that is quick would else be followed by the note that one is on its way. If this process ends in
    between, it is asked for again a minute later.
    """
    if not backend.audiences.mark_asked(audience):
        return False
    message = Message(
        version=VERSION,
        kind="resume",
        connector=audience.connector,
        audience=audience.id,
        request_id=uuid.uuid4().hex,
        received_at=now,
    )
    backend.queue.publish([message])
    return True
