"""The adapters by name. A module is loaded only when its adapter is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from adapters.contract import Account, Adapter, AdapterClass, Description, HttpClient, TokenSource
from relay.domain.clock import Clock
from relay.domain.connector import Connector
from relay.domain.errors import Misconfigured

ADAPTERS: Mapping[str, str] = {
    "pangolin": "adapters.pangolin:Pangolin",
    "rokt": "adapters.rokt:Rokt",
    "meta": "adapters.meta:Meta",
    "http": "adapters.http:Http",
}
"""Name → `module:class`."""


def names() -> tuple[str, ...]:
    """All of them, in the order in which they are offered."""
    return tuple(ADAPTERS)


def describe(name: str, settings: Mapping[str, Any] | None = None) -> Description | None:
    """What is needed to configure it, in general or with these settings; None if there is no such adapter. Raises `DocumentError`
    where it cannot understand the settings."""
    adapter = _load(name)
    return adapter.describe(settings or {}) if adapter else None


def called(connector: Connector) -> str:
    """What this connector's partner is called; the adapter's name where there is no such adapter."""
    adapter = _load(connector.adapter)
    return adapter.called(connector.settings) if adapter else connector.adapter


def open_adapter(
    connector: Connector,
    secrets: Mapping[str, str],
    *,
    clock: Clock,
    tokens: TokenSource,
    client: HttpClient | None = None,
    complete: bool = True,
) -> Adapter:
    """The connector's adapter, with the defaults of settings that it does not set. `secrets`: the adapter's secret field →
    value; those that are not set are left out, since a preview needs none. Calls nobody.

    complete: whether every required setting must be there. False is for what can be done before: a preview, and asking the
    partner what one of them can be.

    Raises `Misconfigured` if there is no such adapter or, where it must be complete, a required setting is missing.
    """
    adapter = _load(connector.adapter)
    if adapter is None:
        hint = f"There is no adapter named {connector.adapter!r}; there are {', '.join(ADAPTERS)}."
        raise Misconfigured(hint, code="no_adapter")
    description = adapter.describe(connector.settings)
    defaults = {field.name: field.default for field in description.settings if field.default is not None}
    settings = {**defaults, **connector.settings}
    for field in description.settings if complete else ():
        if field.required and settings.get(field.name) in (None, ""):
            raise Misconfigured(f"The setting {field.name!r} ({field.title}) is missing.", code="setting_missing")
    if client is None:
        from adapters.client import RequestsClient
        from adapters.network import Network

        can_be_private = any(field.name == "allow_private_network" for field in description.settings)
        network = Network(
            public_only=can_be_private and not settings.get("allow_private_network", False),
            follow_redirects=bool(settings.get("follow_redirects", False)),
        )
        client = RequestsClient(connector.timeouts, clock, network)
    return adapter(Account(connector.name, settings, secrets, client, clock, tokens))


def _load(name: str) -> AdapterClass | None:
    place = ADAPTERS.get(name)
    return _at(place) if place is not None else None


@cache
def _at(place: str) -> AdapterClass:
    module, _, attribute = place.partition(":")
    return cast(AdapterClass, getattr(importlib.import_module(module), attribute))
