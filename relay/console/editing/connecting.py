"""Allowing a draft's access at the partner before it is published: where what comes of it can belong to nothing else."""

from __future__ import annotations

from adapters.contract import Description
from relay.connectors.live import document_of
from relay.console.editing.configuring import empty_settings
from relay.console.editing.opened import Opened, open_draft
from relay.console.editing.unpublished import connector_to_ask, partners
from relay.console.parts import backend
from relay.domain.connector import Connector
from relay.domain.errors import ConfigurationError, Conflict, DocumentError, NotFound, PartnerError
from worker.authorization import Connectable
from worker.partners import Partners


def why_not_connected_here(opened: Opened, description: Description | None) -> str:
    """Why the access is not allowed from the draft; empty: it can be, or nobody has to."""
    if description is None or not description.connect:
        return ""
    if not opened.name:
        return "Give it a name first: the access belongs to the connector of that name."
    if _runs(opened.name):
        return (
            f"{opened.name} runs, and the access belongs to it: somebody allows it anew on its page, with the button Connect, "
            "once this is published."
        )
    if empty_settings(opened):
        return "Fill in the settings that are required first."
    return ""


def draft_to_connect(key: str, name: str) -> Connector:
    """The draft's connector, to be connected under this name. Raises `Conflict`, `NotFound`, `DocumentError`."""
    opened = open_draft(key)
    connector = connector_to_ask(opened)
    if reason := why_not_connected_here(opened, opened.description):
        raise Conflict(reason)
    if connector.name != name:
        raise Conflict(f"The draft is called {connector.name} meanwhile; begin again.")
    return connector


def is_connected(partners: Partners, connector: Connector) -> bool:
    """Whether somebody has allowed its access, as far as is stored."""
    adapter = partners.open(connector)
    if not isinstance(adapter, Connectable) or adapter.authorization is None:
        return True
    return backend().tokens.get(adapter.authorization.token_name()) is not None


def forget_access(before: Opened) -> None:
    """The draft, as it was before, is deleted or has changed: what somebody allowed for it must not be found by the next draft of
    its name. Nothing happens where something of that name runs, whose access it is."""
    token = _token_of(before)
    if not token:
        return
    try:
        now = _token_of(open_draft(before.draft.key))
    except NotFound:
        now = ""
    if now != token and not _runs(before.name):
        backend().tokens.delete(token)


def _token_of(opened: Opened) -> str:
    """Under which the draft's access is stored; empty: none could be."""
    if opened.description is None or not opened.description.connect:
        return ""
    try:
        adapter = partners().open(connector_to_ask(opened))
        allowed = adapter.authorization if isinstance(adapter, Connectable) else None
        return allowed.token_name() if allowed else ""
    except (DocumentError, PartnerError, ConfigurationError):
        return ""


def is_there(key: str) -> bool:
    """Whether there is a draft of this key."""
    try:
        backend().drafts.get(key)
    except NotFound:
        return False
    return True


def _runs(document: str) -> bool:
    try:
        return any(document_of(state.name) == document and state.live for state in backend().connectors.states())
    except NotFound:
        return False
