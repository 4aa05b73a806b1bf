"""One fault at every boundary in turn: before and after each publish, lease, partner call and store write."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from tests.simulation import faults
from tests.simulation.partner import Fate
from tests.simulation.scenarios.known import DOWN, PUSHED, TWO
from tests.simulation.scenarios.together import goes_down, pile_up
from tests.simulation.stage import Doing, Stage
from tests.simulation.world import Setting


class Base(NamedTuple):
    """A story whose last part is played again and again, with one fault at its first boundary, its second, and so on."""

    setting: Setting
    before: Callable[[Stage], None]
    counted: Callable[[Stage], None]


def _first_addition(stage: Stage) -> None:
    stage.sends("+u1", "+u2", "-u3", parts=2)
    stage.sends("-u1")


def _down_with_a_hold(stage: Stage) -> None:
    stage.sends("+u1", "+u3")
    stage.partner.weather = lambda: DOWN
    stage.sends("+u2", "-u3")


def _resumed(stage: Stage) -> None:
    stage.sends("-u2", "+u3")
    stage.partner.weather = Fate
    stage.passes(40)
    stage.sends("+u2")


def _nothing(stage: Stage) -> None:
    """Nothing came before."""


def _some_history(stage: Stage) -> None:
    stage.sends("+u1", "+u2")
    stage.sends("-u1", "+u3")


def _piled_up(stage: Stage) -> None:
    pile_up(stage, ("-u1", "+u4"), ("+u1", "-u3"), ("-u4", "+u3"))
    stage.passes(5)
    stage.sends("-u1")


def _piled_up_while_down(stage: Stage) -> None:
    goes_down(stage)
    _piled_up(stage)
    pile_up(stage, ("+u1", "-u2"), ("-u1", "+u2"))
    stage.passes(25)  # one probe that fails
    stage.partner.weather = Fate
    stage.passes(70)  # and one that empties the hold


def _replayed(stage: Stage) -> None:
    stage.operators.replay("a.1", back_s=100.0)
    stage.sends("-u3", "+u4")


BASES: dict[str, Base] = {
    "a first addition and a removal": Base(TWO, _nothing, _first_addition),
    "a hold, joined and resumed": Base(TWO, _down_with_a_hold, _resumed),
    "the same, pushed": Base(PUSHED, _down_with_a_hold, _resumed),
    "a replay, and a request behind it": Base(Setting(workers=2, journal_days=7), _some_history, _replayed),
    "several messages with one turn": Base(TWO, _some_history, _piled_up),
    "several messages with one turn that join a hold": Base(TWO, _some_history, _piled_up_while_down),
    "one user a call": Base(Setting(workers=2, max_items=1), _nothing, _first_addition),
}

FAULTS: dict[str, Doing] = {
    "a crash": faults.crash,
    "a store that fails": faults.store_fails,
    "a worker that is frozen past its lease": partial(faults.freeze, seconds=170.0),
    "a worker that is frozen with its monotonic clock": partial(faults.freeze, seconds=170.0, monotonic=False),
    "a worker that is frozen with both of its clocks": partial(faults.freeze_with_clocks, seconds=170.0),
    "a delay": lambda world, moment: faults.delay(world, 0.0 if moment.process.is_sending else 7.0),
}


EVERYWHERE = ("a crash", "a store that fails")
"""Those that happen at every boundary; the others at every third."""


def at_every_boundary(base: Base, title: str) -> int:
    """Plays the base once for each boundary at which this fault happens. How many boundaries there were."""
    fault, step = FAULTS[title], 1 if title in EVERYWHERE else 3
    number = 1
    while True:
        with Stage(base.setting) as stage:
            base.before(stage)
            stage.script.count()
            stage.script.at_number = (number, fault)
            base.counted(stage)
            stage.partner.weather = Fate
            reached = len(stage.script.reached)
            stage.arrives()
        if number > reached:
            return reached
        number += step
