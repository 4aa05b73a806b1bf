"""A database that is deleted or replaced while it is in use: nothing is said to be stored that is gone."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.domain.clock import SystemClock
from relay.domain.errors import StoreUnavailable
from tests.contract.backends.given import message


def _deleted(state_dir: Path) -> None:
    for file in state_dir.glob("relay.db*"):
        file.unlink()


def _deleted_with_the_directory(state_dir: Path) -> None:
    shutil.rmtree(state_dir)


def _replaced(state_dir: Path) -> None:
    shutil.copy(state_dir / "relay.db", state_dir / "copy")
    os.replace(state_dir / "copy", state_dir / "relay.db")


@pytest.mark.parametrize("gone", [_deleted, _deleted_with_the_directory, _replaced])
def test_no_change_is_accepted_into_a_database_that_is_gone(
    backend: EmbeddedBackend, state_dir: Path, gone: Callable[[Path], None]
) -> None:
    async def publish() -> None:
        publisher = backend.publisher()
        await publisher.publish([message("before")])
        gone(state_dir)
        try:
            await publisher.publish([message("after")])
        finally:
            await publisher.close()

    with pytest.raises(StoreUnavailable, match="missing, or another one"):
        asyncio.run(publish())


def test_while_the_database_is_missing_nothing_is_accepted_and_none_is_made(backend: EmbeddedBackend, state_dir: Path) -> None:
    backend.queue.publish([message()])
    _deleted(state_dir)
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="missing"):
            backend.queue.publish([message()])
    assert not (state_dir / "relay.db").exists()


def test_a_database_that_took_the_place_of_another_is_used_from_then_on(backend: EmbeddedBackend, state_dir: Path) -> None:
    backend.queue.publish([message("before")])
    _deleted(state_dir)
    other = EmbeddedBackend.open(state_dir, SystemClock())
    other.queue.publish([message("from the new one")])
    with pytest.raises(StoreUnavailable):
        backend.queue.publish([message("refused")])
    backend.queue.publish([message("after")])
    keys = []
    while (leased := other.queue.take()) is not None:
        keys.append(leased.key)
    assert keys == ["pangolin/from the new one", "pangolin/after"]
    other.close()


def test_a_change_whose_database_goes_while_it_is_stored_is_not_accepted(backend: EmbeddedBackend, state_dir: Path) -> None:
    backend.queue.publish([message()])

    def store() -> None:
        with backend.database.transaction():
            _deleted(state_dir)

    with pytest.raises(StoreUnavailable, match="missing"):
        store()


@pytest.mark.parametrize(
    "use",
    [
        lambda backend: backend.queue.depth(),
        lambda backend: backend.queue.take(),
        lambda backend: backend.audiences.all(),
        lambda backend: backend.connectors.states(),
    ],
    ids=["depth", "take", "audiences", "states"],
)
def test_nothing_is_read_from_a_database_that_is_gone(
    backend: EmbeddedBackend, state_dir: Path, use: Callable[[EmbeddedBackend], object]
) -> None:
    backend.queue.publish([message()])
    _deleted(state_dir)
    with pytest.raises(StoreUnavailable):
        use(backend)


def test_the_connection_to_it_is_closed(backend: EmbeddedBackend, state_dir: Path) -> None:
    connection = backend.database.connection()
    _deleted(state_dir)
    with pytest.raises(StoreUnavailable):
        backend.queue.depth()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_a_turn_that_began_in_a_database_that_is_gone_does_not_end_in_another(backend: EmbeddedBackend, state_dir: Path) -> None:
    backend.queue.publish([message()])
    turn = backend.audiences.begin_turn("pangolin", "a.1", position=1, message_id="1")
    _deleted(state_dir)
    other = EmbeddedBackend.open(state_dir, SystemClock())
    same = other.audiences.begin_turn("pangolin", "a.1", position=1, message_id="1")
    assert same.number == turn.number, "the fence alone would let it through"
    with pytest.raises(StoreUnavailable):
        backend.audiences.settle(turn, taken=(), rest=(), request=None, progress=True)
    other.close()


def test_each_thread_turns_to_the_new_database(backend: EmbeddedBackend, state_dir: Path) -> None:
    connected, replaced = threading.Barrier(4), threading.Event()
    refused: list[StoreUnavailable] = []

    def publish() -> None:
        backend.queue.depth()
        connected.wait()
        replaced.wait()
        try:
            backend.queue.publish([message("refused")])
        except StoreUnavailable as error:
            refused.append(error)
        backend.queue.publish([message("accepted")])

    threads = [threading.Thread(target=publish) for _ in range(3)]
    for thread in threads:
        thread.start()
    connected.wait()
    _deleted(state_dir)
    EmbeddedBackend.open(state_dir, SystemClock()).close()
    replaced.set()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert backend.queue.depth().messages == 3
