"""The ends of a turn's time, and what counts against its message."""

from __future__ import annotations

from functools import partial

from tests.simulation import faults
from tests.simulation.scenarios.known import TWO, scenario
from tests.simulation.stage import Stage


@scenario("a turn that began late in its lease ends with the lease")
def _ends_with_the_lease() -> None:
    with Stage(TWO) as stage:
        stage.sends("+u9")
        stage.script.on("after", "take", partial(faults.freeze, seconds=60.0))
        stage.script.on("after", "call", lambda world, moment: faults.delay(world, 95.0))
        stage.sends("+u1")
        stage.sends("-u1")
        stage.passes(300)
        stage.arrives()
        assert stage.members() == {"u9"}


@scenario("a turn whose monotonic clock stood still ends by the wall clock, its lease still running")
def _ends_by_the_wall_clock() -> None:
    with Stage(TWO) as stage:
        stage.sends("+u9")
        stage.script.on("after", "call", partial(faults.freeze, seconds=135.0, monotonic=False))
        stage.sends("+u1")
        stage.sends("-u1")
        stage.passes(300)
        stage.arrives()
        assert stage.members() == {"u9"}


@scenario("a store that fails does not count as a crash of the worker")
def _a_failing_store_is_no_crash() -> None:
    with Stage() as stage:
        stage.sends("+u9")
        for _ in range(4):
            stage.script.on("after", "begin_turn", faults.store_fails)
        stage.sends("+u1")
        stage.sends("-u1")
        stage.passes(20)
        stage.arrives()
        assert not stage.told("joined the hold: crashed")
        assert stage.members() == {"u9"}
