"""Commits: joined, durable where it matters, refused in readable words where they fail."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from relay.backends.embedded import EmbeddedBackend, database, log_sync
from relay.backends.embedded.database import Database
from relay.backends.embedded.publisher import EmbeddedPublisher
from relay.domain.audience import HoldRequest
from relay.domain.clock import SystemClock
from relay.domain.computing import computing
from relay.domain.connector import RateLimits
from relay.domain.errors import StoreUnavailable
from tests.contract.backends.given import message, rejection, report
from tests.end_to_end.stack import eventually
from tests.unit.embedded.syncs import Syncs

NORMAL, FULL = 1, 2
"""As SQLite numbers its levels: https://sqlite.org/pragma.html#pragma_synchronous."""


class _Watched(Database):
    """Notes the statements of all its connections, and allows the file so many pages."""

    def __init__(self, path: Path, *, max_pages: int | None = None) -> None:
        super().__init__(path)
        self.statements: list[str] = []
        self._max_pages = max_pages

    def connect(self) -> sqlite3.Connection:
        connection = super().connect()
        if self._max_pages is not None:
            connection.execute(f"PRAGMA max_page_count = {self._max_pages}")
        connection.set_trace_callback(self.statements.append)
        return connection

    @property
    def commits(self) -> int:
        return self.statements.count("COMMIT")


def _publishing(watched: Database, work: Callable[[EmbeddedPublisher], Awaitable[None]]) -> None:
    async def run() -> None:
        publisher = EmbeddedPublisher(watched, SystemClock())
        await work(publisher)
        await publisher.close()

    asyncio.run(run())
    watched.close()


def test_commits_of_concurrent_publishes_are_joined(backend: EmbeddedBackend, state_dir: Path) -> None:
    watched = _Watched(state_dir / "relay.db")

    async def work(publisher: EmbeddedPublisher) -> None:
        with backend.database.transaction():
            waiting = [asyncio.ensure_future(publisher.publish([message(f"a.{number}")])) for number in range(50)]
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)

    _publishing(watched, work)
    assert watched.commits <= 2, "one of those that came first, and one of those that came while it waited"
    assert backend.queue.depth().messages == 50


def test_one_publish_is_one_commit_to_the_disk(backend: EmbeddedBackend, state_dir: Path) -> None:
    watched = _Watched(state_dir / "relay.db")

    async def work(publisher: EmbeddedPublisher) -> None:
        for _ in range(3):
            await publisher.publish([message("a.1"), message("a.2")])

    _publishing(watched, work)
    assert watched.commits == 3
    assert {statement for statement in watched.statements if "synchronous" in statement} == {"PRAGMA synchronous = FULL"}


@pytest.mark.parametrize(
    ("write", "level"),
    [
        (lambda backend: backend.queue.publish([message()]), "FULL"),
        (lambda backend: backend.reports.attempt(report(rejected=1), [rejection()]), "FULL"),
        (lambda backend: backend.audiences.begin_turn("c", "a", position=1, message_id="m"), "together"),
        (lambda backend: backend.queue.take(), "NORMAL"),
        (lambda backend: backend.connectors.admit("c", RateLimits(calls=1), items=1), "NORMAL"),
        (lambda backend: backend.reports.attempt(report(delivered=1), []), "NORMAL"),
    ],
    ids=["publish", "attempt", "turn", "lease", "rate", "attempt that refused nobody"],
)
def test_what_was_promised_is_on_the_disk_when_it_is_committed(
    state_dir: Path, backend: EmbeddedBackend, write: Callable[[EmbeddedBackend], object], level: str, syncs: Syncs
) -> None:
    """By SQLite itself (`FULL`) or, together with what other threads have committed, right after the commit."""
    backend.queue.publish([message()])
    statements: list[str] = []
    connection = backend.database.connection()
    connection.set_trace_callback(statements.append)
    syncs.before = lambda: statements.append("the log is synced")
    write(backend)
    connection.set_trace_callback(None)
    in_force = connection.execute("PRAGMA synchronous").fetchone()[0]
    assert in_force == {"FULL": FULL, "NORMAL": NORMAL, "together": NORMAL}[level]
    assert statements.count("COMMIT") == 1
    assert ("the log is synced" in statements[statements.index("COMMIT") :]) == (level == "together")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_turns_that_begin_at_the_same_time_are_brought_to_the_disk_together(backend: EmbeddedBackend, syncs: Syncs) -> None:
    number, begun = 8, []
    ended = {1: threading.Event(), 2: threading.Event()}
    syncs.before = lambda: ended[syncs.number].wait(10)

    def begin(nth: int) -> None:
        begun.append(backend.audiences.begin_turn("c", f"a{nth}", position=1, message_id=f"m{nth}").number)

    first, *others = [threading.Thread(target=begin, args=(nth,)) for nth in range(number)]
    first.start()
    eventually(lambda: syncs.number == 1)
    for thread in others:
        thread.start()
    eventually(lambda: len(backend.audiences.all()) == number)  # all are committed while the first is still being synced
    with backend.database.transaction(durable=False):
        pass  # nobody is still about to be counted
    assert begun == []
    ended[1].set()
    first.join(10)
    eventually(lambda: syncs.number == 2)
    assert begun == [1], "what was committed during the first sync may not be in it"
    ended[2].set()
    for thread in others:
        thread.join(10)
    assert begun == [1] * number
    assert syncs.number == 2


