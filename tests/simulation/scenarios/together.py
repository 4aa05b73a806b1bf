"""Several messages of one audience that wait one behind the other and have one turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from relay.domain.message import decode
from tests.simulation import faults
from tests.simulation.boundaries import Moment
from tests.simulation.invariants import InHand
from tests.simulation.partner import Fate
from tests.simulation.scenarios.known import DOWN, SCENARIOS, TWO, scenario
from tests.simulation.stage import Doing, Script, Stage
from tests.simulation.world import Setting, World


def pile_up(stage: Stage, *requests: tuple[str, ...]) -> None:
    """These come while a message of the same audience, which adds `u0`, is in hand: then they wait together."""
    stage.script.on("after", "take", lambda world, moment: faults.delay(world, 2.0))
    stage.sends("+u0", within_s=1.0)
    for request in requests:
        stage.sends(*request, within_s=0.1)


def goes_down(stage: Stage) -> None:
    """The partner, after its next call."""
    first = iter([Fate()])
    stage.partner.weather = lambda: next(first, DOWN)


def _has_several(hand: InHand | None) -> bool:
    return hand is not None and hand.leased is not None and bool(hand.leased.following)


class _Wherever:
    """A script, and beside it one fault, the first time that a turn of several messages is at one of these boundaries."""

    def __init__(self, script: Script, do: Doing, boundaries: set[tuple[str, str]]) -> None:
        self._script, self._do, self._boundaries = script, do, boundaries
        self.has_happened = False

    def at(self, world: World, moment: Moment, hand: InHand | None) -> None:
        """See `Plan`."""
        self._script.at(world, moment, hand)
        if not self.has_happened and (moment.when, moment.name) in self._boundaries and _has_several(hand):
            self.has_happened = True
            self._do(world, moment)


class _Ends:
    """A script, and beside it a message that ends its worker whenever that is about to call the partner for it."""

    def __init__(self, script: Script, user: str) -> None:
        self._script, self._user = script, user

    def at(self, world: World, moment: Moment, hand: InHand | None) -> None:
        """See `Plan`."""
        self._script.at(world, moment, hand)
        if (moment.when, moment.name) == ("before", "admit") and hand is not None and hand.leased is not None:
            bodies = [hand.leased.body, *(one.body for one in hand.leased.following)]
            if any(one.user["id"] == self._user for body in bodies for one in decode(body).mutations):
                faults.crash(world, moment)


@contextmanager
def _several(do: Doing, *boundaries: tuple[str, str], setting: Setting = TWO, down: bool = False) -> Iterator[Stage]:
    """Three messages have one turn, in which this happens; down: while the partner is, so that they join the hold.

    At the end a request comes behind them, and everything arrives.
    """
    with Stage(setting) as stage:
        plan = _Wherever(stage.script, do, set(boundaries))
        stage.world.plan = plan
        stage.sends("+u2", "+u3")
        if down:
            goes_down(stage)
        pile_up(stage, ("+u1", "-u2"), ("-u1", "+u4"), ("-u3", "+u2"))
        stage.passes(20)
        assert plan.has_happened, "what the scenario is about did not happen"
        stage.partner.weather = Fate
        yield stage
        stage.sends("-u4", "+u5")
        stage.passes(200)
        stage.arrives()
        assert stage.members() == {"u0", "u2", "u5"}


def _nothing(world: World, moment: Moment) -> None:
    """All goes well."""


@scenario("several messages with one turn")
def _one_turn() -> None:
    for setting in (TWO, Setting(workers=2, max_items=1)):
        with _several(_nothing, ("after", "finish"), setting=setting) as stage:
            assert stage.told("and 2 behind it")
            assert stage.members() == {"u0", "u2", "u4"}
            assert stage.told("attempt: {'delivered': 4, 'superseded': 2}")


@scenario("several messages with one turn join the hold in order")
def _join() -> None:
    with _several(_nothing, ("after", "finish"), down=True) as stage:
        hold = stage.hold()
        assert hold is not None
        assert stage.told("and 2 behind it")
        assert hold.batches == 2, "of the first one nothing is left to send"


@scenario("a crash before several messages with one turn are acknowledged")
def _crash_before() -> None:
    for down in (False, True):
        for at in (("before", "finish"), ("after", "call"), ("after", "begin_turn")):
            with _several(faults.crash, at, down=down) as stage:
                assert stage.told("is killed")
                assert not stage.told("behind it"), "each comes again alone"


@scenario("a crash while several messages with one turn are acknowledged, or right after it")
def _crash_within() -> None:
    """Within it there is no boundary, as it is one write: unless it is none."""
    for down in (False, True):
        for within in (("after", "attempt"), ("after", "join")):
            with _several(faults.crash, within, ("after", "finish"), down=down) as stage:
                assert stage.told("is killed")


@scenario("the store fails before or after several messages with one turn are acknowledged")
def _store_fails() -> None:
    for down in (False, True):
        for when in ("before", "after"):
            with _several(faults.store_fails, (when, "finish"), down=down):
                pass


@scenario("SIGTERM in a turn of several messages")
def _sigterm() -> None:
    for at in (("after", "begin_turn"), ("after", "admit"), ("after", "call"), ("before", "finish"), ("after", "finish")):
        with _several(lambda world, moment: moment.process.stop(), at, setting=Setting(workers=2, max_items=1)) as stage:
            assert stage.told("and 2 behind it"), "what is in hand is finished"


def _frozen(freeze: Doing, *, down: bool) -> None:
    """Handed out again meanwhile, and everything delivered; what comes behind them undoes it; then it wakes."""
    with Stage(TWO) as stage:
        plan = _Wherever(stage.script, freeze, {("before", "finish")})
        stage.world.plan = plan
        stage.sends("+u2", "+u3")
        if down:
            goes_down(stage)
        pile_up(stage, ("+u1", "-u2"), ("-u1", "+u4"), ("-u3", "+u2"))
        stage.passes(20)
        assert plan.has_happened
        stage.partner.weather = Fate
        stage.passes(160)
        stage.sends("-u4", "+u1")
        stage.passes(300)
        assert stage.told("wakes")
        assert not stage.told("behind it"), "it was too late"
        stage.arrives()
        assert stage.members() == {"u0", "u1", "u2"}


for _what, _freeze in (
    ("frozen", partial(faults.freeze, seconds=400.0)),
    ("frozen, its monotonic clock still,", partial(faults.freeze, seconds=400.0, monotonic=False)),
    ("frozen with both clocks", partial(faults.freeze_with_clocks, seconds=400.0)),
):
    for _down in (False, True):
        _where = "join the hold" if _down else "are acknowledged"
        SCENARIOS[f"{_what} before several messages {_where}, and wakes later"] = partial(_frozen, _freeze, down=_down)


@scenario("what several messages have written comes too late, and they are in hand again")
def _late() -> None:
    """Whoever has the first of them now has not begun its turn."""
    with Stage(TWO) as stage:
        plan = _Wherever(stage.script, partial(faults.freeze_with_clocks, seconds=152.0), {("before", "finish")})
        stage.world.plan = plan
        stage.sends("+u2")
        pile_up(stage, ("+u1", "-u2"), ("-u1", "+u4"))
        stage.passes(20)
        assert plan.has_happened
        stage.script.on("before", "begin_turn", lambda world, moment: faults.delay(world, 10.0))
        stage.passes(180)
        assert stage.told("wakes")
        assert not stage.told("behind it"), "it was too late"
        stage.arrives()
        assert stage.members() == {"u0", "u4"}


@scenario("one of several messages ends its worker every time: it is set aside, and those before it are delivered")
def _ends_its_worker() -> None:
    for place in (0, 1, 2):
        with Stage(TWO) as stage:
            stage.world.plan = _Ends(stage.script, "u9")
            requests = [("+u1",), ("+u2",), ("+u3",)]
            requests[place] = ("+u9",)
            stage.sends("+u8")
            pile_up(stage, *requests)
            stage.passes(60)
            hold = stage.hold()
            assert hold is not None
            assert hold.reason == "crashed"
            assert hold.batches == 3 - place, "and what is behind it"
            assert stage.members() == {"u0", "u8", *(user[1:] for (user,) in requests[:place])}
            stage.arrives()
            assert stage.members() == {"u0", "u8", *(user[1:] for (user,) in requests)}
