"""What people and clocks do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.simulation import faults
from tests.simulation.boundaries import Moment
from tests.simulation.partner import Fate
from tests.simulation.scenarios.known import DOWN, PUSHED, TWO, scenario
from tests.simulation.stage import Stage
from tests.simulation.world import Setting, World


@scenario("clock jump")
def _clock_jump() -> None:
    for seconds in (-3_600.0, -40.0, 40.0, 3_600.0):
        for name in ("begin_turn", "attempt", "join"):
            with Stage(TWO) as stage:
                stage.sends("+u9")
                stage.partner.scripted.extend([DOWN] * 3)
                stage.script.on("before", name, lambda world, moment, by=seconds: world.jump(by))  # type: ignore[misc]
                stage.sends("+u1")
                stage.sends("-u1", "+u2")
                stage.passes(200)
                stage.arrives()
                assert stage.members() == {"u2", "u9"}


@scenario("append against lift: a batch joins while the hold is emptied")
def _append_against_lift() -> None:
    for setting in (TWO, PUSHED):
        for name, when in (("waiting", "after"), ("settle", "before"), ("settle", "after"), ("attempt", "after")):
            with Stage(setting) as stage:
                stage.partner.weather = lambda: DOWN
                stage.sends("+u1")
                stage.partner.weather = Fate

                def append(world: World, moment: Moment, stage: Stage = stage) -> None:
                    stage.dmp.send([("a.1", "u1", "left"), ("a.1", "u2", "joined")])
                    faults.delay(world, 3.0)

                stage.script.on(when, name, append)  # type: ignore[arg-type]
                stage.passes(60)
                stage.arrives()
                assert stage.members() == {"u2"}


@scenario("connector switched between reading its state and joining the hold")
def _switched_in_between() -> None:
    with Stage(TWO) as stage:
        stage.sends("+u9")
        stage.operators.switch(on=False)

        def switch(world: World, moment: Moment) -> None:
            stage.operators.switch(on=True)
            world.scheduler.stir()
            faults.delay(world, 3.0)

        stage.script.on("before", "join", switch)
        stage.sends("+u1")
        stage.sends("-u1", "+u2")
        stage.passes(90)
        assert stage.hold() is None
        stage.arrives()
        assert stage.members() == {"u2", "u9"}


@scenario("connector off, on; action paused, resumed")
def _off_and_on() -> None:
    with Stage(TWO) as stage:
        stage.sends("+u1")
        for off, on in (
            (partial(stage.operators.switch, on=False), partial(stage.operators.switch, on=True)),
            (partial(stage.operators.switch_action, "paused"), partial(stage.operators.switch_action, None)),
            (partial(stage.operators.pause, True), partial(stage.operators.pause, False)),
        ):
            off()
            calls = stage.partner.calls
            stage.sends("-u1", "+u2")
            stage.sends("+u1", "-u2")
            assert stage.partner.calls == calls
            on()
            stage.world.scheduler.stir()
            stage.passes(90)
            assert stage.hold() is None
        stage.arrives()
        assert stage.members() == {"u1"}


@scenario("partner off for an hour under traffic, then on")
def _off_for_an_hour() -> None:
    with Stage(TWO) as stage:
        stage.sends("+u1")
        stage.partner.weather = lambda: DOWN
        for number in range(12):
            stage.sends(f"{'-+'[number % 2]}u1", f"{'+-'[number % 2]}u2", within_s=300)
        stage.partner.weather = Fate
        stage.passes(310)
        assert stage.hold() is None, "it flows within five minutes"
        stage.arrives()
        assert stage.members() == {"u1"}


@scenario("resume beside replay")
def _resume_beside_replay() -> None:
    for first in ("resume", "replay"):
        for fate in (Fate(), DOWN, Fate(0, late_s=20.0)):
            with Stage(Setting(workers=2, journal_days=7)) as stage:
                stage.sends("+u1", "+u2")
                stage.sends("-u1")
                stage.partner.weather = lambda: DOWN
                stage.sends("+u3", "-u2")
                stage.partner.weather = Fate
                stage.partner.scripted.append(fate)
                replay = partial(stage.operators.replay, "a.1", back_s=100.0)
                asking: list[Callable[[], None]] = [stage.operators.resume, replay]
                for ask in asking if first == "resume" else reversed(asking):
                    ask()
                    stage.world.scheduler.stir()
                stage.sends("+u2", "-u3")
                stage.passes(90)
                assert stage.told("a replay puts")
                stage.arrives()
                assert stage.members() == {"u2"}


@scenario("a replay goes up to the present, and changes no final state")
def _replay_to_the_present() -> None:
    with Stage(Setting(workers=2, journal_days=7)) as stage:
        stage.sends("+u1", "+u2")
        stage.sends("-u1")
        stage.partner.lists[0].members.clear()  # somebody has emptied it there
        stage.operators.replay("a.1", back_s=100.0)
        stage.passes(30)
        assert stage.members() == {"u2"}
        stage.arrives()


@scenario("gathering: what waits is sent together with what comes, in order")
def _gathering() -> None:
    with Stage(Setting(workers=2, max_age="60s")) as stage:
        stage.sends("+u1", "+u2")
        stage.sends("-u1")
        hold = stage.hold()
        assert hold is not None
        assert hold.reason == "gathering"
        stage.passes(70)
        assert stage.members() == {"u2"}
        stage.arrives()


@scenario("two keys that are one row at the partner: only the last counts")
def _one_row() -> None:
    with Stage() as stage:
        stage.sends("+U1", "-u1", "+u2", "-U2", "+u2")
        stage.arrives()
        assert stage.members() == {"u2"}
