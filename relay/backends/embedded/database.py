"""Connections to the one SQLite file: one for each thread, made when it is first needed, never carried across a fork."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from relay.backends.embedded import forks
from relay.backends.embedded.failures import readable
from relay.backends.embedded.schema import MIGRATIONS, migrate, version_of
from relay.domain.errors import ConfigurationError, StoreUnavailable

BUSY_TIMEOUT_S = 5.0

_WAL_KEPT_BYTES = 64 * 1024 * 1024
"""A write-ahead log that grew beyond this (a long reader, a flood) is cut back to it."""


class Database:
    """The file at `path`, which must exist. Every method may raise `StoreUnavailable`, or `ConfigurationError` for a file that a
    newer program made.

    SQLite must not be carried into a forked child: its idea of who holds which lock is copied, and a child that trusts it can
    lose the log under its own feet (https://sqlite.org/howtocorrupt.html#_carrying_an_open_database_file_across_a_fork_). So the
    forking thread's connection is closed just before, and a child forked while other threads had theirs refuses to work.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reset(carried=False)
        forks.watch(self)

    def _reset(self, *, carried: bool) -> None:
        self._carried = carried
        self._own = threading.local()
        self._all: dict[threading.Thread, sqlite3.Connection] = {}
        self._guard = threading.Lock()

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """A writing transaction: committed at the end of the block, rolled back if it raises.

        durable: on the disk when it ends. Otherwise a loss of power, though never the death of a process, may undo it together
        with whatever was committed later and not durably: what remains is always a state that once was. For accounts of what
        running processes do (leases, rates), which such a loss ends anyway.
        """
        with readable():
            connection = self.connection()
            _set_synchronous(connection, "FULL" if durable else "NORMAL")
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A reading transaction: all reads in the block see the same state."""
        with readable():
            connection = self.connection()
            try:
                connection.execute("BEGIN DEFERRED")
                yield connection
            finally:
                self._roll_back(connection)

    def rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[Any]:
        """All rows of one SELECT."""
        with readable():
            return self.connection().execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Any:
        """The first row of one SELECT, or None."""
        with readable():
            return self.connection().execute(sql, parameters).fetchone()

    def connection(self) -> sqlite3.Connection:
        """This thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            if self._carried:
                raise StoreUnavailable("The database was in use in another thread while this process was forked: start it anew.")
            connection = self.connect()
            self._own.connection = connection
            with self._guard:
                self._close_abandoned()
                self._all[threading.current_thread()] = connection
        return connection

    def _close_abandoned(self) -> None:
        for thread in [thread for thread in self._all if not thread.is_alive()]:
            self._all.pop(thread).close()

    def connect(self) -> sqlite3.Connection:
        """A new connection, ready for use; the database is set up or migrated if need be."""
        with readable():
            connection = sqlite3.connect(
                self.path.as_uri() + "?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
                self._set_up(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        known = len(MIGRATIONS)
        if version_of(connection) < known:
            # The switch to WAL does not wait for other connections as transactions do: one process at a time.
            with _locked(self.path.with_name(self.path.name + ".setup.lock")):
                connection.execute("PRAGMA journal_mode = WAL")
                migrate(connection)
        found = version_of(connection)
        if found > known:
            raise ConfigurationError(
                f"The database {self.path} was made by a newer version of this program (its schema is {found}, this one knows "
                f"up to {known}). Install that version, or choose another STATE_DIR."
            )

    def close(self) -> None:
        """Closes this process's connections; a later use opens new ones."""
        with self._guard:
            for connection in self._all.values():
                connection.close()
            self._all.clear()
            self._own = threading.local()

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            # Whatever the transaction held is let go with the connection.
            self._forget_own()

    def _forget_own(self) -> None:
        with self._guard:
            connection = self._all.pop(threading.current_thread(), None)
        self._own.connection = None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def before_fork(self) -> None:
        connection = getattr(self._own, "connection", None)
        if connection is not None and not connection.in_transaction:
            self._forget_own()
        with self._guard:
            self._close_abandoned()

    def after_fork_in_child(self) -> None:
        _never_closed.extend(self._all.values())
        self._reset(carried=bool(self._all))


def _set_synchronous(connection: sqlite3.Connection, level: str) -> None:
    connection.execute(f"PRAGMA synchronous = {level}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable("The state directory may not be written.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


_never_closed: list[sqlite3.Connection] = []
"""Connections of the parent, seen from a forked child, which must neither use nor close them."""
