"""What the partner does."""

from __future__ import annotations

from relay.domain.outcome import Rejection
from tests.simulation import faults
from tests.simulation.partner import Fate
from tests.simulation.scenarios.known import TWO, scenario
from tests.simulation.stage import Stage
from tests.simulation.world import Setting


@scenario("partner applies late")
def _applies_late() -> None:
    for late_s in (1.0, 9.0, 24.0):
        with Stage(TWO) as stage:
            stage.sends("+u2")
            stage.partner.scripted.append(Fate(0, late_s=late_s))
            stage.sends("+u1", "+u3", within_s=4)
            stage.sends("-u1")
            stage.passes(90)
            stage.arrives()
            assert stage.members() == {"u2", "u3"}


@scenario("partner applies late, and the store fails meanwhile")
def _applies_late_and_the_store_fails() -> None:
    for name in ("attempt", "join"):
        with Stage(TWO) as stage:
            stage.sends("+u2")
            stage.partner.scripted.append(Fate(0, late_s=9.0))
            stage.script.on("before", name, faults.store_fails)
            stage.sends("+u1", within_s=4)
            stage.sends("-u1")
            stage.passes(90)
            stage.arrives()
            assert stage.members() == {"u2"}


@scenario("delay: answers that take nearly as long as they may")
def _slow_answers() -> None:
    with Stage(TWO) as stage:
        stage.partner.weather = lambda: Fate(takes_s=4.9)
        stage.sends("+u1", "+u2", within_s=1)
        stage.sends("-u1", within_s=1)
        stage.sends("+u1", "-u2", within_s=1)
        stage.passes(60)
        stage.arrives()
        assert stage.members() == {"u1"}


@scenario("partial failure: one user refused, one that spoils its call, half of a call applied")
def _partial_failure() -> None:
    with Stage(TWO) as stage:
        stage.sends("+u1")
        stage.partner.rejected, stage.partner.poison = {"u2"}, {"u3"}
        stage.partner.scripted.append(Fate(500, applies="part"))
        stage.sends("+u2", "+u3", "+u4", "+u5", "-u1")
        stage.passes(60)
        stage.arrives()
        assert stage.members() == {"u4", "u5"}
        assert sorted(map(_refusal, stage.rejections())) == [(0, "user_rejected"), (1, "call_refused")]


def _refusal(rejection: Rejection) -> tuple[int, str]:
    return rejection.index, rejection.code


@scenario("all rows refused alike: it is the connector that is wrong, and nobody is rejected")
def _refused_alike() -> None:
    with Stage() as stage:
        stage.partner.refuses_all = True
        stage.sends("+u1", "+u2")
        hold = stage.hold()
        assert hold is not None
        assert hold.reason == "misconfigured"
        stage.partner.refuses_all = False
        stage.arrives()
        assert stage.rejections() == []
        assert stage.members() == {"u1", "u2"}


@scenario("a partner that asks to come back later is called by nobody before, for no audience")
def _come_back_later() -> None:
    for fate in (Fate(429, applies="no", retry_after=90), Fate(503, applies="no", retry_after=90, date=True)):
        with Stage(TWO) as stage:
            stage.sends("+u1", audience="a.2")
            stage.partner.scripted.append(fate)
            stage.sends("+u1")
            calls = stage.partner.calls
            stage.sends("-u1", audience="a.2")
            stage.sends("+u1", audience="a.3")
            stage.passes(70)
            assert stage.partner.calls == calls
            stage.arrives()


@scenario("the rate is kept by all processes together")
def _rate() -> None:
    with Stage(Setting(workers=3, max_items=1, calls=3, per_s=10.0)) as stage:
        for number in range(4):
            stage.sends(*(f"+u{user}" for user in range(3)), audience=f"a.{number}", within_s=0)
        stage.passes(30)
        stage.arrives()


@scenario("a call that was let go too long ago is asked for again")
def _admitted_long_ago() -> None:
    with Stage(Setting(workers=3, max_items=1, calls=3, per_s=10.0)) as stage:
        for audience in ("a.1", "a.2"):
            stage.sends("+u9", audience=audience, within_s=15)
        stage.script.on("after", "admit", lambda world, moment: faults.delay(world, 9.9))
        stage.sends("+u1", within_s=0.1)
        stage.sends("+u1", "+u2", "+u3", "+u4", "+u5", audience="a.2", within_s=60)
        stage.arrives()


@scenario("two who would create the same audience at once")
def _two_creators() -> None:
    with Stage(TWO) as stage:
        stage.partner.racy = True
        stage.partner.weather = lambda: Fate(takes_s=1.0)
        stage.dmp.create("a.1")
        stage.sends("+u1", within_s=0)
        stage.passes(60)
        stage.arrives()
        assert stage.members() == {"u1"}


@scenario("what a turn has not yet asked for when another one is asked to come back later is not sent")
def _come_back_later_meanwhile() -> None:
    with Stage(TWO) as stage:
        stage.sends("+u9")
        stage.sends("+u9", audience="a.2")
        # Its turn has begun, so it knows nothing of what the partner says next.
        stage.script.on("after", "begin_turn", lambda world, moment: faults.delay(world, 5.0), audience="a.2")
        stage.sends("-u9", audience="a.2", within_s=0.1)
        stage.partner.scripted.append(Fate(429, applies="no", retry_after=90))
        stage.sends("+u1", within_s=2)
        calls = stage.partner.calls
        stage.passes(60)
        assert stage.partner.calls == calls
        stage.arrives()


@scenario("users who share only some of their identifiers are sent in the order of their mutations")
def _rounds() -> None:
    with Stage() as stage, stage.partner.knows_several():
        stage.sends("+u1/a", "+u2/b")
        # Additions go before removals in the connector's document, and u2/c is u2/b at the partner.
        stage.sends("-u2/b", "+u2/c", "-u1/d", "+u1/a")
        stage.arrives()
        assert stage.members() == {"u1/a", "u2/c"}
