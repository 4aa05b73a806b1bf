"""A connector's turns at once, where messages are pushed."""

from __future__ import annotations

import random
import threading
from pathlib import Path

from relay.pangolin.server import InThread
from tests.promise.world import World
from worker.slots import Slots
from worker.turn import Worker

NOT_AT_ALL = 0.0


def test_there_are_as_many_slots_as_the_limit_says_and_a_slot_is_free_behind_its_block() -> None:
    slots = Slots()
    with slots.slot("one", 2, within_s=NOT_AT_ALL) as first, slots.slot("one", 2, within_s=NOT_AT_ALL) as second:
        with slots.slot("one", 2, within_s=NOT_AT_ALL) as third, slots.slot("other", 2, within_s=NOT_AT_ALL) as of_another:
            assert (first, second, third, of_another) == (True, True, False, True)
        with slots.slot("one", 2, within_s=NOT_AT_ALL) as third:
            assert not third, "who got no slot frees none"
    with slots.slot("one", 1, within_s=NOT_AT_ALL) as again:
        assert again


def test_one_who_waits_gets_the_slot_that_becomes_free() -> None:
    slots, waiting, got = Slots(), threading.Event(), []

    def wait() -> None:
        waiting.set()
        with slots.slot("one", 1, within_s=30) as mine:
            got.append(mine)

    with slots.slot("one", 1, within_s=NOT_AT_ALL):
        thread = threading.Thread(target=wait)
        thread.start()
        waiting.wait()
    thread.join()
    assert got == [True]


def test_a_turn_without_a_slot_leaves_its_batch_in_the_hold_and_it_is_delivered_later(
    pangolin: InThread, tmp_path: Path
) -> None:
    world = World(tmp_path / "state", pangolin, f"s-{tmp_path.name}-", rate="{concurrency: 1}")
    try:
        slots = Slots()
        worker = Worker(world.backend, world.clock, random.Random(1), slots=slots)
        world.accept([("a.1", "u1", "joined")])
        leased = world.queue.take()
        assert leased is not None
        with slots.slot("pangolin", 1, within_s=NOT_AT_ALL):
            worker.handle(leased)
        held = world.held()
        assert held is not None
        assert (held.reason, held.batches) == ("come_back_later", 1)
        assert "at once" in held.detail
        world.drain()
        world.assert_last_mutation_wins()
    finally:
        world.backend.close()
        world.view.close()
