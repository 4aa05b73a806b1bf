"""Commits: joined, durable where it matters, refused in readable words where they fail."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend, database
from relay.backends.embedded.database import Database
from relay.backends.embedded.publisher import EmbeddedPublisher
from relay.domain.clock import SystemClock
from relay.domain.connector import RateLimits
from relay.domain.errors import StoreUnavailable
from tests.contract.backends.given import message, rejection, report


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
        (lambda backend: backend.audiences.begin_turn("c", "a", position=1, message_id="m"), "FULL"),
        (lambda backend: backend.queue.take(), "NORMAL"),
        (lambda backend: backend.connectors.admit("c", RateLimits(calls=1), items=1), "NORMAL"),
    ],
    ids=["publish", "attempt", "turn", "lease", "rate"],
)
def test_what_was_promised_is_on_the_disk_when_it_is_committed(
    state_dir: Path, backend: EmbeddedBackend, write: Callable[[EmbeddedBackend], object], level: str
) -> None:
    backend.queue.publish([message()])
    statements: list[str] = []
    connection = backend.database.connection()
    connection.set_trace_callback(statements.append)
    write(backend)
    begin = statements.index("BEGIN IMMEDIATE")
    assert statements[begin - 1] == f"PRAGMA synchronous = {level}"
    assert statements.count("COMMIT") == 1
    connection.set_trace_callback(None)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


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
