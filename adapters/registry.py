"""The adapters by name. A module is loaded only when its adapter is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import cast

from adapters.contract import Account, Adapter, Description, HttpClient, TokenSource
from relay.domain.clock import Clock
from relay.domain.connector import Connector
from relay.domain.errors import Misconfigured

ADAPTERS: Mapping[str, str] = {
    "pangolin": "adapters.pangolin:Pangolin",
}
"""Name → `module:class`."""


def names() -> tuple[str, ...]:
    """All of them, in the order in which they are offered."""
    return tuple(ADAPTERS)


def describe(name: str) -> Description | None:
    """What is needed to configure it; None if there is no such adapter."""
    adapter = _load(name)
    return adapter.description if adapter else None


def open_adapter(
    connector: Connector,
    secrets: Mapping[str, str],
    *,
    clock: Clock,
    tokens: TokenSource,
    client: HttpClient | None = None,
) -> Adapter:
    """The connector's adapter, with the defaults of settings that it does not set. `secrets`: the adapter's secret field →
    value; those that are not set are left out, since a preview needs none. Calls nobody.

    Raises `Misconfigured` if there is no such adapter or a required setting is missing.
    """
    adapter = _load(connector.adapter)
    if adapter is None:
        hint = f"There is no adapter named {connector.adapter!r}; there are {', '.join(ADAPTERS)}."
        raise Misconfigured(hint, code="no_adapter")
    defaults = {field.name: field.default for field in adapter.description.settings if field.default is not None}
    settings = {**defaults, **connector.settings}
    for field in adapter.description.settings:
        if field.required and settings.get(field.name) in (None, ""):
            raise Misconfigured(f"The setting {field.name!r} ({field.title}) is missing.", code="setting_missing")
    if client is None:
        from adapters.client import RequestsClient

        client = RequestsClient(connector.timeouts, clock)
    return adapter(Account(connector.name, settings, secrets, client, clock, tokens))


def _load(name: str) -> type[Adapter] | None:
    place = ADAPTERS.get(name)
    if place is None:
        return None
    module, _, attribute = place.partition(":")
    return cast(type[Adapter], getattr(importlib.import_module(module), attribute))
