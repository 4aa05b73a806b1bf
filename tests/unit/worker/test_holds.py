"""Holds: set, joined, resumed in order, lifted; gathering, pausing, crashing, ageing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapters.registry import describe
from relay.connectors.publishing import Publishing
from relay.domain.errors import StoreUnavailable
from relay.domain.message import VERSION as MESSAGE_VERSION
from relay.domain.message import Message, Mutation
from tests.promise.world import World
from tests.unit.worker.given import THREE, held_in_steps, members, warm
from worker.retention import discard, retire_old
from worker.tick import tick


class Poison(Exception):
    """A fault of ours, met whenever a certain batch is touched."""


def test_vain_probes_come_after_30_seconds_doubling_to_5_minutes(world: World) -> None:
    warm(world)
    world.faults(status=500)
    world.accept(THREE)
    world.work()
    waits = []
    for _ in range(6):
        hold = world.held()
        assert hold is not None
        assert hold.due_at is not None
        waits.append(hold.due_at - world.clock.now())
        world.tick(hold.due_at - world.clock.now() - 1)
        assert not world.work(), "not before it is due"
        world.tick(1.001)
        assert world.work()
    for wait, longest in zip(waits, [30, 60, 120, 240, 300, 300], strict=True):
        assert longest * 0.85 <= wait <= longest


def test_what_is_held_is_netted_and_sent_in_order_with_what_came_later(world: World) -> None:
    warm(world)
    world.faults(status=500)
    world.accept(THREE)
    world.work()
    world.accept([("a.1", "u1", "left"), ("a.1", "u0", "left")])
    world.work()
    hold = world.held()
    assert hold is not None
    assert (hold.batches, hold.items) == (2, 5)
    world.faults()
    before = len(world.calls())
    world.tick(31)
    world.work()
    assert members(world) == {"u2", "u3"}
    assert [(call["method"], call["count"]) for call in world.calls()[before:]] == [("POST", 2), ("DELETE", 2)]


def test_a_connector_that_gathers_sends_when_its_age_is_reached(make_world: Callable[..., World]) -> None:
    world = make_world(max_age="60s")
    world.accept([("a.1", "u1", "joined")])
    world.work()
    world.tick(30)
    world.accept([("a.1", "u1", "left"), ("a.1", "u2", "joined")])
    world.work()
    hold = world.held()
    assert hold is not None
    assert (hold.reason, hold.items) == ("gathering", 3)
    world.tick(29)
    assert not world.work()
    world.tick(1.1)
    world.work()
    assert members(world) == {"u2"}


def test_a_connector_that_gathers_sends_at_once_when_its_count_is_reached(make_world: Callable[..., World]) -> None:
    world = make_world(max_age="60s", max_items=3)
    world.accept([("a.1", "u1", "joined"), ("a.1", "u2", "joined")])
    world.work()
    assert not world.work()
    world.accept([("a.1", "u3", "joined")])
    world.work()
    assert world.work(), "the resume on the audience's own key"
    assert members(world) == {"u1", "u2", "u3"}
    assert world.held() is None


def test_publishing_a_version_flushes_what_is_gathered(make_world: Callable[..., World]) -> None:
    world = make_world(max_age="60s")
    world.accept([("a.1", "u1", "joined")])
    world.work()
    Publishing(world.backend, describe, "test").apply(world.document.replace("60s", "0s"))
    world.tick(0)
    world.work()
    assert members(world) == {"u1"}


def test_a_paused_action_holds_its_audiences_and_a_skipped_one_skips_its_users(world: World) -> None:
    warm(world)
    publishing = Publishing(world.backend, describe, "test")
    publishing.set_action("pangolin", "Remove", "paused")
    world.accept([("a.1", "u0", "left"), ("a.1", "u1", "joined")])
    world.work()
    assert members(world) == {"u0"}
    assert world.held() is not None
    publishing.set_action("pangolin", "Remove", "skipped")
    world.tick(1)
    world.work()
    assert members(world) == {"u0", "u1"}
    assert world.held() is None
    publishing.set_action("pangolin", "Remove", None)
    world.accept([("a.1", "u0", "left")])
    world.work()
    assert members(world) == {"u1"}


def test_a_paused_audience_waits_and_the_others_do_not(world: World) -> None:
    warm(world)
    world.backend.audiences.set_paused("pangolin", world.prefix + "a.1", True)
    world.accept([("a.1", "u1", "joined"), ("a.2", "u1", "joined")])
    while world.work():
        pass
    assert members(world, "a.2") == {"u1"}
    assert members(world, "a.1") == {"u0"}
    world.tick(400)
    assert not world.work()
    world.backend.audiences.set_paused("pangolin", world.prefix + "a.1", False)
    world.tick(1)
    world.work()
    assert members(world) == {"u0", "u1"}


def test_an_incomplete_connector_holds_what_arrives_and_says_what_it_lacks(world: World) -> None:
    Publishing(world.backend, describe, "test").apply(world.document.replace("partner-token", "no-such-secret"))
    world.accept(THREE)
    world.work()
    hold = world.held()
    assert hold is not None
    assert hold.reason == "connector_off"
    assert "no-such-secret" in hold.detail
    Publishing(world.backend, describe, "test").set_secret("no-such-secret", world.authorization["Authorization"][7:])
    world.tick(11)
    world.work()
    assert members(world) == {"u1", "u2", "u3"}


def test_a_batch_that_ends_its_worker_three_times_waits_apart_and_is_tried_again_rarely(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm(world)
    real = world.worker.partners.open

    def broken(_connector: Any) -> Any:
        raise Poison("u1 is in this text and must not be logged")

    monkeypatch.setattr(world.worker.partners, "open", broken)
    world.accept([("a.1", "u1", "joined")])
    for _ in range(3):
        world.work()
        world.clock.advance(2)
    waits = []
    for _ in range(6):
        hold = world.held()
        assert hold is not None
        assert hold.due_at is not None
        assert hold.reason == "crashed"
        waits.append(round(hold.due_at - world.clock.now(), -1))
        world.tick(hold.due_at - world.clock.now() - 1)
        assert not world.work(), "not before it is due"
        world.tick(1.001)
        for _ in range(2):  # one try, and the turn that finds that it has crashed again
            assert world.work()
            world.clock.advance(2)
    assert waits == [300, 600, 1_200, 2_400, 3_600, 3_600]
    monkeypatch.setattr(world.worker.partners, "open", real)
    world.accept([("a.2", "u1", "joined"), ("a.1", "u2", "joined")])
    while world.work():
        pass
    assert members(world, "a.2") == {"u1"}, "the others go on"
    world.backend.audiences.make_due("pangolin", world.prefix + "a.1")
    world.tick(0)
    world.work()
    assert members(world) == {"u0", "u1", "u2"}


def test_a_store_that_fails_three_times_makes_no_batch_a_crashed_one(world: World) -> None:
    warm(world)
    world.accept([("a.1", "u1", "joined")])

    def fail(_count: int, name: str) -> None:
        if name == "before attempt":
            raise StoreUnavailable("The disk is full.")

    for _ in range(5):
        world.work(fail)
        world.clock.advance(2)
    world.work()
    assert world.held() is None
    assert members(world) == {"u0", "u1"}


def test_a_resume_that_comes_early_leaves_the_hold_alone(world: World) -> None:
    """Several can be published for one hold; after a time-out the partner must be left alone until the due time."""
    warm(world)
    world.faults(status=500)
    world.accept(THREE)
    world.work()
    record = world.backend.audiences.get("pangolin", world.prefix + "a.1")
    assert record is not None
    before = len(world.calls())
    for number in range(3):
        resume = Message(MESSAGE_VERSION, "resume", "pangolin", record.id, f"resume-{number}", world.clock.now())
        world.backend.queue.publish([resume])
        world.work()
    assert len(world.calls()) == before


def test_ticks_during_a_long_resume_publish_no_further_resumes(make_world: Callable[..., World]) -> None:
    world = make_world()
    held_in_steps(world)

    def ticking(_count: int, name: str) -> None:
        if name == "after settle":
            world.clock.advance(2)
            tick(world.backend, world.worker.catalog, world.clock)

    assert world.work(ticking)
    assert not world.work(), "one resume was enough"
    assert len(members(world)) == 1_601


def test_a_secret_that_cannot_be_read_holds_its_own_connector_and_no_other(world: World) -> None:
    document = world.document.replace("name: pangolin", "name: aaa", 1).replace("partner-token", "damaged")
    publishing = Publishing(world.backend, describe, "test")
    publishing.set_secret("damaged", "value")
    publishing.apply(document)
    (world.state / "secrets" / "damaged").write_bytes(b"\x00 damaged")
    world.clock.advance(11)
    world.backend.queue.publish(
        [Message(MESSAGE_VERSION, "change", "aaa", "x", "r", 1.0, mutations=(Mutation(0, user={"id": "u"}),))]
    )
    world.backend.connectors.set_paused("pangolin", True)
    world.accept(THREE)
    while world.work():
        pass
    record = world.backend.audiences.get("aaa", "x")
    assert record is not None
    assert record.hold is not None
    assert record.hold.reason == "connector_off"
    world.backend.connectors.set_paused("pangolin", False)
    world.tick(1)
    world.work()
    assert members(world) == {"u1", "u2", "u3"}


def test_a_switch_counts_in_the_middle_of_a_long_resume(make_world: Callable[..., World]) -> None:
    world = make_world()
    held_in_steps(world)

    def switch(_count: int, name: str) -> None:
        if name == "after settle":
            world.backend.connectors.set_action("pangolin", "Add", "skipped")

    world.work(switch)
    assert len(members(world)) == 801, "the first step of two batches, and nothing after it"


def test_a_discarded_hold_becomes_rejections(world: World) -> None:
    warm(world)
    world.faults(status=500)
    world.accept(THREE)
    world.work()
    assert discard(world.backend, world.clock, "pangolin", world.prefix + "a.1").batches == 1
    assert world.rejected() == [(0, "discarded"), (1, "discarded"), (2, "discarded")]
    assert world.held() is None


def test_what_has_waited_longer_than_30_days_becomes_rejections_and_is_warned_of_from_the_7th_on(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    warm(world)
    world.backend.audiences.set_paused("pangolin", world.prefix + "a.1", True)
    world.accept(THREE)
    world.work()
    world.clock.advance(8 * 86_400)
    assert retire_old(world.backend, world.worker.catalog, world.clock) == 0
    assert "hold_is_old" in capfd.readouterr().err
    world.accept([("a.1", "u9", "joined")])
    world.work()
    world.clock.advance(23 * 86_400)
    assert retire_old(world.backend, world.worker.catalog, world.clock) == 1
    assert world.rejected() == [(0, "held_too_long"), (1, "held_too_long"), (2, "held_too_long")]
    hold = world.held()
    assert hold is not None
    assert hold.items == 1, "what came later goes on waiting"


def test_a_partners_secret_that_can_be_read_no_more_ends_no_turn_as_a_fault(world: World) -> None:
    """It was readable when the connector was looked at, a moment ago."""
    world.accept([("a.1", "u1", "joined")])
    world.work()
    running = world.worker.catalog.get(world.backend.connectors.state("pangolin"))
    world.worker.partners.forget(running.connector)
    (world.state / "secrets" / "partner-token").write_bytes(b"{")
    world.accept([("a.1", "u2", "joined")])
    world.work()
    held = world.held()
    assert held is not None
    assert (held.reason, held.batches) == ("misconfigured", 1)
    assert "partner-token" in held.detail
