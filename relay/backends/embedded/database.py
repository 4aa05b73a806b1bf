"""Connections to the one SQLite file: one for each thread, made when it is first needed, never carried across a fork."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from relay.backends.embedded import forks
from relay.backends.embedded.failures import readable, result_code, unavailable
from relay.backends.embedded.log_sync import LogSync
from relay.backends.embedded.schema import MIGRATIONS, migrate, version_of
from relay.domain.errors import ConfigurationError, StoreUnavailable

BUSY_TIMEOUT_S = 5.0
_LONG_S = 0.05

_WAL_KEPT_BYTES = 64 * 1024 * 1024
"""A write-ahead log that grew beyond this (a long reader, a flood) is cut back to it."""


_WRITTEN_BACK_PAGES = 4_000
"""So long the write-ahead log grows before it is written back (16 MB). Four times SQLite's own number halves the processor time
of a commit; with more, one hash table of SQLite's would no longer cover the log (https://sqlite.org/walformat.html)."""

Place = tuple[int, int]
"""Which file it is, whatever its name: device and inode."""


class _Block:
    """A writing transaction under way.

    together  if it is durable, then by a sync that threads share
    broken    a part of it failed, so that the whole must not be committed
    """

    __slots__ = ("bounded", "broken", "durable", "together")

    def __init__(self, *, durable: bool, bounded: bool, together: bool) -> None:
        self.durable = durable
        self.bounded = bounded
        self.together = together
        self.broken = False

    def require_sound(self) -> None:
        if self.broken:
            raise RuntimeError("A part of this transaction has failed.")


class _Held:
    """This thread's connection.

    place        the file that it is to
    uses         blocks of the thread that are at work with it
    whole        what `at_once` has begun
    left         nobody begins to use it any more
    synchronous  what it was set to last
    patience_s   seconds for which it waits for locks; None: `BUSY_TIMEOUT_S`
    """

    __slots__ = ("connection", "left", "patience_s", "place", "synchronous", "thread", "uses", "whole")

    def __init__(self, connection: sqlite3.Connection, place: Place | None) -> None:
        self.thread = threading.current_thread()
        self.connection = connection
        self.place = place
        self.uses = 0
        self.left = False
        self.synchronous = ""
        self.patience_s: float | None = None
        self.whole: _Block | None = None


class _Use:
    """A block in which this thread's connection is closed by nobody else; errors of the database leave it as `StoreUnavailable`.
    No generator, which would take three times as long: each single SELECT has one of these."""

    __slots__ = ("_database", "_held")

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> _Held:
        self._held = self._database._begin_use()
        return self._held

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._database._end_use(self._held)
        if isinstance(error, sqlite3.Error):
            raise unavailable(error) from error


