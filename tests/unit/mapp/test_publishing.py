"""What was answered with an error is not queued behind the source's back."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from handlers.publishing import publish
from relay.backends.embedded import EmbeddedBackend, publisher
from relay.backends.embedded.publisher import EmbeddedPublisher
from relay.domain.clock import SystemClock
from relay.domain.errors import Refusal
from relay.domain.message import VERSION, Message, Mutation, decode
from tests.unit.mapp.edge import Edge, user


class HaltedClock(SystemClock):
    """Stands still, and with it whoever asks for the time, until `goes` is set. `asked`: somebody has."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.goes = threading.Event()

    def now(self) -> float:
        self.asked.set()
        assert self.goes.wait(20)
        return super().now()


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[EmbeddedBackend]:
    backend = EmbeddedBackend.open(tmp_path / "state", SystemClock())
    yield backend
    backend.close()


def message(user: str) -> Message:
    return Message(VERSION, "change", "pangolin", "a.1", "r", 0.0, mutations=(Mutation(index=0, user={"id": user}),))


def queued(backend: EmbeddedBackend) -> list[str]:
    found = []
    while (leased := backend.queue.take()) is not None:
        found += [mutation.user["id"] for mutation in decode(leased.body).mutations]
        assert backend.queue.acknowledge(leased)
    return found


def test_what_is_given_up_in_the_middle_of_its_transaction_is_not_committed(backend: EmbeddedBackend) -> None:
    clock = HaltedClock()

    async def requests() -> None:
        publisher = EmbeddedPublisher(backend.database, clock)
        given_up = asyncio.ensure_future(publish(publisher, [message("given up")], within_s=20))
        await asyncio.to_thread(clock.asked.wait, 20)
        given_up.cancel()
        await asyncio.wait({given_up})
        clock.goes.set()
        await publish(publisher, [message("after")], within_s=20)
        await publisher.close()

    asyncio.run(requests())
    assert queued(backend) == ["after"]


def test_one_that_is_given_up_costs_those_beside_it_nothing(backend: EmbeddedBackend) -> None:
    clock = HaltedClock()

    async def requests() -> None:
        publisher = EmbeddedPublisher(backend.database, clock)
        first = asyncio.ensure_future(publish(publisher, [message("first")], within_s=20))
        await asyncio.to_thread(clock.asked.wait, 20)
        beside = [asyncio.ensure_future(publish(publisher, [message(name)], within_s=20)) for name in ("b1", "b2")]
        too_slow = asyncio.ensure_future(publish(publisher, [message("too slow")], within_s=0))
        with pytest.raises(Refusal):
            await too_slow
        clock.goes.set()
        await asyncio.gather(first, *beside)
        await publisher.close()

    asyncio.run(requests())
    assert queued(backend) == ["first", "b1", "b2"]


def test_while_a_request_is_stored_its_messages_are_not_kept(edge: Edge) -> None:
    clock = HaltedClock()
    edge.publisher = EmbeddedPublisher(edge.backend.database, clock)
    edge.restart()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(edge.add, user("u1"), user("u2"))
        assert clock.asked.wait(20)
        kept = [each for each in gc.get_objects() if isinstance(each, Message) and len(each.mutations) == 2]
        clock.goes.set()
        assert answer.result().status_code == 200
    assert not kept


async def _came_together(publisher: EmbeddedPublisher, clock: HaltedClock, *names: str) -> None:
    """They are stored by one commit, since they came while another was under way."""
    first = asyncio.ensure_future(publish(publisher, [message("first")], within_s=20))
    await asyncio.to_thread(clock.asked.wait, 20)
    together = [asyncio.ensure_future(publish(publisher, [message(name)], within_s=20)) for name in names]
    await asyncio.sleep(0)
    clock.goes.set()
    await asyncio.gather(first, *together)


def test_those_that_came_together_are_waited_for_until_all_of_them_come_again(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "GATHER_S", 15.0)
    clock = HaltedClock()

    async def requests() -> float:
        own = EmbeddedPublisher(backend.database, clock)
        await _came_together(own, clock, "a", "b", "c")
        began = time.monotonic()
        again = []
        for name in ("a2", "b2", "c2"):
            again.append(asyncio.ensure_future(publish(own, [message(name)], within_s=20)))
            await asyncio.sleep(0.02)
        await asyncio.gather(*again)
        took = time.monotonic() - began
        await own.close()
        return took

    assert asyncio.run(requests()) < 10
    assert len({at for (at,) in backend.database.rows("SELECT published_at FROM messages")}) == 3
    assert queued(backend) == ["first", "a", "b", "c", "a2", "b2", "c2"]


def test_those_that_do_not_come_again_are_not_waited_for_any_longer(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "GATHER_S", 0.2)
    clock = HaltedClock()

    async def requests() -> None:
        own = EmbeddedPublisher(backend.database, clock)
        await _came_together(own, clock, "a", "b", "c")
        await asyncio.wait_for(publish(own, [message("a2")], within_s=20), 10)
        await asyncio.wait_for(publish(own, [message("a3")], within_s=20), 10)
        await own.close()

    asyncio.run(requests())
    assert queued(backend) == ["first", "a", "b", "c", "a2", "a3"]


def test_the_end_waits_for_nobody_to_come_again(backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "GATHER_S", 60.0)
    clock = HaltedClock()

    async def requests() -> None:
        own = EmbeddedPublisher(backend.database, clock)
        await _came_together(own, clock, "a", "b")
        late = asyncio.ensure_future(publish(own, [message("late")], within_s=20))
        await asyncio.sleep(0)
        await asyncio.wait_for(own.close(), 10)
        await late

    asyncio.run(requests())
    assert queued(backend) == ["first", "a", "b", "late"]
