"""Audiences as addresses and forms name them: by connector and ID, which may hold any letter."""

from __future__ import annotations

from collections.abc import Mapping

from relay.backends.interfaces import Backend
from relay.console import parts
from relay.domain.audience import Audience
from relay.domain.errors import NotFound

Place = tuple[str, str]
"""Of an audience in the order of all: connector and ID."""


def place_text(place: Place) -> str:
    """`connector/ID`: a connector's name has no slash."""
    return "/".join(place)


def place_from(text: str) -> Place | None:
    """What `place_text` made; None for anything else."""
    connector, slash, audience_id = text.partition("/")
    return (connector, audience_id) if slash and connector and audience_id else None


def named_audience(given: Mapping[str, str]) -> Audience:
    """The audience that an address or a form names by `connector` and `audience`. Raises `NotFound`."""
    return known_audience(parts.backend(), given.get("connector", ""), given.get("audience", ""))


def known_audience(backend: Backend, connector: str, audience_id: str) -> Audience:
    """Raises `NotFound`."""
    audience = backend.audiences.get(connector, audience_id) if connector and audience_id else None
    if audience is None:
        raise NotFound(f"The connector '{connector}' has no audience '{audience_id}'.")
    return audience
