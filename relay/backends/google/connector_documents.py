"""Documents, versions and states of connectors in Firestore: where they lie, and how they are read and written.

settings/default                    documents: the names, the first applied one first; document: the chosen default
documents/{name}                    newest: the last number given; leaving: connectors of a deletion that has begun
documents/{name}/versions/{number}  number, record; while it is a draft, writer (who added it: chance) and
                                    kept_until; expire_at, the same, once there is a newer one
states/{connector}                  document, record
rates/{connector}                   record: what was taken of the rate; not_before: a copy that nobody reads (see `fence_write`)
"""

from __future__ import annotations

from relay.backends.google.documents import Documents, Query, Stored, Write
from relay.backends.google.names import safe_name
from relay.backends.records import DOCUMENT_VERSION, STATE
from relay.domain.connector import ConnectorState, DocumentVersion

SETTINGS = "settings/default"

STATES = "states"


def document_path(document: str) -> str:
    """Of what is known of a document as a whole."""
    return f"documents/{safe_name(document)}"


def versions_path(document: str) -> str:
    """The collection of its versions."""
    return f"{document_path(document)}/versions"


def version_path(document: str, number: int) -> str:
    """Of one version."""
    return f"{versions_path(document)}/{number}"


def state_path(connector: str) -> str:
    """Of a connector's state."""
    return f"{STATES}/{safe_name(connector)}"


def rate_path(connector: str) -> str:
    """Of what was taken of a connector's rate."""
    return f"rates/{safe_name(connector)}"


def load_state(documents: Documents, connector: str) -> ConnectorState | None:
    """The connector's state as it is now, or None. One read."""
    stored = documents.get(state_path(connector))
    return state_of(stored) if stored else None


def states_within(documents: Documents, document: str) -> dict[str, tuple[Stored, ConnectorState]]:
    """The states of a document's connectors by name, those that its live version no longer has among them. A read of each."""
    found = documents.query(Query(STATES, where=[("document", "==", document)]))
    return {state.name: (stored, state) for stored, state in ((stored, state_of(stored)) for stored in found)}


def state_of(stored: Stored) -> ConnectorState:
    """The state that was read. Raises `UnknownVersion`."""
    return STATE.read(stored.fields["record"].encode())


def version_of(stored: Stored) -> DocumentVersion:
    """The version that was read. Raises `UnknownVersion`."""
    return DOCUMENT_VERSION.read(stored.fields["record"].encode())


def state_write(state: ConnectorState, document: str, before: Stored | None) -> Write:
    """Replaces the state that was read; None: there was none."""
    record = STATE.write(state).decode()
    return unless_changed(Write(state_path(state.name), fields={"document": document, "record": record}), before)


def unless_changed(write: Write, before: Stored | None) -> Write:
    """The write, on condition that its document is as it was read; None: there was none."""
    return write._replace(exists=False) if before is None else write._replace(updated=before.updated)


def fence_write(state: ConnectorState) -> Write:
    """Changes the document of the connector's rate together with `not_before`, so that a call that is just being admitted, having
    read the state before, fails in its precondition and reads it again."""
    return Write(rate_path(state.name), "merge", {"not_before": state.not_before})
