"""A draft's connector as far as it can be made: for asking its partner, trying a mapping, and showing what would be sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from adapters.contract import Adapter
from adapters.registry import describe
from relay.connectors.document import read_to_ask
from relay.connectors.drafts import text_of
from relay.console.editing.opened import Opened
from relay.console.parts import backend, parts
from relay.domain.connector import Connector
from relay.domain.errors import DocumentError, PartnerError
from worker.partners import Partners


def connector_to_ask(opened: Opened, *, asked: str = "", environment: str = "") -> Connector:
    """What it takes to ask the partner something; the setting that is asked for may be missing. Raises `DocumentError`."""
    return read_to_ask(text_of(opened.unfinished), asked, environment=environment, describe=describe)


def addresses(connector: Connector) -> str:
    """The hosts that its settings name, with their ports; where they name none, the adapter has its own."""
    description = describe(connector.adapter, connector.settings)
    defaults = {field.name: field.default for field in description.settings} if description else {}
    hosts = sorted({host for text in _texts({**defaults, **connector.settings}) if (host := _host(text))})
    return ", ".join(hosts) or f"the own address of {connector.adapter}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _host(text: str) -> str:
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return parts.netloc.rpartition("@")[2] if parts.scheme in ("http", "https") else ""


def partners() -> Partners:
    """For one question."""
    return Partners(backend(), parts().clock)


def pure_adapter(opened: Opened) -> Adapter | None:
    """For what calls nobody; None as long as the settings are not right."""
    try:
        return partners().open_for_preview(connector_to_ask(opened))
    except (DocumentError, PartnerError):
        return None
