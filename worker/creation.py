"""Audiences made at the partner: by one creator at a time, under a claim with an expiry, found again by our reference."""

from __future__ import annotations

import uuid
from typing import Literal

from relay.backends.interfaces import Backend
from relay.domain.audience import Audience
from relay.domain.clock import Clock
from relay.domain.errors import AudienceNotReady, BatchRefused, Conflict, PartnerError, TryAgain
from worker.catalog import Catalog, Running
from worker.partners import Partners

_CLAIM_CALLS = 3
_CLAIM_MARGIN_S = 5.0
"""A claim lasts longer than the calls of a creation can take (a token, a look-up, the creation itself)."""

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
    ) -> Audience:
        """The audience with its partner ID, ready for members. Waits up to `patience_s` for another creator.

        Raises the `PartnerError` of the partner's answer, `AudienceNotReady` where it exists and cannot take members yet.
        """
        connector, store = running.connector, self._backend.audiences
        owner = uuid.uuid4().hex
        claim_s = _CLAIM_CALLS * (connector.timeouts.connect_s + connector.timeouts.answer_s) + _CLAIM_MARGIN_S
        give_up_at = self._clock.monotonic() + patience_s
        while True:
            audience, mine = store.claim_creation(
                connector.name, audience_id, owner=owner, for_s=claim_s, name=name, customer=customer
            )
            if audience.partner_id is not None:
                return self._ready(running, audience)
            if mine:
                return self._create(running, audience, owner)
            if self._clock.monotonic() >= give_up_at:
                # If its creator has died, the claim ends then; if not, the creation makes the hold due.
                expires_in_s = max(0.0, audience.claim_until - self._clock.now())
                raise AudienceNotReady("The audience is being created right now.", after_s=expires_in_s)
            self._clock.sleep(_POLL_S)

    def _create(self, running: Running, audience: Audience, owner: str) -> Audience:
        connector, store = running.connector, self._backend.audiences
        try:
            self._admit(running)
            partner_id = self._partners.open(connector).create_audience(audience.name or audience.id, audience.reference)
        except PartnerError as error:
            final = isinstance(error, BatchRefused)
            store.creation_failed(connector.name, audience.id, owner=owner, error=error.hint, final=final)
            self._note(running, error)
            raise
        made = store.created(connector.name, audience.id, partner_id=partner_id, status="creating")
        return self._ready(running, made)

    def _ready(self, running: Running, audience: Audience) -> Audience:
        if audience.status == "ready" or audience.partner_id is None:
            return audience
        try:
            if not self._partners.open(running.connector).is_ready(audience.partner_id):
                raise AudienceNotReady("The partner has the audience, and it cannot take members yet.")
        except PartnerError as error:
            self._note(running, error)
            raise
        return self._backend.audiences.created(
            running.connector.name, audience.id, partner_id=audience.partner_id, status="ready"
        )

    def _admit(self, running: Running) -> None:
        wait = self._backend.connectors.admit(running.connector.name, running.connector.limits.rate, items=1)
        if wait > 0:
            raise TryAgain("The partner asked to come back later, or the rate limit is used up.", after_s=wait)

    def _note(self, running: Running, error: PartnerError) -> None:
        if isinstance(error, TryAgain) and error.account and error.after_s is not None:
            self._backend.connectors.not_before(
                running.connector.name, self._clock.now() + error.after_s, reason="come_back_later", detail=error.hint
            )


def create_audience(
    backend: Backend, connector: str, audience_id: str, *, name: str, customer: int | str | None, clock: Clock
) -> Audience:
    """One creation from outside the worker's process, for the command line and the console. See `Creation.for_source`."""
    catalog = Catalog(backend, clock)
    creation = Creation(backend, catalog, Partners(backend, clock), clock)
    mode = catalog.get(backend.connectors.state(connector)).connector.inbound.audience_id
    partner_id = creation.for_source(connector, audience_id, name=name, customer=customer, mode=mode)
    audience = backend.audiences.get(connector, partner_id if mode == "partner" else audience_id)
    assert audience is not None  # noqa: S101 - it was just written
    return audience
