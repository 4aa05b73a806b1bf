"""Bad users: found, rejected with their neighbours delivered; or nobody rejected, where it is the connector that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapters.registry import describe
from relay.connectors.publishing import Publishing
from relay.domain.outcome import hash_user
from tests.promise.world import World
from tests.unit.worker.given import THREE, members, warm


def test_a_user_that_the_partner_names_is_rejected_and_its_neighbours_are_delivered(world: World) -> None:
    world.faults(reject_users=["u2"])
    world.accept(THREE)
    world.work()
    assert members(world) == {"u1", "u3"}
    assert [index for index, _ in world.rejected()] == [1]
    [(_, rejection)] = world.backend.reports.rejections()
    assert rejection.user_hash == hash_user("u2")
    assert rejection.hint
    assert "u2" not in rejection.hint
    assert world.held() is None


def test_one_bad_user_in_a_call_that_is_refused_whole_is_found(world: World) -> None:
    world.faults(poison_users=["u2"])
    world.accept(THREE)
    world.work()
    assert members(world) == {"u1", "u3"}
    assert [index for index, _ in world.rejected()] == [1]


@pytest.mark.parametrize("fault", [{"reject_users": ["u1", "u2", "u3"]}, {"poison_users": ["u1", "u2", "u3"]}, {"status": 400}])
def test_where_everyone_is_refused_alike_nobody_is_rejected_and_the_audience_is_misconfigured(
    world: World, fault: dict[str, Any]
) -> None:
    warm(world)
    world.faults(**fault)
    world.accept(THREE)
    world.work()
    hold = world.held()
    assert hold is not None
    assert (hold.reason, hold.items) == ("misconfigured", 3)
    assert world.rejected() == []
    world.faults()
    world.tick(31)
    world.work()
    assert members(world) == {"u0", "u1", "u2", "u3"}


def test_a_single_user_that_is_refused_is_a_rejection(world: World) -> None:
    warm(world)
    world.faults(status=400)
    world.accept([("a.1", "u1", "joined")])
    world.work()
    assert world.held() is None
    assert len(world.rejected()) == 1


@pytest.mark.parametrize("place", ["front", "end"])
@pytest.mark.parametrize("bad", [2, 12, 30])
def test_many_bad_users_in_one_place_cost_the_good_ones_nothing(world: World, bad: int, place: str) -> None:
    users = [f"u{number}" for number in range(100)]
    refused = users[:bad] if place == "front" else users[-bad:]
    world.faults(poison_users=refused)
    world.accept([("a.1", user, "joined") for user in users])
    for _ in range(60):
        while world.work():
            pass
        if world.held() is None:
            break
        world.tick(300)
    assert members(world) == set(users) - set(refused)
    assert len(world.rejected()) == bad


def test_an_action_that_works_does_not_convict_the_users_of_one_that_does_not(world: World) -> None:
    warm(world)
    world.faults(reject_users=["u1", "u2", "u3"])
    world.accept([("a.1", "u9", "joined"), ("a.1", "u1", "left"), ("a.1", "u2", "left"), ("a.1", "u3", "left")])
    world.work()
    for _ in range(3):
        hold = world.held()
        assert hold is not None
        assert (hold.reason, hold.items) == ("misconfigured", 3)
        world.tick(301)
        world.work()
    assert members(world) == {"u0", "u9"}
    assert world.rejected() == []


def test_what_an_earlier_version_delivered_does_not_convict_the_users_of_a_wrong_one(make_world: Callable[..., World]) -> None:
    world = make_world(max_items=2)
    world.accept([("a.1", f"u{number}", "joined") for number in range(4)])
    world.faults(poison_users=["u2", "u3"], error_rate=0)
    world.backend.connectors.set_action("pangolin", "Remove", None)
    one = iter(range(1, 100))

    def down(_count: int, name: str) -> None:
        if name == "before send" and next(one) == 2:
            world.faults(status=500)

    world.work(down)
    hold = world.held()
    assert hold is not None
    assert hold.proof is not None
    world.faults(reject_users=["u2", "u3"])
    Publishing(world.backend, describe, "test").apply(world.document + "notes: another version\n")
    world.tick(31)
    world.work()
    hold = world.held()
    assert hold is not None
    assert hold.reason == "misconfigured"
    assert world.rejected() == []


@pytest.mark.parametrize("rate", ["{calls: 1, per: 5s}", "{calls: 2, per: 20s}"])
def test_the_search_for_a_bad_user_gets_further_with_a_call_a_turn(make_world: Callable[..., World], rate: str) -> None:
    world = make_world(rate=rate)
    users = [f"u{number}" for number in range(10)]
    world.faults(poison_users=["u4"])
    world.accept([("a.1", user, "joined") for user in users])
    for _ in range(200):
        while world.work():
            pass
        if world.held() is None:
            break
        world.tick(40)
    assert members(world) == set(users) - {"u4"}
    assert [code for _, code in world.rejected()] == ["call_refused"]


def test_a_mapping_that_fails_for_every_user_of_a_batch_is_wrong_and_the_users_wait(world: World) -> None:
    warm(world)
    wrong = world.document.replace("lower(user.id)", "lower(ceil(user.id))")
    assert wrong != world.document
    Publishing(world.backend, describe, "test").apply(wrong)
    world.accept([("a.1", "u1", "joined"), ("a.1", "u2", "joined")])
    world.work()
    hold = world.held()
    assert hold is not None
    assert (hold.reason, hold.items) == ("misconfigured", 2)
    assert "same mistake" in hold.detail
    assert world.rejected() == []

    Publishing(world.backend, describe, "test").rollback("pangolin")
    world.tick(1)
    while world.work():
        pass
    assert members(world) == {"u0", "u1", "u2"}
    assert world.rejected() == []


def test_one_user_for_whom_the_mapping_fails_is_rejected_alone(world: World) -> None:
    warm(world)
    wrong = world.document.replace("lower(user.id)", "lower(ceil(user.id))")
    Publishing(world.backend, describe, "test").apply(wrong)
    world.accept([("a.1", "u1", "joined")])
    world.work()
    assert world.held() is None
    assert len(world.rejected()) == 1
