"""Everything that changes connectors goes through `Publishing`, in the name of the one who typed the command."""

from __future__ import annotations

from adapters.registry import describe
from relay.cli.session import Session
from relay.connectors.publishing import Publishing


def open_publishing(session: Session) -> Publishing:
    """For this session's state and user."""
    return Publishing(session.backend, describe, session.by)
