"""The receiver leaves room on the disk, and others may use it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence

import pytest

from relay.backends.embedded import EmbeddedBackend, room
from relay.domain.errors import StoreUnavailable
from relay.domain.message import Message
from relay.health.survey import look
from tests.clock import TurnedClock
from tests.contract.backends.given import message

MORE_THAN_THERE_IS = 2**60


def _publish(backend: EmbeddedBackend, *messages: Message) -> Sequence[object]:
    """Each by itself, at the same time; None or the error of each."""

    async def run() -> Sequence[object]:
        publisher = backend.publisher()
        with backend.database.transaction():
            waiting = [asyncio.ensure_future(publisher.publish([each])) for each in messages]
            await asyncio.sleep(0.05)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        await publisher.close()
        return results

    return asyncio.run(run())


@pytest.mark.parametrize("bound", ["WORKERS_BYTES", "LOG_BYTES"])
def test_a_worker_goes_on_where_the_receiver_refuses(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    assert _publish(backend, message("a.1")) == [None]
    monkeypatch.setattr(room, bound, MORE_THAN_THERE_IS)
    (error,) = _publish(backend, message("a.2"))
    assert isinstance(error, StoreUnavailable)
    assert "nearly full" in str(error)
    leased = backend.queue.take()
    assert leased is not None
    backend.queue.publish([message("a.3")])
    assert backend.queue.acknowledge(leased)
    assert backend.queue.depth().messages == 1


def test_each_message_in_the_queue_is_left_room_to_move_into_a_hold(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        backend.queue.publish([message(f"a.{number}")])
    for _ in range(2):
        leased = backend.queue.take()
        assert leased is not None
        assert backend.queue.acknowledge(leased)
    free = shutil.disk_usage(backend.database.path.parent).free - room.WORKERS_BYTES
    monkeypatch.setattr(room, "MOVED_BYTES", free * 2 // 3)
    assert _publish(backend, message("a.5")) == [None], "one is in the queue, not all that were there"
    (error,) = _publish(backend, message("a.6"))
    assert "nearly full" in str(error)


def test_health_tells_of_a_disk_that_is_nearly_full(backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "disk_full" not in {concern.kind for concern in look(backend, 0.0).concerns}
    monkeypatch.setattr(room, "WORKERS_BYTES", MORE_THAN_THERE_IS)
    found = look(backend, 0.0)
    assert [concern.act for concern in found.concerns if concern.kind == "disk_full"] == [True]
    assert found.someone_must_act


class _Looks:
    """How often the disk is looked at, and what it says is free."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = 0
        self._real = os.statvfs
        monkeypatch.setattr("os.statvfs", self._look)

    def _look(self, path: str) -> os.statvfs_result:
        self.number += 1
        return self._real(path)


def test_where_there_is_plenty_it_is_looked_at_only_now_and_then(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "PLENTY_BYTES", 1_000_000)
    clock = TurnedClock()
    asked = room.Room(backend.database.path, clock)
    looks = _Looks(monkeypatch)
    with backend.database.transaction() as connection:
        for _ in range(9):
            asked.require(connection, 100_000)
        once = looks.number
        asked.require(connection, 100_000)
        after_so_much = looks.number
        asked.require(connection, 1)
        clock.advance(1.0)
        before_a_while = looks.number
        asked.require(connection, 1)
    assert once < after_so_much == before_a_while < looks.number


def test_where_there_is_less_it_is_looked_at_each_time(backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PLENTY_BYTES", MORE_THAN_THERE_IS)
    asked = room.Room(backend.database.path, TurnedClock())
    looks = _Looks(monkeypatch)
    seen = [looks.number]
    with backend.database.transaction() as connection:
        for _ in range(4):
            asked.require(connection, 1)
            seen.append(looks.number)
    assert seen == sorted(set(seen))
