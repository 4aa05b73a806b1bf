"""States of connectors and versions of documents as rows. Every function works within the caller's transaction."""

from __future__ import annotations

import sqlite3

from relay.backends.records import DOCUMENT_VERSION, STATE
from relay.domain.connector import Connector, ConnectorState, DocumentVersion

RECORD = "SELECT record FROM states WHERE connector = ?"


def load_state(connection: sqlite3.Connection, connector: str) -> ConnectorState | None:
    """The connector's state, or None."""
    return read_state(connection.execute(RECORD, (connector,)).fetchone())


def read_state(row: tuple[bytes] | None) -> ConnectorState | None:
    """The state that `RECORD` has found, or None."""
    return STATE.read(row[0]) if row else None


def states_of(connection: sqlite3.Connection, document: str) -> list[ConnectorState]:
    """The states of a document's connectors, those that its live version no longer has among them."""
    found = connection.execute("SELECT record FROM states WHERE document = ? ORDER BY connector", (document,)).fetchall()
    return [STATE.read(record) for (record,) in found]


def add_state(connection: sqlite3.Connection, document: str, state: ConnectorState) -> None:
    """A connector's first state."""
    connection.execute(
        "INSERT INTO states (connector, document, record) VALUES (?, ?, ?)", (state.name, document, STATE.write(state))
    )


def save_state(connection: sqlite3.Connection, state: ConnectorState) -> None:
    """Replaces the state that is there."""
    connection.execute("UPDATE states SET record = ? WHERE connector = ?", (STATE.write(state), state.name))


def load_version(connection: sqlite3.Connection, document: str, number: int) -> DocumentVersion | None:
    """One version of a document, or None."""
    row = connection.execute(
        "SELECT record FROM document_versions WHERE document = ? AND number = ?", (document, number)
    ).fetchone()
    return DOCUMENT_VERSION.read(row[0]) if row else None


def live_connector(connection: sqlite3.Connection, connector: str) -> Connector | None:
    """The connector as its live version has it; None if none is live."""
    row = connection.execute("SELECT document, record FROM states WHERE connector = ?", (connector,)).fetchone()
    if row is None:
        return None
    version = load_version(connection, row[0], STATE.read(row[1]).live)
    if version is None:
        return None
    return next((candidate for candidate in version.connectors if candidate.name == connector), None)
