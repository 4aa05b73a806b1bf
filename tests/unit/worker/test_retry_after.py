"""A partner that asks to come back in an hour: no call to its account begins before, whoever would make it.

A question that an operator asks by hand keeps to it, too (tests/unit/cli).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
import requests

from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Backend
from relay.domain.errors import TryAgain
from relay.domain.message import Message, Mutation
from tests.promise.world import World
from tests.unit.worker.given import members, warm
from worker.tick import tick
from worker.turn import Worker

HOUR = 3_600


class Process:
    """Another process of the same relay: a back end and a worker of its own on the same state."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.backend = EmbeddedBackend.open(world.state, world.clock)
        self.worker = Worker(self.backend, world.clock, random.Random(3))

    def work(self) -> None:
        """Everything that is in the queue now."""
        while leased := self.backend.queue.take():
            self.worker.handle(leased)

    def tick(self) -> None:
        tick(self.backend, self.worker.catalog, self.world.clock)


@pytest.fixture
def processes(world: World) -> Iterator[tuple[Process, Process]]:
    pair = Process(world), Process(world)
    yield pair
    for process in pair:
        process.backend.close()


@contextmanager
def hour_asked_for(world: World, process: Process) -> Iterator[None]:
    """The partner has just answered a call of this process so; it would take everything again inside."""
    warm(world)
    world.faults(status=429, retry_after=HOUR)
    world.accept([("a.1", "u1", "joined")])
    process.work()
    world.faults()
    yield


def all_calls(world: World) -> list[dict[str, Any]]:
    """Whatever has reached the partner."""
    answer = requests.get(f"{world.pangolin.url}/api/calls", headers=world.authorization, timeout=5)
    listed: list[dict[str, Any]] = answer.json()
    return listed


def create(world: World, audience: str) -> None:
    """The DMP announces it; it is told that all is well, since the announcement is queued."""
    body = msgspec.json.encode({"Type": "CREATE_AUDIENCE", "Name": audience, "Audience": world.prefix + audience})
    assert world.post("CREATE_AUDIENCE", body).status_code == 200


def test_no_process_calls_the_account_within_the_hour_and_all_goes_on_behind_it(
    world: World, processes: tuple[Process, Process]
) -> None:
    first, second = processes
    with hour_asked_for(world, first):
        before = len(all_calls(world))
        for step in range(12):  # of five minutes, the last one ending a moment before the hour
            for audience in ("a.1", "a.2", "a.new"):  # the same audience, another one, and one that has to be created first
                world.accept([(audience, f"u{step}", "joined")])
            for process in processes:
                process.tick()
                process.work()
            assert len(all_calls(world)) == before
            world.clock.advance(HOUR / 12 - (0.5 if step == 11 else 0))
        second.tick()
        second.work()
        assert len(all_calls(world)) == before
        world.clock.advance(0.6)
        for _ in range(5):
            for process in processes:
                process.tick()
                process.work()
            world.clock.advance(61)
    assert members(world, "a.2") == members(world, "a.new") == {f"u{step}" for step in range(12)}
    assert members(world) == {"u0", *(f"u{step}" for step in range(12))}
    assert not world.backend.audiences.held()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 503])
def test_whatever_else_the_answer_says_no_call_begins_within_its_retry_after(world: World, status: int) -> None:
    warm(world)
    before = len(all_calls(world))
    world.faults(status=status, retry_after=HOUR)
    world.accept([("a.1", "u1", "joined"), ("a.1", "u2", "joined"), ("a.1", "u3", "joined")])
    while world.work():
        pass
    world.faults()
    for _ in range(11):
        world.tick(300)
        world.accept([("a.2", "u1", "joined")])
        while world.work():
            pass
    assert len(all_calls(world)) == before + 1
    for _ in range(3):
        world.tick(301)
        while world.work():
            pass
    assert members(world) == {"u0", "u1", "u2", "u3"}


def test_no_audience_is_created_within_the_hour(world: World, processes: tuple[Process, Process]) -> None:
    first, second = processes
    world.backend.audiences.created("pangolin", world.prefix + "half", partner_id="pg_half", status="creating")
    with hour_asked_for(world, first):
        before = len(all_calls(world))
        for audience in ("new", "half"):  # the second exists at the partner, and whether it is ready is not known
            create(world, audience)
        with pytest.raises(TryAgain) as refused:
            second.worker.creation.for_source("pangolin", world.prefix + "new", name="New", customer=None, mode="own")
        assert refused.value.after_s == HOUR
        assert len(all_calls(world)) == before
        world.clock.advance(HOUR)
        create(world, "new")
        audience_made = world.backend.audiences.get("pangolin", world.prefix + "new")
        assert audience_made is not None
        assert audience_made.status == "ready"


def test_a_call_that_was_admitted_before_and_has_not_begun_yet_does_not_begin(
    world: World, processes: tuple[Process, Process]
) -> None:
    warm(world)
    before = len(all_calls(world))

    def on(_count: int, name: str) -> None:
        if name == "before send":
            world.effects.on = None
            world.clock.advance(1)
            moment = world.clock.now() + HOUR
            processes[1].backend.connectors.not_before("pangolin", moment, reason="come_back_later", detail="In an hour.")

    world.accept([("a.1", "u1", "joined")])
    world.work(on)
    assert len(all_calls(world)) == before
    hold = world.held()
    assert hold is not None
    assert (hold.reason, hold.due_at) == ("come_back_later", world.clock.now() + HOUR)


def test_other_connectors_are_not_affected(make_world: Callable[..., World]) -> None:
    world = make_world()
    other = world.document.replace("name: pangolin", "name: other")
    world.publishing().apply(other)
    process = Process(world)
    try:
        with hour_asked_for(world, process):
            before = len(all_calls(world))
            publish(world.backend, "other", world.prefix + "b.1")
            process.work()
            audience = world.backend.audiences.get("other", world.prefix + "b.1")
            assert audience is not None
            assert (audience.status, audience.hold) == ("ready", None)
            of_other = [call["path"] for call in all_calls(world)[before:]]
            address = f"/api/audiences/{audience.partner_id}"
            assert of_other == ["/api/audiences", address, f"{address}/users"]
    finally:
        process.backend.close()


def publish(backend: Backend, connector: str, audience: str) -> None:
    """A user joined."""
    joined = Mutation(index=0, user={"id": "u1"})
    backend.queue.publish(
        [Message(1, "change", connector, audience, request_id="r", received_at=1_800_000_000.0, mutations=(joined,))]
    )
