"""Audiences made at the partner: by one creator at a time, under a claim with an expiry, found again by our reference."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from adapters import leash
from relay.backends.interfaces import Backend
from relay.domain.audience import Audience
from relay.domain.clock import Clock
from relay.domain.errors import (
    AudienceNotReady,
    BatchRefused,
    Conflict,
    CredentialsRefused,
    Misconfigured,
    PartnerError,
    RelayError,
    TryAgain,
)
from relay.domain.feed import Use
from relay.domain.own_pace import RATE_USED_UP, TIME_IS_OVER
from worker.account import remember
from worker.budget import Budget
from worker.calls import Postponed, is_whole, out_of_time, require_possible
from worker.catalog import Catalog, Running
from worker.partners import Partners
from worker.rate import Rate
from worker.retries import LONGEST_WAIT_IN_TURN_S

_OUTSIDE_S = 100.0
"""So long a creation may take outside of a turn: a look-up may have many pages."""

_CLAIM_MARGIN_S = 5.0
"""A claim lasts longer than its creation may take, with all of its calls and waits."""

_POLL_S = 0.05

_WHAT_TO_DO = (
    "Give this audience another name, or change the setting by which the connector names its lists at the partner (`list`, where "
    "it has one)."
)


class AudienceTaken(Misconfigured):
    """At the partner it would be another audience of the same connector."""

    code = "audience_taken"


class Creation:
    """Creates audiences, for the turns of the worker and for the receiver's CREATE_AUDIENCE."""

    def __init__(
        self,
        backend: Backend,
        catalog: Catalog,
        partners: Partners,
        clock: Clock,
        *,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """stopping: the process is to end, so no further call begins."""
        self._backend = backend
        self._catalog = catalog
        self._partners = partners
        self._clock = clock
        self._stopping = stopping

    def for_source(
        self,
        connector: str,
        audience_id: str,
        *,
        name: str,
        customer: int | str | None,
        mode: Literal["own", "partner"],
        patience_s: float = 30.0,
        use: Use | None = None,
        instead_of: str = "",
    ) -> str:
        """The partner's ID of the audience, made if need be. In mode `partner` its entry under that ID is written before this
        returns. use: of the feed that uses the audience so from now on, in the place of the feed `instead_of`; None: whatever its
        record says.

        Raises `NotFound` (no such connector), `Conflict` (it does not run now, or another feed uses the audience otherwise), or
        what the partner answers."""
        state = self._backend.connectors.state(connector)
        running = self._catalog.used(self._catalog.get(state), use)
        if not state.enabled or state.paused:
            raise Conflict(f"The connector {connector!r} is switched off.")
        if running.missing:
            raise Conflict(f"The connector {connector!r} is incomplete: {' '.join(running.missing)}")
        if use is not None:
            self._backend.audiences.set_use(connector, audience_id, use, instead_of=instead_of)
        if mode == "partner":
            known = self._backend.audiences.get(connector, audience_id)
            if known and known.answers_to:
                return known.answers_to
        audience = self.ensure(running, audience_id, name=name, customer=customer, patience_s=patience_s)
        assert audience.partner_id is not None  # noqa: S101 - ensure() returns it with one
        if mode == "partner":
            self._backend.audiences.remember_answer(connector, audience_id, partner_id=audience.partner_id, name=name)
        return audience.partner_id

    def ensure(
        self,
        running: Running,
        audience_id: str,
        *,
        name: str | None = None,
        customer: int | str | None = None,
        patience_s: float = 2.0,
        budget: Budget | None = None,
    ) -> Audience:
        """The audience with its partner ID, ready for members. Waits up to `patience_s` for another creator and for the rate.

        budget: of the turn that asks; no call begins that cannot end within it.

        Raises the `PartnerError` of the partner's answer, `AudienceNotReady` where it exists and cannot take members yet,
        and in a turn `Postponed` where its time ends before, or the rate is used up for longer.
        """
        connector, store = running.connector, self._backend.audiences
        rate = Rate(self._backend.connectors, connector, self._clock)
        owner = uuid.uuid4().hex
        require_possible(_call_s(running))
        had_whole_turn = budget is not None and is_whole(budget)
        give_up_at = self._clock.monotonic() + patience_s
        while True:
            for_s = max(0.0, budget.remaining_s()) if budget else max(_OUTSIDE_S, _call_s(running))
            until = self._clock.monotonic() + for_s
            # Once more after every wait of a claim's owner too: it renews the claim.
            audience, mine = store.claim_creation(
                connector.name, audience_id, owner=owner, for_s=for_s + _CLAIM_MARGIN_S, name=name, customer=customer
            )
            running = self._used(running, audience, owner)
            if audience.partner_id is not None:
                while audience.status != "ready" and (wait := self._asked(running, rate, give_up_at, budget)):
                    self._clock.sleep(wait)
                return self._ready(running, audience, rate, budget, had_whole_turn=had_whole_turn)
            if not mine:
                self._await_other(running, audience, give_up_at, budget)
                continue
            with self._claimed(running, audience, owner):
                wait = self._asked(running, rate, give_up_at, budget)
                if wait <= 0:
                    made = self._create(running, audience, rate, budget, until=until, had_whole_turn=had_whole_turn)
                    break
                self._clock.sleep(wait)
        # What is left of the turn may be too short for one more question, which has all of the next one. Neither must it be asked
        # beyond the rate: what has begun is done.
        rate = Rate(self._backend.connectors, connector, self._clock)
        return self._ready(running, made, rate, budget, had_whole_turn=False)

    def _used(self, running: Running, audience: Audience, owner: str) -> Running:
        """As its record says that a feed uses the connector."""
        with self._claimed(running, audience, owner):
            return self._catalog.used(running, audience.use)

    def _asked(self, running: Running, rate: Rate, give_up_at: float, budget: Budget | None) -> float:
        """Asks for a call: 0, or the seconds to wait before asking again. Raises where that is longer than one waits."""
        self._require_time(running, budget)
        wait = rate.ask(1)
        if wait <= LONGEST_WAIT_IN_TURN_S and self._clock.monotonic() + wait <= give_up_at:
            return wait
        own_pace = rate.put_off() is None
        detail = RATE_USED_UP if own_pace else "The partner asked to come back later."
        if budget is None:
            raise TryAgain(detail, after_s=wait)
        raise Postponed(detail, due_at=self._clock.now() + wait, crowded=True, own_pace=own_pace)

    def _await_other(self, running: Running, audience: Audience, give_up_at: float, budget: Budget | None) -> None:
        """Returns when there may be something to do: it was created, or nobody creates it any more. Only reads meanwhile: a claim
        is a durable write, and many may wait."""
        standing: Audience | None = audience
        while True:
            self._require_time(running, budget)
            if self._clock.monotonic() >= give_up_at:
                # If its creator has died, the claim ends then; if not, the creation makes the hold due.
                expires_in_s = max(0.0, (standing.claim_until if standing else 0) - self._clock.now())
                raise AudienceNotReady("The audience is being created right now.", look_after_s=expires_in_s)
            self._clock.sleep(_POLL_S)
            standing = self._backend.audiences.get(running.connector.name, audience.id)
            if standing is None or standing.partner_id is not None or standing.claim_until <= self._clock.now():
                return

    @contextmanager
    def _claimed(self, running: Running, audience: Audience, owner: str) -> Iterator[None]:
        """Trouble ends the claim, so that the next one who asks need not wait for its expiry."""
        try:
            yield
        except RelayError as error:
            final = isinstance(error, BatchRefused | AudienceTaken)
            self._backend.audiences.creation_failed(
                running.connector.name, audience.id, owner=owner, error=str(error), final=final
            )
            raise

    def _create(
        self, running: Running, audience: Audience, rate: Rate, budget: Budget | None, *, until: float, had_whole_turn: bool
    ) -> Audience:
        """until: when the claim is nearly over (monotonic); no call goes on beyond."""
        connector = running.connector
        adapter = self._partners.open(connector, running.login)
        self._require_time(running, budget)
        try:
            with self._leash(rate, budget, until=until):
                partner_id = adapter.create_audience(audience.name or audience.id, audience.reference)
        except leash.OutOfTime:
            what = "Looking for the audience at the partner and creating it"
            raise out_of_time(what, budget, self._clock, had_whole_turn=had_whole_turn) from None
        except PartnerError as error:
            self._note(running, error)
            raise
        try:
            return self._backend.audiences.created(connector.name, audience.id, partner_id=partner_id, status="creating")
        except Conflict as taken:
            raise AudienceTaken(f"{taken} {_WHAT_TO_DO}") from None

    def _ready(
        self, running: Running, audience: Audience, rate: Rate, budget: Budget | None, *, had_whole_turn: bool
    ) -> Audience:
        if audience.status == "ready" or audience.partner_id is None:
            return audience
        adapter = self._partners.open(running.connector, running.login)
        self._require_time(running, budget)
        try:
            with self._leash(rate, budget, until=math.inf):
                ready = adapter.is_ready(audience.partner_id)
            if not ready:
                raise AudienceNotReady("The partner has the audience, and it cannot take members yet.")
        except leash.OutOfTime:
            what = "Asking the partner whether the audience can take members"
            raise out_of_time(what, budget, self._clock, had_whole_turn=had_whole_turn) from None
        except PartnerError as error:
            self._note(running, error)
            raise
        return self._backend.audiences.created(
            running.connector.name, audience.id, partner_id=audience.partner_id, status="ready"
        )

    def _require_time(self, running: Running, budget: Budget | None) -> None:
        """Right before a call. A creation may take several; one that outlasts its turn harms nothing, thanks to its claim."""
        if budget is not None and not budget.allows(_call_s(running)):
            raise Postponed(TIME_IS_OVER, due_at=self._clock.now(), own_pace=True)
        if budget is None and self._stopping():
            raise TryAgain("This process is shutting down, and begins no further call.", code="process_ended")

    def _leash(self, rate: Rate, budget: Budget | None, *, until: float) -> AbstractContextManager[None]:
        """Calls only as the rate allows, while there is time for them, and until that moment (monotonic)."""

        def left_s() -> float:
            left = budget.left_for_calls_s() if budget else 0.0 if self._stopping() else math.inf
            return min(left, until - self._clock.monotonic())

        return leash.within(left_s, rate.begin)

    def _note(self, running: Running, error: PartnerError) -> None:
        if isinstance(error, CredentialsRefused):
            self._partners.forget(running.connector)
        remember(error, self._backend.connectors, running.connector.name, self._clock, login=running.login)


def _call_s(running: Running) -> float:
    return running.connector.timeouts.connect_s + running.connector.timeouts.answer_s


def create_audience(
    backend: Backend, connector: str, audience_id: str, *, name: str, customer: int | str | None, clock: Clock
) -> Audience:
    """One creation from outside of a process that makes them all the time, for the command line. See `Creation.for_source`."""
    catalog = Catalog(backend, clock)
    creation = Creation(backend, catalog, Partners(backend, clock), clock)
    mode = catalog.get(backend.connectors.state(connector)).connector.inbound.audience_id
    partner_id = creation.for_source(connector, audience_id, name=name, customer=customer, mode=mode)
    audience = backend.audiences.get(connector, partner_id if mode == "partner" else audience_id)
    assert audience is not None  # noqa: S101 - it was just written
    return audience
