"""What the worker's tests begin with."""

from __future__ import annotations

from tests.promise.world import World

THREE = [("a.1", "u1", "joined"), ("a.1", "u2", "joined"), ("a.1", "u3", "joined")]


def members(world: World, audience: str = "a.1") -> set[str]:
    return world.members().get(world.prefix + audience, set())


def warm(world: World) -> None:
    """The audience exists, with one member."""
    world.accept([("a.1", "u0", "joined")])
    world.work()
    assert members(world) == {"u0"}


def held_in_steps(world: World) -> None:
    """1,600 users who joined wait in a hold that is due, two steps of a resume long; `u0` is a member."""
    warm(world)
    world.backend.connectors.set_paused("pangolin", True)
    for number in range(4):
        world.accept([("a.1", f"u{number}-{one}", "joined") for one in range(400)])
        world.work()
    world.backend.connectors.set_paused("pangolin", False)
    world.tick(1)
