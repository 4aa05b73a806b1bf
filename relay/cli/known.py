"""Audiences and documents that a command names, found or said to be unknown in one way."""

from __future__ import annotations

import click

from relay.backends.interfaces import Backend
from relay.connectors.live import document_of
from relay.domain.audience import Audience
from relay.domain.errors import NotFound


def known_audience(backend: Backend, connector: str, audience_id: str) -> Audience:
    """The audience's record. Raises `NotFound` for an unknown connector or audience."""
    audience = backend.audiences.get(connector, audience_id)
    if audience is None:
        backend.connectors.state(connector)  # an audience can outlive its connector, a message having been on its way
        raise NotFound(f"The connector '{connector}' has no audience '{audience_id}'; diy audiences list {connector} shows all.")
    return audience


def whole_document(name: str) -> str:
    """The name, which must be a document's. Raises `UsageError` for that of an environment, which has no versions of its own."""
    document = document_of(name)
    if name != document:
        raise click.UsageError(
            f"{name} is an environment, which goes with its document: name {document} instead. To take only the environment "
            "away, apply the document without it."
        )
    return document
