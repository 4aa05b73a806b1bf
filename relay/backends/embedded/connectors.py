"""`interfaces.Connectors` on SQLite: documents with versions, the state of connectors, and their rates."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection

from msgspec.structs import replace

from relay.backends.embedded import admission, audience_rows
from relay.backends.embedded import connector_rows as rows
from relay.backends.embedded.database import Database
from relay.backends.embedded.holds import make_due_in
from relay.backends.embedded.journal import EmbeddedJournal
from relay.backends.embedded.tokens import delete_all
from relay.backends.embedded.turns import fenced, standing
from relay.backends.interfaces import Turn
from relay.backends.records import DOCUMENT_VERSION, STATE
from relay.domain import switches
from relay.domain.audience import HoldReason
from relay.domain.clock import Clock
from relay.domain.connector import ActionSwitch, ConnectorState, DocumentVersion, RateLimits
from relay.domain.errors import Conflict, NotFound
from relay.domain.feed import logins_of

_GATHERING: tuple[HoldReason, ...] = ("gathering",)


class EmbeddedConnectors:
    """Each method is one transaction."""

    def __init__(self, database: Database, journal: EmbeddedJournal, clock: Clock) -> None:
        self._database = database
        self._journal = journal
        self._clock = clock

    # documents
    def documents(self) -> list[str]:
        return [name for (name,) in self._database.rows("SELECT name FROM documents ORDER BY applied")]

    def versions(self, document: str) -> list[DocumentVersion]:
        found = self._database.rows("SELECT record FROM document_versions WHERE document = ? ORDER BY number", (document,))
        if not found:
            raise _no_such_document(document)
        return [DOCUMENT_VERSION.read(record) for (record,) in found]

    def newest(self, document: str) -> int:
        number: int | None = self._database.row("SELECT max(number) FROM document_versions WHERE document = ?", (document,))[0]
        if number is None:
            raise _no_such_document(document)
        return number

    def version(self, document: str, number: int) -> DocumentVersion:
        with self._database.snapshot() as connection:
            return _version(connection, document, number)

    def versions_at(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], DocumentVersion]:
        found = self._database.rows(
            "SELECT document, number, record FROM json_each(?) CROSS JOIN document_versions"
            " ON document = json_extract(value, '$[0]') AND number = json_extract(value, '$[1]')",
            (json.dumps(list(places)),),
        )
        return {(document, number): DOCUMENT_VERSION.read(record) for document, number, record in found}

    def add_version(self, document: DocumentVersion) -> DocumentVersion:
        with self._database.transaction() as connection:
            connection.execute("INSERT INTO documents (name) VALUES (?) ON CONFLICT DO NOTHING", (document.document,))
            newest = connection.execute(
                "SELECT coalesce(max(number), 0) FROM document_versions WHERE document = ?", (document.document,)
            ).fetchone()[0]
            number = newest + 1
            connectors = tuple(replace(connector, document_version=number) for connector in document.connectors)
            numbered = replace(document, number=number, connectors=connectors)
            connection.execute(
                "INSERT INTO document_versions (document, number, record) VALUES (?, ?, ?)",
                (numbered.document, numbered.number, DOCUMENT_VERSION.write(numbered)),
            )
            return numbered

    def publish(self, document: str, number: int) -> None:
        with self._database.transaction() as connection:
            now = self._clock.now()
            published = replace(_version(connection, document, number), published_at=now)
            connection.execute(
                "UPDATE document_versions SET record = ? WHERE document = ? AND number = ?",
                (DOCUMENT_VERSION.write(published), document, number),
            )
            names = [connector.name for connector in published.connectors]
            known = {state.name: state for state in rows.states_of(connection, document)}
            for connector in published.connectors:
                before = rows.live_connector(connection, connector.name)
                state = switches.published(
                    known.get(connector.name) or ConnectorState(name=connector.name),
                    number,
                    days_before=before.retention.journal_days if before else 0,
                    days=connector.retention.journal_days,
                    now=now,
                )
                if connector.name in known:
                    rows.save_state(connection, state)
                else:
                    rows.add_state(connection, document, state)
            for name in known.keys() - set(names):
                rows.save_state(connection, switches.published(known[name], 0, days_before=0, days=0, now=now))
            for name in {*names, *known}:
                make_due_in(connection, name, reasons=_GATHERING, now=now)
        for name in {*names, *known}:
            self._journal.tidy(name, now=now)  # personal data that is not to be kept any more: at once

    def delete(self, document: str) -> None:
        with self._database.transaction() as connection:
            if connection.execute("SELECT 1 FROM documents WHERE name = ?", (document,)).fetchone() is None:
                raise _no_such_document(document)
            holding = connection.execute(
                "SELECT count(*), min(connector) FROM audiences"
                " WHERE hold_reason IS NOT NULL AND connector IN (SELECT connector FROM states WHERE document = ?)",
                (document,),
            ).fetchone()
            if holding[0]:
                raise Conflict(
                    f"Changes that were not delivered still wait in {holding[0]:,} {'hold' if holding[0] == 1 else 'holds'} of "
                    f"{document!r} (for instance of connector {holding[1]!r}). Resume or discard them first."
                )
            queued = connection.execute(
                "SELECT coalesce(sum(messages), 0) FROM keys"
                " WHERE connector IN (SELECT connector FROM states WHERE document = ?)",
                (document,),
            ).fetchone()[0]
            if queued:
                raise Conflict(f"{queued:,} messages for {document!r} are still in the queue. Wait until they are delivered.")
            connection.execute(
                "DELETE FROM audiences WHERE connector IN (SELECT connector FROM states WHERE document = ?)", (document,)
            )
            connection.execute(
                "DELETE FROM admissions WHERE connector IN (SELECT connector FROM states WHERE document = ?)", (document,)
            )
            names = [state.name for state in rows.states_of(connection, document)]
            for name in names:
                delete_all(connection, logins_of(name))
            connection.execute("DELETE FROM documents WHERE name = ?", (document,))
        for name in names:
            self._journal.tidy(name, now=self._clock.now())

    # states
    def state(self, connector: str) -> ConnectorState:
        with self._database.snapshot() as connection:
            return _state(connection, connector)

    def states(self) -> list[ConnectorState]:
        return [STATE.read(record) for (record,) in self._database.rows("SELECT record FROM states ORDER BY connector")]

    def set_enabled(self, connector: str, enabled: bool) -> ConnectorState:
        return self._change(connector, lambda state: replace(state, enabled=enabled))

    def set_paused(self, connector: str, paused: bool) -> ConnectorState:
        return self._change(connector, lambda state: replace(state, paused=paused))

    def set_action(self, connector: str, action: str, switch: ActionSwitch | None) -> ConnectorState:
        return self._change(connector, lambda state: switches.with_action(state, action, switch))

    def not_before(self, connector: str, moment: float, *, reason: HoldReason, detail: str) -> None:
        now = self._clock.now()
        self._change(
            connector, lambda state: switches.postponed(state, moment, reason=reason, detail=detail, now=now)
        )

    def admit(self, connector: str, rate: RateLimits, *, items: int, turn: Turn | None = None) -> float:
        if rate.calls is None and rate.items is None:
            # Nothing is counted: only what the partner has asked for is looked at, and nobody waits for that.
            state = self._seen(connector, turn)
            return max(0.0, state.not_before - self._clock.now()) if state is not None else 0.0
        # Not durable: the rate of a machine that has just lost its power has long been kept.
        with self._database.transaction(durable=False) as connection:
            if turn is not None:
                fenced(connection, turn)
            now = self._clock.now()
            state = rows.load_state(connection, connector)
            if state is not None and state.not_before > now:
                return state.not_before - now
            return admission.admit(connection, connector, rate, items=items, now=now)

    def _seen(self, connector: str, turn: Turn | None) -> ConnectorState | None:
        """One SELECT, whether or not a turn has to stand."""
        if turn is None:
            return rows.read_state(self._database.row(rows.RECORD, (connector,)))
        found = self._database.row(audience_rows.RECORD_AND_STATE, (turn.connector, turn.audience_id))
        standing(audience_rows.read(found), turn)
        return STATE.read(found[1]) if found[1] is not None else None

    # the default
    def default(self) -> str:
        row = self._database.row(
            "SELECT coalesce((SELECT document FROM chosen_default), (SELECT name FROM documents ORDER BY applied LIMIT 1), '')"
        )
        name: str = row[0]
        return name

    def set_default(self, document: str) -> None:
        with self._database.transaction() as connection:
            if connection.execute("SELECT 1 FROM documents WHERE name = ?", (document,)).fetchone() is None:
                raise _no_such_document(document)
            connection.execute(
                "INSERT INTO chosen_default (only, document) VALUES (1, ?)"
                " ON CONFLICT (only) DO UPDATE SET document = excluded.document",
                (document,),
            )

    def _change(self, connector: str, change: Callable[[ConnectorState], ConnectorState]) -> ConnectorState:
        with self._database.transaction() as connection:
            before = _state(connection, connector)
            after = change(before)
            if after != before:
                rows.save_state(connection, after)
            return after


def _state(connection: sqlite3.Connection, connector: str) -> ConnectorState:
    state = rows.load_state(connection, connector)
    if state is None:
        raise NotFound(f"There is no connector {connector!r}, or it was never published.")
    return state


def _version(connection: sqlite3.Connection, document: str, number: int) -> DocumentVersion:
    version = rows.load_version(connection, document, number)
    if version is None:
        raise NotFound(f"Connector {document!r} has no version {number}.")
    return version


def _no_such_document(document: str) -> NotFound:
    return NotFound(f"There is no connector {document!r}.")
