"""Deletes records whose age has passed, a part at a time, so that publishers wait for none of it; and mends what an older program
left that wrote beside this one."""

from __future__ import annotations

from typing import Any

from relay.backends.embedded.audience_rows import mend
from relay.backends.embedded.connector_rows import live_connector
from relay.backends.embedded.counter_rows import COUNTED, DAY_S, add_up, counted_since, forget_counted
from relay.backends.embedded.database import Database
from relay.backends.embedded.journal import EmbeddedJournal
from relay.backends.interfaces import (
    ATTEMPTS_KEPT,
    AUDIT_KEPT_S,
    COUNTERS_KEPT_S,
    DRAFTS_KEPT_S,
    FAILED_ATTEMPTS_KEPT_S,
)
from relay.backends.records import DOCUMENT_VERSION
from relay.domain.clock import Clock
from relay.domain.connector import Retention
from relay.domain.message import UnknownVersion
from relay.domain.reply import KEPT_S as REPLY_KEPT_S

_AT_ONCE = 2_000
_LOOKED_AT_ONCE = 500


class Tidying:
    """`interfaces.Backend.tidy`."""

    def __init__(self, database: Database, journal: EmbeddedJournal, clock: Clock) -> None:
        self._database = database
        self._journal = journal
        self._clock = clock

    def tidy(self) -> None:
        """Everything whose age has passed."""
        now = self._clock.now()
        for connector in self._journal.connectors():
            self._journal.tidy(connector, now=now)
        for connector in self._connectors("rejections"):
            kept_s = self._retention(connector).rejections_s
            self._delete("rejections", "connector = ? AND at < ?", (connector, now - kept_s))
        for connector in self._connectors("attempts"):
            newest = self._database.row("SELECT max(nth) FROM attempts WHERE connector = ?", (connector,))[0] or 0
            self._delete(
                "attempts",
                "connector = ? AND nth <= ? AND (NOT failed OR at < ?)",
                (connector, newest - ATTEMPTS_KEPT, now - FAILED_ATTEMPTS_KEPT_S),
            )
        self._delete("audit", "at < ?", (now - AUDIT_KEPT_S,))
        self._delete("replies", "at < ?", (now - REPLY_KEPT_S,), key="request_id, part")
        self._delete_drafts(now - DRAFTS_KEPT_S)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM drafts WHERE changed_at < ?", (now - DRAFTS_KEPT_S,))
        for table in COUNTED:
            with self._database.transaction() as connection:
                forget_counted(connection, table, now - COUNTERS_KEPT_S)
        self._mend(now - DAY_S)

    def _mend(self, since: float) -> None:
        """What pages show, where a program of the version before has written beside this one: it adds nothing up."""
        for table in COUNTED:
            with self._database.snapshot() as connection:
                connectors = counted_since(connection, table, since)
            for connector in connectors:
                with self._database.transaction() as connection:
                    add_up(connection, table, connector, since)
        after: tuple[str, str] | None = ("", "")
        while after is not None:
            with self._database.transaction() as connection:
                after = mend(connection, after, limit=_LOOKED_AT_ONCE)

    def _delete_drafts(self, before: float) -> None:
        """Versions that were never published. The newest one of a document stays, so that its number is not given again."""
        superseded = self._database.rows(
            "SELECT document, number FROM document_versions AS one"
            " WHERE number < (SELECT max(number) FROM document_versions WHERE document = one.document)"
        )
        for key in superseded:
            chosen = "FROM document_versions WHERE document = ? AND number = ?"
            for (record,) in self._database.rows(f"SELECT record {chosen}", key):
                if _was_drafted(record, before):
                    with self._database.transaction() as connection:
                        # Not if it was published meanwhile.
                        connection.execute(f"DELETE {chosen} AND record = ?", (*key, record))

    def _retention(self, connector: str) -> Retention:
        with self._database.snapshot() as connection:
            live = live_connector(connection, connector)
        return live.retention if live else Retention()

    def _connectors(self, table: str) -> list[str]:
        return [name for (name,) in self._database.rows(f"SELECT DISTINCT connector FROM {table}")]  # noqa: S608 - ours

    def _delete(self, table: str, condition: str, parameters: tuple[Any, ...], *, key: str = "number") -> None:
        chosen = f"SELECT {key} FROM {table} WHERE {condition} LIMIT {_AT_ONCE}"  # noqa: S608 - all parts are ours
        while True:
            with self._database.transaction() as connection:
                deleted = connection.execute(f"DELETE FROM {table} WHERE ({key}) IN ({chosen})", parameters)  # noqa: S608
            if deleted.rowcount < _AT_ONCE:
                return


def _was_drafted(record: bytes, before: float) -> bool:
    """Whether this is a draft that was made before that moment."""
    try:
        version = DOCUMENT_VERSION.read(record)
    except UnknownVersion:
        return False  # a newer program's to judge
    return not version.published_at and version.at < before
