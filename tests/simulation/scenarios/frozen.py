"""A worker that was frozen and wakes later."""

from __future__ import annotations

from functools import partial
from typing import Literal

from tests.simulation import faults
from tests.simulation.partner import Fate
from tests.simulation.scenarios.known import DOWN, SCENARIOS, TWO, scenario
from tests.simulation.stage import Doing, Stage


def _frozen(name: str, when: Literal["before", "after"], freeze: Doing, *, held: bool) -> None:
    """Its message is handed out again; a later one takes its mutations back; then it wakes."""
    with Stage(TWO) as stage:
        stage.sends("+u2")
        if held:
            stage.partner.weather = lambda: DOWN
        stage.script.on(when, name, freeze)
        stage.sends("+u1", "-u2")
        stage.partner.weather = Fate
        stage.passes(160)
        stage.sends("-u1", "+u2")
        stage.passes(300)
        assert stage.told("wakes")
        stage.arrives()


_LONG = partial(faults.freeze, seconds=400.0)
_STILL = partial(faults.freeze, seconds=400.0, monotonic=False)
_CLOCKS = partial(faults.freeze_with_clocks, seconds=400.0)

for _what, _freeze in (("frozen", _LONG), ("frozen, its monotonic clock still", _STILL)):
    for _where, _when, _name, _held in (
        ("before beginning its turn", "before", "begin_turn", False),
        ("right after beginning its turn", "after", "begin_turn", False),
        ("before its call", "before", "admit", False),
        ("after its call", "after", "call", False),
        ("before its write", "before", "attempt", False),
        ("before joining the hold", "before", "join", True),
        ("before its acknowledgement", "before", "acknowledge", False),
    ):
        SCENARIOS[f"{_what} {_where}, and wakes later"] = partial(_frozen, _name, _when, _freeze, held=_held)  # type: ignore[arg-type]
for _where, _name, _held in (
    ("before beginning its turn", "begin_turn", False),
    ("before its write", "attempt", False),
    ("before joining the hold", "join", True),
    ("before its acknowledgement", "acknowledge", False),
):
    SCENARIOS[f"frozen with both clocks {_where}, and wakes later"] = partial(_frozen, _name, "before", _CLOCKS, held=_held)


@scenario("frozen before emptying a hold, and wakes later")
def _frozen_before_settling() -> None:
    for freeze in (_LONG, _STILL, _CLOCKS):
        with Stage(TWO) as stage:
            stage.partner.weather = lambda: DOWN
            stage.sends("+u1")
            stage.partner.weather = Fate
            stage.script.on("before", "settle", freeze)
            stage.passes(200)
            stage.sends("-u1")
            stage.passes(400)
            stage.arrives()
