"""Adapters opened for connectors, with the secrets of the moment and connections that are kept."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from adapters.contract import Adapter, TokenSource
from adapters.registry import describe, open_adapter
from relay.backends.interfaces import Backend
from relay.connectors.secret_names import partner_secrets
from relay.domain.clock import Clock
from relay.domain.connector import Connector
from relay.domain.errors import Misconfigured
from worker.logins import LoginTokens
from worker.recent import Recent
from worker.tokens import SharedTokens

_SECRETS_GOOD_FOR_S = 10.0

_MOST_OPEN = 200

_Place = tuple[str, bytes, str]
"""A connector's name, its settings, and the login: feeds that use one in different ways do not close each other's."""


class _Opened(NamedTuple):
    """An adapter, what it was made of, and when its secrets were looked at."""

    connector: Connector
    values: dict[str, str]
    adapter: Adapter
    looked_at: float


class Partners:
    """One adapter per connector and way of using it, opened anew when anything about the connector has changed, or a secret of it
    (looked at every ten seconds). `login`: see `domain.feed.Use`."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._secrets = backend.secrets
        self._clock = clock
        self._tokens = SharedTokens(backend.tokens, clock)
        self._lock = threading.Lock()
        self._open: Recent[_Place, _Opened] = Recent(_MOST_OPEN)

    def open(self, connector: Connector, login: str = "") -> Adapter:
        """The adapter for this connector. Secrets that are not set are left out: a preview needs none."""
        now = self._clock.now()
        place = (connector.name, msgspec.json.encode(connector.settings, order="deterministic"), login)
        with self._lock:
            known = self._open.find(place)
            if known is not None and known.connector != connector:
                known = None
            if known is not None and 0 <= now - known.looked_at < _SECRETS_GOOD_FOR_S:
                return known.adapter
            values = self._values(connector)
            if known is not None and known.values == values:
                adapter = known.adapter
            else:
                self._open.drop(lambda other: other[0] == connector.name, unless=lambda one: _is_alike(one.connector, connector))
                adapter = self._opened(connector, values, login)
            self._open.keep(place, _Opened(connector, values, adapter, now))
            return adapter

    def open_unfinished(self, connector: Connector, login: str = "") -> Adapter:
        """An adapter for asking the partner what a setting can be: the connector may lack settings, and need not be stored. Not
        kept."""
        return self._opened(connector, self._values(connector), login, complete=False)

    def open_with(self, connector: Connector, given: Mapping[str, str], login: str = "") -> Adapter:
        """An adapter with these values (secret field → value) in place of the secrets. Not kept. Raises `Misconfigured` for a
        field that the adapter does not have."""
        description = describe(connector.adapter, connector.settings)
        known = [field.name for field in description.secrets] if description else []
        unknown = [name for name in given if name not in known]
        if unknown:
            wanted = f"it has: {', '.join(known)}" if known else "it has none"
            raise Misconfigured(f"The partner has no credential {unknown[0]!r}; {wanted}.", code="no_such_secret")
        return self._opened(connector, {**self._values(connector), **given}, login)

    def open_for_preview(self, connector: Connector) -> Adapter:
        """An adapter that is only asked for what it would send: the connector may lack settings, and no secret is looked at. Not
        kept."""
        return self._opened(connector, {}, "", complete=False)

    def forget(self, connector: Connector) -> None:
        """After refused credentials: the secrets are read again at the next use."""
        with self._lock:
            self._open.drop(lambda place: place[0] == connector.name)

    def _opened(self, connector: Connector, values: Mapping[str, str], login: str, *, complete: bool = True) -> Adapter:
        tokens: TokenSource = LoginTokens(self._tokens, connector.name, login) if login else self._tokens
        return open_adapter(connector, values, clock=self._clock, tokens=tokens, complete=complete)

    def _values(self, connector: Connector) -> dict[str, str]:
        names = partner_secrets(connector, describe(connector.adapter, connector.settings))
        values = {field: self._secrets.get(name) for field, name in names.items()}
        return {field: value[0] for field, value in values.items() if value}


def _is_alike(one: Connector, other: Connector) -> bool:
    """Whether they differ in nothing but what a feed may set: else one of them is no longer published."""
    return msgspec.structs.replace(one, settings=other.settings) == other