class Database:
    """The file at `path`, which must exist. Every method may raise `StoreUnavailable`, or `ConfigurationError` for a file that a
    newer program made.

    SQLite goes on reading and writing a file that was deleted or replaced, and says that all is well. So before each use and
    after each durable commit the file is compared with what is at `path`. If it is another one, whatever spans the change fails,
    once for each thread; then the thread turns to the file that is there now.

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
        self._all: set[_Held] = set()
        """Those that are open."""
        self._guard = threading.Lock()
        """Held to change these, and what is in `_all`."""
        self._writing = threading.Lock()
        """Held by the thread that writes. SQLite lets those that wait for each other sleep, for longer each time, even where the
        other one has long been done; here the next one begins at once."""
        self._writer = 0
        """Which thread that is; 0 where there is none."""
        self._log = LogSync(self.path)

    @contextmanager
    def transaction(
        self, *, durable: bool = True, together: bool = False, bounded: bool = False
    ) -> Iterator[sqlite3.Connection]:
        """A writing transaction: committed at the end of the block, rolled back if it raises.

        durable: on the disk when it ends. Otherwise a loss of power, though never the death of a process, may undo it together
        with whatever was committed later and not durably: what remains is always a state that once was. For accounts of what
        running processes do (leases, rates), which such a loss ends anyway, and for what is written again if the
        acknowledgement that follows it is undone.

        together: if durable, then by a sync that threads share which commit at the same time. bounded: if not durable, all that
        was committed more than `UNSYNCED_S` before is on the disk when it ends, by such a sync. That bounds what a loss of power
        undoes. If either's sync fails, it raises though everybody sees what was written: for what may be repeated.

        After an error of the disk, none of these begins before all that was committed is on the disk (`LogSync.mend`).

        Raises `RuntimeError` if this thread is within another one already, unless `at_once` has begun that: then this is a part
        of it.
        """
        with self._using() as held:
            if held.whole is None:
                with self._writes(held, _Block(durable=durable, bounded=bounded, together=together)):
                    yield held.connection
                return
            held.whole.require_sound()
            held.whole.durable |= durable
            held.whole.bounded |= bounded
            try:
                yield held.connection
            except BaseException:
                held.whole.broken = True
                raise

    @contextmanager
    def at_once(self) -> Iterator[sqlite3.Connection]:
        """What this thread writes and reads in the block is one transaction: durable, by a sync that threads share, or
        bounded, if any part of it is. Where that sync fails it raises though everybody sees what was written."""
        with self._using() as held:
            # Whether it is to be durable is known at its end.
            block = _Block(durable=False, bounded=False, together=True)
            with self._writes(held, block, may_be_more=True):
                held.whole = block
                try:
                    yield held.connection
                finally:
                    held.whole = None

    @contextmanager
    def _writes(self, held: _Held, block: _Block, *, may_be_more: bool = False) -> Iterator[None]:
        connection = held.connection
        with self._alone(held):
            level = "FULL" if block.durable and not block.together else "NORMAL"
            if held.synchronous != level:
                connection.execute(f"PRAGMA synchronous = {level}")
                held.synchronous = level
            if block.durable or block.bounded or may_be_more:
                self._log.mend(connection)
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield
                block.require_sound()
                connection.execute("COMMIT")
            except BaseException as error:
                if result_code(error) == sqlite3.SQLITE_IOERR:
                    self._log.in_doubt = True  # a sync of SQLite's own is to cover what others committed before, too
                self._roll_back(held)
                raise
            number = self._log.committed()
        if block.durable or block.bounded:
            if not block.durable:
                self._log.bound(number)
            elif block.together:
                self._log.require(number)
            else:
                self._log.require_sound()
            self._check_place(held)

    @contextmanager
    def hurried(self, patience_s: float) -> Iterator[None]:
        """In the block, this thread waits no longer than that for a lock on the database."""
        held = self._held()
        held.patience_s = patience_s
        _set_busy_timeout(held.connection, patience_s)
        try:
            yield
        finally:
            held.patience_s = None
            with suppress(sqlite3.Error):  # it was closed meanwhile
                _set_busy_timeout(held.connection, BUSY_TIMEOUT_S)

    @contextmanager
    def _alone(self, held: _Held) -> Iterator[None]:
        """No other thread of this process writes in the block. Whoever has waited long for that has so much less patience with
        other processes."""
        patience_s = BUSY_TIMEOUT_S if held.patience_s is None else held.patience_s
        waited_s = 0.0
        if not self._writing.acquire(blocking=False):
            if self._writer == threading.get_ident():
                raise RuntimeError("A writing transaction was begun within another one of the same thread.")
            began = time.monotonic()
            if not self._writing.acquire(timeout=patience_s):
                raise StoreUnavailable("The database stayed locked for too long.")
            waited_s = time.monotonic() - began
        self._writer = threading.get_ident()
        try:
            if waited_s < _LONG_S:
                yield
            else:
                _set_busy_timeout(held.connection, max(0.0, patience_s - waited_s))
                try:
                    yield
                finally:
                    with suppress(sqlite3.Error):
                        _set_busy_timeout(held.connection, patience_s)
        finally:
            self._writer = 0
            self._writing.release()

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A reading transaction: all reads in the block see the same state."""
        with self._using() as held:
            if held.whole is not None:
                yield held.connection
                return
            try:
                held.connection.execute("BEGIN DEFERRED")
                yield held.connection
            finally:
                self._roll_back(held)

    def rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[Any]:
        """All rows of one SELECT."""
        with self._using() as held:
            return held.connection.execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Any:
        """The first row of one SELECT, or None."""
        with self._using() as held:
            return held.connection.execute(sql, parameters).fetchone()

    def written_at(self) -> float | None:
        """When something was last written to the log, by whichever process, in seconds since the epoch; others see it a little
        later, once its commit has ended. None where the file system does not tell that at a glance."""
        return self._log.written_at()

    def connection(self) -> sqlite3.Connection:
        """This thread's connection, for as long as nobody calls `close`."""
        return self._held().connection

    def _using(self) -> _Use:
        return _Use(self)

    def _begin_use(self) -> _Held:
        while True:
            held = self._held()
            with self._guard:
                if held.left:
                    continue
                held.uses += 1
            try:
                self._check_place(held)
            except BaseException:
                self._end_use(held)
                raise
            return held

    def _end_use(self, held: _Held) -> None:
        with self._guard:
            held.uses -= 1
            if held.left:
                self._close_unused(held)

    def _held(self) -> _Held:
        held: _Held | None = getattr(self._own, "held", None)
        if held is None or held.left:
            if self._carried:
                raise StoreUnavailable("The database was in use in another thread while this process was forked: start it anew.")
            place = _place_of(self.path)  # before connecting: a change in between is then seen, and not missed
            held = _Held(self.connect(), place)
            with self._guard:
                self._close_abandoned()
                self._all.add(held)
            self._own.held = held
        return held

    def _check_place(self, held: _Held) -> None:
        if held.place is None or _place_of(self.path) != held.place:
            self._leave_own()
            raise StoreUnavailable("The database file is missing, or another one has taken its place.")

    def _close_abandoned(self) -> None:
        for held in [held for held in self._all if not held.thread.is_alive()]:
            self._close_unused(held)

    def _close_unused(self, held: _Held) -> None:
        held.left = True
        if not held.uses:
            self._all.discard(held)
            with suppress(sqlite3.Error):
                held.connection.close()

    def connect(self) -> sqlite3.Connection:
        """A new connection, ready for use; the database is set up or migrated if need be."""
        with readable():
            connection = sqlite3.connect(
                self.path.as_uri() + "?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                connection.execute("PRAGMA foreign_keys = ON")
                # What was delivered, or is to be forgotten, must not stay readable in the file.
                connection.execute("PRAGMA secure_delete = ON")
                connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
                connection.execute(f"PRAGMA wal_autocheckpoint = {_WRITTEN_BACK_PAGES}")
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
        """Closes this process's connections; a later use opens new ones. One that is in use is closed by its thread, right after:
        SQLite does not survive a connection that is closed while another thread works with it."""
        with self._guard:
            for held in tuple(self._all):
                self._close_unused(held)

    def _roll_back(self, held: _Held) -> None:
        try:
            if held.connection.in_transaction:
                held.connection.execute("ROLLBACK")
        except sqlite3.Error:
            # Whatever the transaction held is let go with the connection.
            self._leave_own()

    def _leave_own(self) -> None:
        """This thread's connection is not used again: it is closed now, or at the end of what the thread does with it."""
        held: _Held | None = getattr(self._own, "held", None)
        self._own.held = None
        if held is not None:
            with self._guard:
                self._close_unused(held)

    def before_fork(self) -> None:
        held: _Held | None = getattr(self._own, "held", None)
        if held is not None and not held.uses:
            self._leave_own()
        with self._guard:
            self._close_abandoned()

    def after_fork_in_child(self) -> None:
        _never_closed.extend(held.connection for held in self._all)
        self._reset(carried=bool(self._all))


def _place_of(path: Path) -> Place | None:
    """None where there is nothing, or nothing that can be looked at."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _set_busy_timeout(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")


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
