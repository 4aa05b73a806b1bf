"""Audiences as addresses and forms name them: by connector and ID, which may hold any letter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from relay.backends.interfaces import Backend
from relay.console import parts
from relay.domain.audience import Audience
from relay.domain.errors import NotFound


class Happened(Protocol):
    """An attempt, a rejection: whatever concerns one audience."""

    @property
    def connector(self) -> str: ...

    @property
    def audience(self) -> str:
        """Its ID."""
        ...


Place = tuple[str, str]
"""Of an audience in the order of all: connector and ID."""


def place_text(place: Place) -> str:
    """`connector/ID`: a connector's name has no slash."""
    return "/".join(place)


def place_from(text: str) -> Place | None:
    """What `place_text` made; None for anything else."""
    connector, slash, audience_id = text.partition("/")
    return (connector, audience_id) if slash and connector and audience_id else None


def names_of(backend: Backend, happened: Iterable[Happened]) -> dict[Place, str]:
    """How the audiences are called in which all of this happened; those that have no name but their ID are left out."""
    found = backend.audiences.several({(one.connector, one.audience) for one in happened})
    return {place: audience.name for place, audience in found.items() if audience.name not in ("", audience.id)}


def named_audience(given: Mapping[str, str]) -> Audience:
    """The audience that an address or a form names by `connector` and `audience`. Raises `NotFound`."""
    return known_audience(parts.backend(), given.get("connector", ""), given.get("audience", ""))


def known_audience(backend: Backend, connector: str, audience_id: str) -> Audience:
    """Raises `NotFound`."""
    audience = backend.audiences.get(connector, audience_id) if connector and audience_id else None
    if audience is None:
        raise NotFound(f"The connector '{connector}' has no audience '{audience_id}'.")
    return audience
