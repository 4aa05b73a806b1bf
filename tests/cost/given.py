"""The requests that are counted."""

from __future__ import annotations

from tests.cost.world import World

MUTATIONS = 100
"""In each: as many as the DMP sends at once."""


def audience(number: int) -> str:
    return f"a5940e473cea659.3566938714974{number:05d}"


def user(number: int) -> str:
    return f"5f1c0e6a-7d2b-4c1e-9a51-{number:012d}"


def request(world: World, audiences: int = 1, *, first_audience: int = 0, first_user: int = 0) -> None:
    """One request, its users in turn in so many audiences, and the handling of all of its messages."""
    world.accept([(audience(first_audience + one % audiences), user(first_user + one)) for one in range(MUTATIONS)])
    world.deliver(audiences)