def _failing() -> None:
    raise OSError(5, "Input/output error")


def _fail_once(backend: EmbeddedBackend, syncs: Syncs) -> None:
    """A turn's commit does not reach the disk; every later sync succeeds."""
    syncs.before = _failing
    with pytest.raises(StoreUnavailable, match="disk"):
        backend.audiences.begin_turn("c", "a", position=1, message_id="m")
    syncs.before = lambda: None


@pytest.mark.parametrize(
    "write",
    [
        lambda backend: backend.audiences.begin_turn("c", "a", position=1, message_id="m"),
        lambda backend: backend.queue.publish([message()]),
    ],
    ids=["together", "by itself"],
)
def test_after_a_failed_sync_nothing_is_promised_before_the_whole_log_is_in_the_database(
    state_dir: Path, backend: EmbeddedBackend, syncs: Syncs, monkeypatch: pytest.MonkeyPatch, write: Callable[[Any], object]
) -> None:
    """The system reports the failure once: the next sync succeeds, over a gap in the log."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    backend.queue.publish([message("b.1")])
    other = EmbeddedBackend.open(state_dir, SystemClock())
    with other.database.snapshot() as reading:
        reading.execute("SELECT count(*) FROM messages").fetchone()  # while it reads this state, the log cannot begin anew
        _fail_once(backend, syncs)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="disk"):
                write(backend)
        assert len(backend.audiences.all()) == 1
        assert backend.queue.depth().messages == 1, "nothing was written"
        assert backend.queue.take() is not None, "what promises nothing goes on"
    write(backend)
    other.close()


def test_after_a_failed_sync_the_log_begins_anew(state_dir: Path, backend: EmbeddedBackend, syncs: Syncs) -> None:
    _fail_once(backend, syncs)
    log = state_dir / "relay.db-wal"
    before = log.stat().st_size
    backend.database.connection().set_trace_callback(lambda _: sizes.append(log.stat().st_size))
    sizes: list[int] = []
    turn = backend.audiences.begin_turn("c", "a", position=1, message_id="m")
    assert turn.verdict == "go"
    assert before > 0
    assert 0 in sizes, "before anything was written behind what had failed"


def test_what_was_committed_while_the_disk_failed_is_not_promised(backend: EmbeddedBackend, syncs: Syncs) -> None:
    def fail_meanwhile() -> None:
        with backend.database.transaction():
            syncs.before = _failing
            with pytest.raises(StoreUnavailable):
                backend.database._log.require(1_000_000)

    with pytest.raises(StoreUnavailable, match="disk"):
        fail_meanwhile()


def test_after_a_commit_that_sqlite_could_not_sync_the_log_begins_anew(state_dir: Path, backend: EmbeddedBackend) -> None:
    """It was to bring to the disk what others had committed before without a sync of their own, too."""
    backend.queue.publish([message()])
    failed = sqlite3.OperationalError("disk I/O error")
    failed.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    with pytest.raises(StoreUnavailable, match="disk"), backend.database.transaction():
        raise failed
    statements: list[str] = []
    backend.database.connection().set_trace_callback(statements.append)
    for _ in range(2):
        backend.queue.publish([message()])
    assert [statement for statement in statements if "checkpoint" in statement] == ["PRAGMA wal_checkpoint(TRUNCATE)"]
    assert "checkpoint" in statements[0]


def test_a_turn_is_brought_to_the_disk_where_the_database_lies_behind_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(log_sync, "_sync", lambda handle: synced.append(os.fstat(handle).st_ino))
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "data").touch(mode=0o600)
    (tmp_path / "relay.db").symlink_to(tmp_path / "disk" / "data")
    (tmp_path / "relay.db-wal").touch()  # left from when the database itself lay here
    backend = EmbeddedBackend.open(tmp_path, SystemClock())
    backend.audiences.begin_turn("c", "a", position=1, message_id="m")
    assert synced == [(tmp_path / "disk" / "data-wal").stat().st_ino]
    backend.close()


def test_turns_that_begin_soon_after_a_sync_need_none_of_their_own(
    backend: EmbeddedBackend, syncs: Syncs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a loss of power undoes is as much as was committed within that time."""
    monkeypatch.setattr(log_sync, "UNSYNCED_S", 60.0)
    for position in (1, 2, 3):
        backend.audiences.begin_turn("c", "a", position=position, message_id=str(position))
        assert syncs.number == 1, "of the first: nobody knows what was committed before, by whom and when"
    monkeypatch.setattr(log_sync, "UNSYNCED_S", 0.0)
    backend.audiences.begin_turn("c", "a", position=4, message_id="4")
    assert syncs.number == 2


