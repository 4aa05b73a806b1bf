"""Audiences that a command names, found or said to be unknown in one way."""

from __future__ import annotations

from relay.backends.interfaces import Backend
from relay.domain.audience import Audience
from relay.domain.errors import NotFound


def known_audience(backend: Backend, connector: str, audience_id: str) -> Audience:
    """The audience's record. Raises `NotFound` for an unknown connector or audience."""
    backend.connectors.state(connector)
    audience = backend.audiences.get(connector, audience_id)
    if audience is None:
        raise NotFound(f"The connector '{connector}' has no audience '{audience_id}'; diy audiences list {connector} shows all.")
    return audience
