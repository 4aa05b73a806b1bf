"""Requests that wait for their outcome, as a feed's do, between others."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation import faults
from tests.simulation.partner import Fate
from tests.simulation.pubsub import Accepting
from tests.simulation.scenarios.known import DOWN, PUSHED, TWO, scenario
from tests.simulation.stage import Stage


@scenario("a feed's call is applied late, and another one comes meanwhile")
def _applied_late() -> None:
    for late_s in (1.0, 9.0, 24.0):
        with Stage(TWO) as stage:
            stage.sends("+u2")
            stage.partner.scripted.append(Fate(0, late_s=late_s))
            stage.asks("+u1", within_s=6)
            stage.asks("-u1")
            stage.passes(90)
            stage.arrives()
            assert stage.members() == {"u2"}


@scenario("a feed asks while its audience is held")
def _held() -> None:
    with Stage(TWO) as stage:
        stage.sends("+u2")
        stage.partner.weather = lambda: DOWN
        stage.sends("+u1")
        assert stage.hold() is not None
        stage.partner.weather = Fate
        stage.asks("-u1")
        assert stage.members() == {"u2"}, "it overtook what waits"
        stage.passes(90)
        stage.arrives()
        assert stage.members() == {"u2"}


@scenario("a feed asks a partner that is down, and what is sent later comes first")
def _down() -> None:
    for setting in (TWO, PUSHED):
        with Stage(setting) as stage:
            stage.sends("+u2")
            stage.partner.weather = lambda: DOWN
            stage.asks("+u1")
            assert stage.hold() is None
            stage.partner.weather = Fate
            stage.sends("-u1", within_s=60)
            stage.arrives()
            assert stage.members() == {"u2"}


@scenario("a feed's worker is killed after its call, or before its reply")
def _killed() -> None:
    for when, name in (("after", "call"), ("before", "give"), ("after", "give")):
        with Stage(TWO) as stage:
            stage.sends("+u2")
            stage.script.on(when, name, faults.crash)  # type: ignore[arg-type]
            stage.asks("+u1", within_s=60)
            stage.arrives()
            assert stage.members() == {"u1", "u2"}


@scenario("the queue goes back behind a feed's delivery")
def _goes_back() -> None:
    with Stage(PUSHED) as stage:
        stage.sends("+u2")
        stage.sends("+u1")
        assert stage.world.pubsub is not None
        back = iter((2,))
        stage.world.pubsub.goes_back = lambda: next(back, 0)
        stage.asks("-u1", within_s=5)
        stage.passes(400)
        stage.arrives()
        assert stage.members() == {"u2"}


@scenario("a batch of rows in two parts, of which the partner takes one")
def _batch() -> None:
    for made in (False, True):
        with Stage(TWO) as stage:
            stage.sends("+u2")
            stage.partner.scripted += [Fate(), Fate(503, applies="no"), Fate(503, applies="no"), Fate(503, applies="no")]
            stage.asks("+u1", "-u2", "+u3", "+u4", parts=2, made=made, within_s=90)
            stage.arrives()
            assert stage.members() == {"u1", "u3", "u4"}


@scenario("a feed's request is in the queue twice, and trouble comes between the parts of the second time")
def _twice() -> None:
    for trouble in (_too_late, _not_taken, _not_taken_and_frozen, _held_before, _ends_its_worker):
        _published_twice(trouble)


def _published_twice(trouble: Callable[[Stage], None]) -> None:
    unsure: list[Accepting] = ["unconfirmed"]
    with Stage(PUSHED) as stage:
        stage.sends("+u1", "+u2")
        assert stage.world.pubsub is not None
        stage.world.pubsub.accepting = lambda: unsure.pop() if unsure else "yes"
        trouble(stage)
        stage.asks("-u1", "+u1", parts=2)
        assert stage.told("told ['delivered', 'delivered']"), "by the first time"
        stage.passes(800)
        stage.arrives()
        assert stage.members() == {"u1", "u2"}


def _too_late(stage: Stage) -> None:
    stage.script.on("after", "give", lambda world, moment: faults.freeze(world, moment, 400), nth=3)


def _not_taken(stage: Stage) -> None:
    stage.partner.scripted += [Fate(), Fate(), Fate(), DOWN, DOWN, DOWN]


def _not_taken_and_frozen(stage: Stage) -> None:
    _not_taken(stage)
    stage.script.on("after", "find", lambda world, moment: faults.freeze(world, moment, 130))


def _held_before(stage: Stage) -> None:
    stage.partner.scripted += [Fate(), Fate(), Fate(0)]


def _ends_its_worker(stage: Stage) -> None:
    for _ in range(2):  # the second one counts from the first one on
        stage.script.on("before", "call", faults.crash, nth=4)
