"""Adapters opened for connectors, with the secrets of the moment and connections that are kept."""

from __future__ import annotations

import threading
from typing import NamedTuple

from adapters.contract import Adapter
from adapters.registry import describe, open_adapter
from relay.backends.interfaces import Backend
from relay.connectors.secret_names import partner_secrets
from relay.domain.clock import Clock
from relay.domain.connector import Connector
from worker.tokens import SharedTokens

_SECRETS_GOOD_FOR_S = 10.0


class _Opened(NamedTuple):
    """An adapter, what it was made of, and when its secrets were looked at."""

    connector: Connector
    values: dict[str, str]
    adapter: Adapter
    looked_at: float


class Partners:
    """One adapter per connector, opened anew when anything about the connector has changed, or a secret of it (looked at every
    ten seconds)."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._secrets = backend.secrets
        self._clock = clock
        self._tokens = SharedTokens(backend.tokens, clock)
        self._lock = threading.Lock()
        self._open: dict[str, _Opened] = {}

    def open(self, connector: Connector) -> Adapter:
        """The adapter for this connector. Secrets that are not set are left out: a preview needs none."""
        now = self._clock.now()
        with self._lock:
            known = self._open.get(connector.name)
            if known is not None and known.connector != connector:
                known = None
            if known is not None and 0 <= now - known.looked_at < _SECRETS_GOOD_FOR_S:
                return known.adapter
            values = self._values(connector)
            if known is not None and known.values == values:
                adapter = known.adapter
            else:
                adapter = open_adapter(connector, values, clock=self._clock, tokens=self._tokens)
            self._open[connector.name] = _Opened(connector, values, adapter, now)
            return adapter

    def open_unfinished(self, connector: Connector) -> Adapter:
        """An adapter for asking the partner what a setting can be: the connector may lack settings, and need not be stored. Not
        kept."""
        values = self._values(connector)
        return open_adapter(connector, values, clock=self._clock, tokens=self._tokens, complete=False)

    def open_for_preview(self, connector: Connector) -> Adapter:
        """An adapter that is only asked for what it would send: the connector may lack settings, and no secret is looked at. Not
        kept."""
        return open_adapter(connector, {}, clock=self._clock, tokens=self._tokens, complete=False)

    def forget(self, connector: Connector) -> None:
        """After refused credentials: the secrets are read again at the next use."""
        with self._lock:
            self._open.pop(connector.name, None)

    def _values(self, connector: Connector) -> dict[str, str]:
        names = partner_secrets(connector, describe(connector.adapter, connector.settings))
        values = {field: self._secrets.get(name) for field, name in names.items()}
        return {field: value[0] for field, value in values.items() if value}
