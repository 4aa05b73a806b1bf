"""Adapters opened for connectors, with the secrets of the moment and connections that are kept."""

from __future__ import annotations

import threading

from adapters.contract import Adapter
from adapters.registry import open_adapter
from relay.backends.interfaces import Backend
from relay.domain.clock import Clock
from relay.domain.connector import Connector
from worker.tokens import SharedTokens

_SECRETS_GOOD_FOR_S = 10.0


class Partners:
    """One adapter per connector version, opened anew when a secret of it has changed (looked at every ten seconds)."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._secrets = backend.secrets
        self._clock = clock
        self._tokens = SharedTokens(backend.tokens, clock)
        self._lock = threading.Lock()
        self._open: dict[str, tuple[float, int, dict[str, str], Adapter]] = {}

    def open(self, connector: Connector) -> Adapter:
        """The adapter for this connector. Secrets that are not set are left out: a preview needs none."""
        now = self._clock.now()
        with self._lock:
            at, version, values, adapter = self._open.get(connector.name, (0.0, 0, {}, None))
            if adapter and version == connector.document_version and 0 <= now - at < _SECRETS_GOOD_FOR_S:
                return adapter
            current = self._values(connector)
            if adapter is None or version != connector.document_version or values != current:
                adapter = open_adapter(connector, current, clock=self._clock, tokens=self._tokens)
            self._open[connector.name] = (now, connector.document_version, current, adapter)
            return adapter

    def forget(self, connector: Connector) -> None:
        """After refused credentials: the secrets are read again at the next use."""
        with self._lock:
            self._open.pop(connector.name, None)

    def _values(self, connector: Connector) -> dict[str, str]:
        values = {field: self._secrets.get(name) for field, name in connector.secrets.items()}
        return {field: value[0] for field, value in values.items() if value}
