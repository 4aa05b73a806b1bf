"""An hour in which nothing can be delivered, under traffic. Afterwards everything arrives, in order, without help, and soon."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.pangolin.server import InThread
from tests.promise.conftest import Places
from tests.promise.world import TOKEN, World

HOUR_S = 3600
FLOWING_WITHIN_S = 300

AUDIENCES = ["a.1", "a.2", "a.3"]
USERS = [f"u{number}" for number in range(8)]

Switch = Callable[[World, bool], None]


def partner(world: World, on: bool) -> None:
    """Nothing listens at its address."""
    if on:
        world.pangolin.start()
    else:
        world.pangolin.stop()


def connector(world: World, on: bool) -> None:
    world.publishing().set_enabled("pangolin", on)


def action(world: World, on: bool) -> None:
    world.publishing().set_action("pangolin", "Remove", None if on else "paused")


def pause(world: World, on: bool) -> None:
    world.backend.connectors.set_paused("pangolin", not on)


def pause_of_audiences(world: World, on: bool) -> None:
    for audience in world.backend.audiences.all():
        world.backend.audiences.set_paused("pangolin", audience.id, not on)


SWITCHES: dict[str, Switch] = {
    "the partner": partner,
    "the connector": connector,
    "an action": action,
    "deliveries, by a pause of the connector": pause,
    "deliveries, by a pause of each audience": pause_of_audiences,
}


@pytest.mark.parametrize("what", SWITCHES)
def test_after_an_hour_without_it_everything_arrives_in_order_without_help_within_five_minutes(
    what: str, places: Places, tmp_path: Path
) -> None:
    place = places()
    every_s = 60 if place is None else 300  # Firestore is slower
    chance = random.Random(what)
    with InThread(tmp_path / "pangolin.db", token=TOKEN) as pangolin:
        world = World(tmp_path / "state", pangolin, "hour-", place=place)
        try:
            world.accept([(audience, user, "joined") for audience in AUDIENCES for user in USERS])
            work(world)
            before = world.members()
            assert before == {f"hour-{audience}": set(USERS) for audience in AUDIENCES}

            SWITCHES[what](world, False)
            for _ in range(HOUR_S // every_s):
                audiences = chance.sample(AUDIENCES, 2)
                users = chance.sample(USERS, 3)
                world.accept([(chance.choice(audiences), user, chance.choice(["joined", "left"])) for user in users])
                pass_time(world, every_s)
            held = world.backend.audiences.held()
            assert len(held) == len(AUDIENCES)
            # A try that meets a partner who is down drops what later changes have made superfluous.
            superseded = world.backend.reports.totals("pangolin", since=0).get("superseded", 0)
            assert sum(one.hold.items for one in held) + superseded == HOUR_S // every_s * 3

            SWITCHES[what](world, True)
            assert world.members() == before, "nothing was delivered meanwhile"
            for _ in range(10):
                pass_time(world, FLOWING_WITHIN_S / 10)
            assert world.backend.audiences.held() == []
            assert world.queue.depth().messages == 0
            world.assert_last_mutation_wins()
            assert world.members() != before
            assert world.rejected() == []
        finally:
            world.backend.close()
            world.view.close()


def pass_time(world: World, seconds: float) -> None:
    world.tick(seconds)
    work(world)


def work(world: World) -> None:
    while world.work():
        pass
