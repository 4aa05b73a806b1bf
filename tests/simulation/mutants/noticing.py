"""Who notices that a mechanism is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.simulation.invariants import Broken
from tests.simulation.mutants.known import MUTANTS, SHOWN_BY
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.weather import Seeded

SEEDS = 300
"""So many seeds are tried where no scenario notices."""


class Noticed(NamedTuple):
    """By which scenario or seed, after how many runs, how."""

    by: str
    runs: int
    how: str


def notice(mechanism: str, *, seeds: int = SEEDS) -> Noticed | None:
    """The first scenario, or else the first seed, that fails without the mechanism; None if none does."""
    runs = 0
    with MUTANTS[mechanism]():
        for title in sorted(SCENARIOS, key=lambda each: each != SHOWN_BY.get(mechanism)):
            runs += 1
            how = _fails(SCENARIOS[title])
            if how:
                return Noticed(title, runs, how)
        for seed in range(seeds):
            runs += 1
            how = _fails(lambda seed=seed: play_seed(seed))  # type: ignore[misc]
            if how:
                return Noticed(f"seed {seed}", runs, how)
    return None


def play_seed(seed: int) -> None:
    """Raises `Broken`."""
    seeded = Seeded(seed)
    with seeded.world:
        seeded.play()


def _fails(play: Callable[[], None]) -> str:
    try:
        play()
    except Broken as broken:
        return broken.rule
    except AssertionError as error:
        return f"the scenario's own check: {str(error).splitlines()[0] if str(error) else 'the outcome'}"
    return ""
