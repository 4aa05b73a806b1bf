"""The named scenarios, and what many of them begin with."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.partner import Fate
from tests.simulation.world import Setting

PUSHED = Setting(pushed=True, workers=2)
TWO = Setting(workers=2)
DOWN = Fate(503, applies="no")

SCENARIOS: dict[str, Callable[[], None]] = {}
"""Title → what plays it. Each raises where a rule is broken."""


def scenario(title: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def known(play: Callable[[], None]) -> Callable[[], None]:
        SCENARIOS[title] = play
        return play

    return known