def test_what_joins_a_hold_is_on_the_disk_however_soon_after_a_sync(
    backend: EmbeddedBackend, syncs: Syncs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hold keeps others from being sent beside a call that the partner may still apply."""
    monkeypatch.setattr(log_sync, "UNSYNCED_S", 60.0)
    turn = backend.audiences.begin_turn("pangolin", "a.1", position=1, message_id="1")
    assert syncs.number == 1
    backend.audiences.join(turn, message("a.1"), HoldRequest("partner_unavailable", due_at=1.0))
    assert syncs.number == 2


def test_what_was_committed_while_the_log_was_synced_is_as_old_as_the_beginning_of_that_sync(
    backend: EmbeddedBackend, syncs: Syncs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_sync, "UNSYNCED_S", 0.2)
    syncs.before = lambda: time.sleep(0.3)
    backend.audiences.begin_turn("c", "a", position=1, message_id="1")
    backend.audiences.begin_turn("c", "a", position=2, message_id="2")
    assert syncs.number == 2


def test_while_a_turn_is_brought_to_the_disk_other_threads_compute(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[str] = []

    def compute() -> None:
        with computing.alone():
            computed.append("while the disk was at work")

    def sync(_: int) -> None:
        other = threading.Thread(target=compute, daemon=True)
        other.start()
        other.join(10)
        computed.append("the disk has ended")

    monkeypatch.setattr(computing, "_patience_s", 60.0)
    monkeypatch.setattr(log_sync, "_sync", sync)
    with computing.alone():
        backend.audiences.begin_turn("c", "a", position=1, message_id="m")
    assert computed == ["while the disk was at work", "the disk has ended"]


def test_a_transaction_within_another_one_is_a_mistake_that_shows_at_once(backend: EmbeddedBackend) -> None:
    began = time.monotonic()
    with backend.database.transaction(), pytest.raises(RuntimeError, match="within"):
        backend.queue.publish([message()])
    assert time.monotonic() - began < database.BUSY_TIMEOUT_S / 2
    backend.queue.publish([message()])
    assert backend.queue.depth().messages == 1


def test_a_thread_that_waits_to_write_does_so_at_once_when_the_other_is_done(backend: EmbeddedBackend) -> None:
    """SQLite's own waiting sleeps for longer and longer, up to a tenth of a second at a time."""
    backend.queue.publish([message()])
    written: list[float] = []

    def write() -> None:
        backend.queue.publish([message()])
        written.append(time.monotonic())

    waits: list[float] = []
    for _ in range(5):
        thread = threading.Thread(target=write)
        with backend.database.transaction():
            thread.start()
            time.sleep(0.2)
        done = time.monotonic()
        thread.join(10)
        waits.append(written[-1] - done)
    assert min(waits) < 0.02


def test_a_thread_that_waits_for_others_and_for_other_processes_waits_no_longer_in_all(
    backend: EmbeddedBackend, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.queue.publish([message()])
    backend.close()  # connections know the time-out from when they are made
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.5)
    other = EmbeddedBackend.open(state_dir, SystemClock())
    waited: list[float] = []

    def write() -> None:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="locked"):
            backend.queue.publish([message()])
        waited.append(time.monotonic() - began)

    threads = [threading.Thread(target=write) for _ in range(4)]
    with other.database.transaction():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert max(waited) < 0.9
    other.close()
    backend.queue.publish([message()])


