"""Connectors as they run, and their switches: what the advice about a hold depends on. Read when first asked for."""

from __future__ import annotations

from relay.backends.interfaces import Backend
from relay.connectors.live import live
from relay.domain.connector import Connector, ConnectorState
from relay.domain.errors import NotFound


class Setups:
    """Of one page. The states are read at once, which is one read; the documents one by one."""

    def __init__(self, backend: Backend) -> None:
        self._connectors = backend.connectors
        self.states = {state.name: state for state in backend.connectors.states()}
        self._running: dict[str, Connector | None] = {}

    def running(self, name: str) -> Connector | None:
        """None where no version of it is published."""
        if name not in self._running:
            try:
                self._running[name] = live(self._connectors, name)
            except NotFound:
                self._running[name] = None
        return self._running[name]

    def state(self, name: str) -> ConnectorState | None:
        """None for a connector that is no more."""
        return self.states.get(name)
