"""A turn calls the partner only while it stands: its message may be handed out again while its worker goes on."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from relay.backends.interfaces import Leased, Turn
from relay.domain.connector import RateLimits
from tests.promise.world import World
from tests.unit.worker.given import THREE, held_in_steps, members, warm
from worker.turn import Worker

LEFT = [(audience, user, "left") for audience, user, _ in THREE]


def taken(world: World) -> Leased:
    leased = world.queue.take()
    assert leased is not None
    return leased


def overtaken(world: World, leased: Leased) -> None:
    """Another worker gets the same message, and after it one by which all of them have left."""
    other = Worker(world.backend, world.clock, random.Random(2))
    other.handle(leased)
    world.accept(LEFT)
    while (later := world.queue.take()) is not None:
        other.handle(later)


def once(moment: str, happens: Callable[[], None], world: World) -> Callable[[int, str], None]:
    """What happens at the first such moment of a turn."""

    def on(_count: int, name: str) -> None:
        if name == moment:
            world.effects.on = None
            happens()

    return on


def questions(world: World) -> list[int]:
    """The turns by their numbers, once for each time the store is asked whether they stand: alone, or together with the rate."""
    asked: list[int] = []
    real_require, real_admit = world.tapped.audiences.require, world.tapped.connectors.admit

    def require(turn: Turn) -> None:
        asked.append(turn.number)
        real_require(turn)

    def admit(connector: str, rate: RateLimits, *, items: int, turn: Turn | None = None) -> float:
        if turn is not None:
            asked.append(turn.number)
        waits: float = real_admit(connector, rate, items=items, turn=turn)
        return waits

    world.tapped.audiences.require = require
    world.tapped.connectors.admit = admit
    return asked


def held(world: World) -> None:
    """Three users who joined wait in a hold that is due; its resume is in the queue."""
    warm(world)
    world.backend.connectors.set_paused("pangolin", True)
    world.accept(THREE)
    world.work()
    world.backend.connectors.set_paused("pangolin", False)
    world.tick(1)


@pytest.mark.parametrize("waiting", [False, True], ids=["a change", "a resume"])
def test_what_is_left_of_a_turn_is_not_sent_once_another_has_begun(make_world: Callable[..., World], waiting: bool) -> None:
    world = make_world(max_items=1)
    if waiting:
        held(world)
    else:
        warm(world)
        world.accept(THREE)
    leased = taken(world)
    world.effects.names = []
    world.effects.on = once("after send", lambda: overtaken(world, leased), world)
    world.worker.handle(leased)
    assert members(world) == {"u0"}, "the last mutation of each user is the one by which it left"
    assert world.effects.names.count("before send") == 1
    assert not {"before attempt", "before join", "before settle", "before acknowledge"} & set(world.effects.names)


def test_a_call_is_not_repeated_once_another_turn_has_begun(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    warm(world)
    world.accept(THREE)
    leased = taken(world)
    world.faults(status=503, calls=1)
    world.effects.names = []

    def back_off(seconds: float) -> None:
        monkeypatch.undo()
        overtaken(world, leased)

    monkeypatch.setattr(world.clock, "sleep", back_off)
    world.worker.handle(leased)
    assert members(world) == {"u0"}
    assert world.effects.names.count("before send") == 1


@pytest.mark.parametrize("seconds", [10.0, 100.0])
def test_a_turn_that_comes_late_to_its_first_call_does_not_make_it_once_another_has_begun(world: World, seconds: float) -> None:
    warm(world)
    world.accept(THREE)
    leased = taken(world)

    def frozen() -> None:
        world.clock.advance(seconds)
        overtaken(world, leased)

    world.effects.names = []
    world.effects.on = once("after begin_turn", frozen, world)
    world.worker.handle(leased)
    assert members(world) == {"u0"}
    assert "before send" not in world.effects.names


@pytest.mark.parametrize("monotonic", [True, False], ids=["stalled", "frozen"])
@pytest.mark.parametrize("number", [1, 2])
def test_what_was_admitted_long_ago_is_not_sent_once_another_turn_has_begun(
    make_world: Callable[..., World], monotonic: bool, number: int
) -> None:
    world = make_world(max_items=1)
    warm(world)
    world.accept(THREE)
    leased = taken(world)
    left = 2 * number

    def frozen(_count: int, name: str) -> None:
        nonlocal left
        if name == "after admit":
            left -= 1
            if left in (0, 1):
                world.clock.advance(5.0, monotonic=monotonic)
            if left == 0:
                world.effects.on = None
                overtaken(world, leased)

    world.effects.names = []
    world.effects.on = frozen
    world.worker.handle(leased)
    assert members(world) == {"u0"}, "the last mutation of each user is the one by which it left"


def test_whether_the_turn_stands_is_asked_together_with_the_rate(make_world: Callable[..., World]) -> None:
    world = make_world(max_items=1)
    warm(world)
    asked, alone = questions(world), list[Turn]()
    world.tapped.audiences.require = alone.append
    world.accept(THREE)
    world.work()
    assert len(asked) == 2
    assert alone == []


def test_the_store_is_asked_before_each_call_but_the_first_of_a_turn_that_has_just_begun(
    make_world: Callable[..., World],
) -> None:
    world = make_world(max_items=1)
    asked = questions(world)
    warm(world)
    assert asked == [], "a turn of one call costs no further read"
    world.accept(THREE)
    world.work()
    assert len(asked) == 2
    assert len(set(asked)) == 1


def test_a_resume_asks_in_its_later_steps_before_their_first_call_too(world: World) -> None:
    held_in_steps(world)
    asked = questions(world)
    before = len(world.calls())
    world.work()
    assert world.held() is None
    assert len(world.calls()) - before == 16
    assert len(asked) == 15