def test_a_full_disk_is_a_store_that_is_not_available(backend: EmbeddedBackend) -> None:
    backend.queue.publish([message()])
    connection = backend.database.connection()
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match="disk is full"):
        backend.queue.publish([message("a.1", "x" * 100_000)])
    assert not connection.in_transaction
    assert backend.queue.depth().messages == 1
    leased = backend.queue.take()
    assert leased is not None
    assert backend.queue.acknowledge(leased), "what is there can still be worked off"


def test_where_the_disk_is_nearly_full_small_requests_are_stored_though_a_large_one_is_refused(
    backend: EmbeddedBackend, state_dir: Path
) -> None:
    backend.queue.publish([message()])
    pages = backend.database.connection().execute("PRAGMA page_count").fetchone()[0]
    watched = _Watched(state_dir / "relay.db", max_pages=pages + 5)
    results: list[object] = []

    async def work(publisher: EmbeddedPublisher) -> None:
        with backend.database.transaction():
            waiting = [
                asyncio.ensure_future(publisher.publish([message(audience, user)]))
                for audience, user in [("a.1", "first"), ("a.2", "small"), ("a.3", "x" * 100_000), ("a.4", "small")]
            ]
            await asyncio.sleep(0)
        results.extend(await asyncio.gather(*waiting, return_exceptions=True))

    _publishing(watched, work)
    assert [type(result) for result in results] == [type(None), type(None), StoreUnavailable, type(None)]
    assert "disk is full" in str(results[2])
    assert backend.queue.depth().messages == 4


def test_the_publisher_goes_on_after_a_failure(backend: EmbeddedBackend, state_dir: Path) -> None:
    (state_dir / "relay.db").rename(state_dir / "aside")

    async def work(publisher: EmbeddedPublisher) -> None:
        with pytest.raises(StoreUnavailable, match="missing"):
            await publisher.publish([message("a.1")])
        (state_dir / "aside").rename(state_dir / "relay.db")
        await publisher.publish([message("a.2")])

    _publishing(backend.database, work)
    assert backend.queue.depth().messages == 1


def test_a_database_that_stays_locked_is_a_store_that_is_not_available(
    backend: EmbeddedBackend, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.queue.publish([message()])
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.01)
    other = EmbeddedBackend.open(state_dir, SystemClock())
    with backend.database.transaction(), pytest.raises(StoreUnavailable, match="locked"):
        other.queue.publish([message()])
    other.queue.publish([message()])
    assert other.queue.depth().messages == 2
    other.close()


def test_a_call_without_a_rate_to_count_waits_for_nobody_who_writes(
    backend: EmbeddedBackend, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.queue.publish([message()])
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.01)
    other = EmbeddedBackend.open(state_dir, SystemClock())
    with backend.database.transaction():
        assert other.connectors.admit("c", RateLimits(), items=1) == 0
        with pytest.raises(StoreUnavailable, match="locked"):
            other.connectors.admit("c", RateLimits(calls=1), items=1)
    other.close()


def test_a_transaction_that_raises_changes_nothing(backend: EmbeddedBackend) -> None:
    backend.queue.publish([message()])

    def delete_and_fail() -> None:
        with backend.database.transaction() as connection:
            connection.execute("DELETE FROM messages")
            raise KeyError("whatever")

    with pytest.raises(KeyError):
        delete_and_fail()
    leased = backend.queue.take()
    assert leased is not None


def test_connections_of_threads_that_ended_are_closed(backend: EmbeddedBackend) -> None:
    for _ in range(20):
        thread = threading.Thread(target=backend.queue.depth)
        thread.start()
        thread.join()
    assert len(backend.database._all) <= 2
