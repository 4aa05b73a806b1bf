"""A hold as scripts are given it, with the advice that the connector's present state calls for."""

from __future__ import annotations

from typing import Any

from relay.backends.interfaces import Backend
from relay.cli.output import iso
from relay.connectors.live import all_live
from relay.domain.audience import Audience, Hold
from relay.domain.connector import Connector, ConnectorState
from relay.health.advice import due_at, hold_reason, needs_someone, what_to_do

Setup = tuple[Connector | None, ConnectorState | None]
"""A connector as it runs, and its switches; None where there is none."""


class Setups:
    """All connectors, read once."""

    def __init__(self, backend: Backend) -> None:
        self._running = {connector.name: connector for connector in all_live(backend.connectors)}
        self._states = {state.name: state for state in backend.connectors.states()}

    def of(self, connector: str) -> Setup:
        """What the advice about its holds depends on."""
        return self._running.get(connector), self._states.get(connector)


def hold_as_json(audience: Audience, hold: Hold, setup: Setup) -> dict[str, Any]:
    """A hold for a script. Moments are UTC."""
    return {
        "connector": audience.connector,
        "audience": audience.id,
        "name": audience.name,
        "reason": hold_reason(audience, hold),
        "detail": hold.detail,
        "needs_someone": needs_someone(audience, hold),
        "what_to_do": what_to_do(audience, hold, *setup),
        "since": iso(hold.since),
        "due_at": iso(due_at(audience, hold, setup[1])),
        "oldest_at": iso(hold.oldest_at),
        "probes": hold.probes,
        "batches": hold.batches,
        "mutations": hold.items,
        "bytes": hold.bytes,
    }
