"""Audiences, by hand: made at the partner, linked to one that is there, looked at as the partner sees them."""

from __future__ import annotations

from typing import Any

from adapters.contract import Adapter, Option
from adapters.registry import describe
from relay.backends.interfaces import Backend
from relay.connectors.completeness import in_a_row, missing_secrets
from relay.connectors.live import live
from relay.domain.audience import Audience
from relay.domain.clock import Clock
from relay.domain.errors import Conflict, NotFound
from relay.domain.feed import Use
from relay.health.asking import require_may_call

LISTED = "audience"
"""The field under which adapters offer the audiences that are at the partner: see `Adapter.options`."""


def create(
    backend: Backend, connector: str, audience_id: str, *, name: str, customer: str | None, by: str, clock: Clock
) -> Audience:
    """Makes it at the partner, as the DMP would; repeating it makes no second one. The record is that under its key, which in
    mode `partner` is the partner's ID. Raises `NotFound`, `Conflict`, or what the partner answers."""
    from worker.creation import create_audience

    whose = int(customer) if customer and customer.isdecimal() else customer
    audience = create_audience(backend, connector, audience_id, name=name, customer=whose or None, clock=clock)
    backend.audit.add(by=by, what="create audience", subject=f"{connector}/{audience.id}")
    return audience


def link(backend: Backend, connector: str, audience_id: str, *, partner_id: str, name: str | None, by: str) -> Audience:
    """Says which audience of the partner it is, whatever was recorded before; what waits is tried now. Raises `NotFound`, and
    `Conflict` where another audience of the connector is that one."""
    backend.connectors.state(connector)
    try:
        audience = backend.audiences.link(connector, audience_id, partner_id=partner_id, name=name)
    except Conflict as taken:
        raise Conflict(f"{taken} Link the other one elsewhere first, or choose another ID at the partner.") from None
    backend.audit.add(by=by, what="link audience", subject=f"{connector}/{audience_id}", detail=partner_id)
    return audience


def described(backend: Backend, audience: Audience, clock: Clock) -> dict[str, Any]:
    """What the partner says of it. Raises `NotFound` where the partner has none yet, `Conflict` while it must not be called, or
    what the partner answers."""
    if audience.partner_id is None:
        raise NotFound(f"The partner has no audience for {audience.id!r} yet.")
    require_may_call(backend, audience.connector, clock.now())
    return _adapter(backend, audience.connector, clock, audience.use).describe_audience(audience.partner_id)


def at_the_partner(backend: Backend, connector: str, clock: Clock) -> list[Option]:
    """The audiences that the partner has, to link one. Raises `Unsupported` where the adapter has no list of them, `NotFound`,
    `Conflict` while it must not or cannot be called, or what the partner answers."""
    require_may_call(backend, connector, clock.now())
    running = live(backend.connectors, connector)
    description = describe(running.adapter, running.settings)
    if description is not None and (lacking := list(missing_secrets(running, description, backend.secrets))):
        raise Conflict(f"Without its secrets {connector} cannot ask the partner. {in_a_row(lacking)}")
    return _adapter(backend, connector, clock).options(LISTED, running.settings)


def _adapter(backend: Backend, connector: str, clock: Clock, use: Use | None = None) -> Adapter:
    """use: how a feed uses the connector for the audience in question."""
    from worker.catalog import Catalog, running
    from worker.partners import Partners

    connected = live(backend.connectors, connector)
    if use is not None:
        connected = Catalog(backend, clock).used(running(connected), use).connector
    return Partners(backend, clock).open(connected, use.login if use else "")
