"""Audiences made at the partner: by one creator at a time, under a claim with an expiry, found again by our reference."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from relay.backends.interfaces import Backend
from relay.domain.audience import Audience
from relay.domain.clock import Clock
from relay.domain.errors import AudienceNotReady, BatchRefused, Conflict, CredentialsRefused, PartnerError, RelayError, TryAgain
from worker.budget import Budget
from worker.calls import Postponed
from worker.catalog import Catalog, Running
from worker.partners import Partners
from worker.retries import LONGEST_WAIT_IN_TURN_S
from worker.tokens import PATIENCE_S

_CLAIM_CALLS = 3
_CLAIM_MARGIN_S = 5.0
"""A claim lasts longer than a creation can take: its calls (a token, a look-up, the creation itself), and before them the
wait for another worker that fetches the token."""

_POLL_S = 0.05


class Creation:
    """Creates audiences, for the turns of the worker and for the receiver's CREATE_AUDIENCE."""

    def __init__(self, backend: Backend, catalog: Catalog, partners: Partners, clock: Clock) -> None:
        self._backend = backend
        self._catalog = catalog
        self._partners = partners
        self._clock = clock

    def for_source(
        self,
        connector: str,
        audience_id: str,
        *,
        name: str,
        customer: int | str | None,
        mode: Literal["own", "partner"],
        patience_s: float = 30.0,
    ) -> str:
        """The partner's ID of the audience, made if need be. In mode `partner` its entry under that ID is written before this
        returns. Raises `NotFound` (no such connector), `Conflict` (it does not run now), or what the partner answers."""
        state = self._backend.connectors.state(connector)
        running = self._catalog.get(state)
        if not state.enabled or state.paused:
            raise Conflict(f"The connector {connector!r} is switched off.")
        if running.missing:
            raise Conflict(f"The connector {connector!r} is incomplete: {' '.join(running.missing)}")
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
        owner = uuid.uuid4().hex
        claim_s = _claim_s(running)
        give_up_at = self._clock.monotonic() + patience_s
        while True:
            # Once more after every wait of a claim's owner too: it renews the claim.
            audience, mine = store.claim_creation(
                connector.name, audience_id, owner=owner, for_s=claim_s, name=name, customer=customer
            )
            if audience.partner_id is not None:
                return self._ready(running, audience, budget)
            if not mine:
                self._await_other(running, audience, give_up_at, budget)
                continue
            with self._claimed(running, audience, owner):
                self._require_time(running, budget)
                wait = self._backend.connectors.admit(connector.name, connector.limits.rate, items=1)
                if wait <= 0:
                    made = self._create(running, audience, budget)
                    break
                if wait > LONGEST_WAIT_IN_TURN_S or self._clock.monotonic() + wait > give_up_at:
                    detail = "The partner asked to come back later, or the connector's rate limit is used up."
                    if budget is None:
                        raise TryAgain(detail, after_s=wait)
                    raise Postponed(detail, due_at=self._clock.now() + wait, crowded=True)
                self._clock.sleep(wait)
        return self._ready(running, made, budget)

    def _await_other(self, running: Running, audience: Audience, give_up_at: float, budget: Budget | None) -> None:
        """Returns when there may be something to do: it was created, or nobody creates it any more. Only reads meanwhile: a claim
        is a durable write, and many may wait."""
        standing: Audience | None = audience
        while True:
            self._require_time(running, budget)
            if self._clock.monotonic() >= give_up_at:
                # If its creator has died, the claim ends then; if not, the creation makes the hold due.
                expires_in_s = max(0.0, (standing.claim_until if standing else 0) - self._clock.now())
                raise AudienceNotReady("The audience is being created right now.", after_s=expires_in_s)
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
            final = isinstance(error, BatchRefused)
            self._backend.audiences.creation_failed(
                running.connector.name, audience.id, owner=owner, error=str(error), final=final
            )
            raise

    def _create(self, running: Running, audience: Audience, budget: Budget | None) -> Audience:
        connector = running.connector
        adapter = self._partners.open(connector)
        self._require_time(running, budget)
        try:
            partner_id = adapter.create_audience(audience.name or audience.id, audience.reference)
        except PartnerError as error:
            self._note(running, error)
            raise
        return self._backend.audiences.created(connector.name, audience.id, partner_id=partner_id, status="creating")

    def _ready(self, running: Running, audience: Audience, budget: Budget | None) -> Audience:
        if audience.status == "ready" or audience.partner_id is None:
            return audience
        adapter = self._partners.open(running.connector)
        self._require_time(running, budget)
        try:
            if not adapter.is_ready(audience.partner_id):
                raise AudienceNotReady("The partner has the audience, and it cannot take members yet.")
        except PartnerError as error:
            self._note(running, error)
            raise
        return self._backend.audiences.created(
            running.connector.name, audience.id, partner_id=audience.partner_id, status="ready"
        )

    def _require_time(self, running: Running, budget: Budget | None) -> None:
        """Right before a call. A creation may take several; one that outlasts its turn harms nothing, thanks to its claim."""
        if budget is not None and not budget.allows(_call_s(running)):
            raise Postponed("The turn's time is over; the rest goes on at once.", due_at=self._clock.now())

    def _note(self, running: Running, error: PartnerError) -> None:
        if isinstance(error, CredentialsRefused):
            self._partners.forget(running.connector)
        if isinstance(error, TryAgain) and error.account and error.after_s is not None:
            self._backend.connectors.not_before(
                running.connector.name, self._clock.now() + error.after_s, reason="come_back_later", detail=error.hint
            )


def _claim_s(running: Running) -> float:
    return _CLAIM_CALLS * _call_s(running) + PATIENCE_S + _CLAIM_MARGIN_S


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
