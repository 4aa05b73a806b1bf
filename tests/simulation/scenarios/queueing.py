"""What the queue and its workers do: crashes, duplicates, lost acknowledgements, deadlines."""

from __future__ import annotations

from functools import partial

from tests.simulation import faults
from tests.simulation.boundaries import Moment
from tests.simulation.partner import Fate
from tests.simulation.scenarios.known import DOWN, PUSHED, TWO, scenario
from tests.simulation.stage import Stage
from tests.simulation.world import Setting, World


@scenario("crash")
def _crash() -> None:
    with Stage() as stage:
        stage.script.on("after", "call", faults.crash, nth=3)
        stage.sends("+u1", "+u2")
        stage.sends("-u1")
        assert stage.told("is killed")
        stage.arrives()
        assert stage.members() == {"u2"}


@scenario("SIGTERM: what is in hand is finished or given back, and no further call begins")
def _sigterm() -> None:
    for at in ("begin_turn", "admit", "call", "attempt"):
        with Stage(Setting(max_items=1)) as stage:
            stage.sends("+u9")
            stage.script.on("after", at, lambda world, moment: moment.process.stop())
            stage.sends("+u1", "+u2", "+u3")
            stage.sends("-u1")
            stage.passes(12)
            stage.arrives()
            assert stage.members() == {"u2", "u3", "u9"}


@scenario("a process that does not end within its ten seconds is killed")
def _sigterm_and_kill() -> None:
    with Stage() as stage:
        stage.sends("+u9")
        stage.partner.scripted.append(Fate(0, applies="no"))
        stage.script.on("before", "call", lambda world, moment: moment.process.stop())
        stage.sends("+u1", "+u2")
        stage.sends("-u1")
        stage.passes(12)
        assert stage.told("is killed")
        stage.arrives()
        assert stage.members() == {"u2", "u9"}


@scenario("duplicate: a message is pushed again while its first worker still runs")
def _duplicate() -> None:
    with Stage(PUSHED) as stage:
        stage.sends("+u9")
        queue = stage.world.pubsub
        assert queue is not None
        once = iter([10.0])
        queue.breaks_off = lambda: next(once, 0.0)
        stage.script.on("after", "begin_turn", lambda world, moment: faults.delay(world, 25.0))
        stage.sends("+u1", "-u2")
        stage.passes(20)
        stage.sends("-u1", "+u2")
        stage.passes(30)
        assert stage.told("gives up the push")
        stage.arrives()
        assert stage.members() == {"u2", "u9"}


@scenario("acknowledgement lost after success")
def _acknowledgement_lost() -> None:
    for setting in (TWO, PUSHED):
        with Stage(setting) as stage:
            stage.script.on("after", "acknowledge", faults.store_fails)
            stage.sends("+u1")
            stage.sends("-u1")
            stage.passes(200)
            stage.arrives()
            assert stage.members() == set()


@scenario("an acknowledgement that comes too late frees nothing")
def _late_acknowledgement() -> None:
    with Stage(Setting(workers=3)) as stage:
        stage.sends("+u9")
        stage.script.on("before", "acknowledge", partial(faults.freeze_with_clocks, seconds=152.0))
        stage.sends("+u1")
        stage.sends("-u1")
        # Handed out again; while its second worker calls, the first one wakes.
        stage.partner.scripted.append(Fate(takes_s=4.9))
        stage.passes(170)
        assert stage.told("too late to acknowledge")
        stage.arrives()
        assert stage.members() == {"u9"}


@scenario("acknowledgements lost, so that the queue goes back behind a hold")
def _goes_back_behind_a_hold() -> None:
    with Stage(PUSHED) as stage:
        queue = stage.world.pubsub
        assert queue is not None
        stage.sends("+u9")
        stage.sends("+u1")
        stage.operators.pause_audience("a.1", True)
        back = iter([2])
        queue.goes_back = lambda: next(back, 0)
        stage.sends("-u1")
        stage.passes(300)
        assert stage.told("delivers again")
        stage.arrives()
        assert stage.members() == {"u9"}


@scenario("two messages with one publish time, and the queue goes back behind a hold")
def _goes_back_between_equal_times() -> None:
    with Stage(PUSHED) as stage:
        queue = stage.world.pubsub
        assert queue is not None
        stage.sends("+u9")
        stage.sends("+u1")
        stage.operators.pause_audience("a.1", True)
        same = iter([True])
        queue.equal_times = lambda: next(same, False)
        back = iter([2])
        queue.goes_back = lambda: next(back, 0)
        stage.sends("-u1")
        stage.passes(300)
        assert stage.told("delivers again")
        stage.arrives()
        assert stage.members() == {"u9"}


@scenario("a message comes late, after a later one with its publish time")
def _late_between_equal_times() -> None:
    with Stage(PUSHED) as stage:
        queue = stage.world.pubsub
        assert queue is not None
        stage.sends("+u9")
        # Its first push breaks off before it has begun its turn. The second one is settled, and so is what comes behind it.
        once = iter([10.0])
        queue.breaks_off = lambda: next(once, 0.0)
        stage.script.on("before", "begin_turn", lambda world, moment: faults.delay(world, 60.0))
        stage.sends("+u1")
        same = iter([True])
        queue.equal_times = lambda: next(same, False)
        stage.sends("-u1")
        stage.passes(100)
        assert stage.told("gives up the push")
        assert stage.members() == {"u9"}
        stage.arrives()


@scenario("deadline passed while the first worker still runs")
def _deadline_passed() -> None:
    with Stage(Setting(workers=2, max_items=1)) as stage:
        stage.sends("+u9")
        # Half a minute for each call, so that its turn's time ends in the middle, and its lease soon after.
        stage.partner.scripted.extend([Fate(takes_s=4.5)] * 3)
        stage.script.on("after", "call", lambda world, moment: faults.delay(world, 149.0), nth=2)
        stage.sends("+u1", "+u2", "+u3", "-u4")
        stage.passes(160)
        stage.sends("-u1", "+u4")
        stage.passes(200)
        stage.arrives()
        assert stage.members() == {"u2", "u3", "u4", "u9"}


@scenario("publish timed out but accepted")
def _publish_unconfirmed() -> None:
    with Stage(PUSHED) as stage:
        queue = stage.world.pubsub
        assert queue is not None
        queue.accepting = lambda: "unconfirmed"
        stage.sends("+u1", within_s=6)
        queue.accepting = lambda: "yes"
        stage.sends("-u1")
        assert stage.told("told 503")
        stage.arrives()
        assert stage.members() == set()
    with Stage() as stage:
        stage.script.on("after", "publish", faults.store_fails, process="receiver")
        stage.sends("+u1")
        assert stage.told("told 503")
        stage.arrives()


@scenario("publish refused: whoever was told so has nothing queued")
def _publish_refused() -> None:
    with Stage() as stage:
        stage.script.on("before", "publish", faults.store_fails, process="receiver")
        stage.sends("+u1")
        stage.sends("+u2")
        stage.arrives()
        assert stage.members() == {"u2"}


@scenario("the resume of a hold is lost")
def _resume_lost() -> None:
    with Stage(TWO) as stage:
        stage.partner.weather = lambda: DOWN
        stage.sends("+u1")
        stage.partner.weather = Fate
        stage.script.on("after", "mark_asked", faults.crash)
        stage.passes(40)
        assert stage.hold() is not None
        stage.passes(70)
        assert stage.hold() is None
        stage.arrives()


@scenario("a resume that comes too early does nothing")
def _surplus_resume() -> None:
    for setting in (TWO, PUSHED):
        with Stage(setting) as stage:
            stage.sends("+u2")
            stage.partner.scripted.append(Fate(0, late_s=24.0))
            stage.sends("+u1", within_s=6)
            stage.world.surplus_resume("a.1")
            stage.sends("-u1")
            stage.passes(90)
            stage.arrives()
            assert stage.members() == {"u2"}


@scenario("a long hold: what comes, and what is switched, between two steps of its resume")
def _long_hold() -> None:
    with Stage(TWO) as stage:
        stage.sends("+u1")
        stage.partner.weather = lambda: DOWN
        stage.sends(*(f"+v{number}" for number in range(600)))
        stage.sends("-u1", *(f"+w{number}" for number in range(600)))
        stage.partner.weather = Fate

        def switch_off(world: World, moment: Moment) -> None:
            stage.operators.switch(on=False)
            stage.dmp.send([("a.1", "v1", "left")])

        stage.script.on("after", "settle", switch_off)
        stage.passes(60)
        assert len(stage.members()) == 601, "the step that was under way, and no other"
        stage.arrives()
        assert len(stage.members()) == 1_199


@scenario("the parts of a request keep their order")
def _parts() -> None:
    for setting in (TWO, PUSHED):
        with Stage(setting) as stage:
            stage.sends("+u1", "-u2", "-u1", "+u2", parts=2)
            stage.arrives()
            assert stage.members() == {"u2"}


@scenario("reorder between keys")
def _reorder_between_keys() -> None:
    with Stage(TWO) as stage:
        stage.sends("+u1", audience="a.1", within_s=0)
        stage.script.on("after", "take", lambda world, moment: faults.delay(world, 5.0))
        for number in range(3):
            stage.sends("+u1" if number % 2 else "-u1", audience="a.1", within_s=0)
            stage.sends("-u1" if number % 2 else "+u1", audience="a.2", within_s=0)
        stage.passes(20)
        stage.arrives()
        assert (stage.members("a.1"), stage.members("a.2")) == (set(), {"u1"})


@scenario("a batch that ends its worker every time is set aside, and the others go on")
def _ends_its_worker() -> None:
    with Stage() as stage:
        stage.sends("+u9", audience="a.2")
        for _ in range(3):
            stage.script.on("after", "begin_turn", faults.crash, audience="a.1")
        stage.sends("+u1")
        stage.sends("-u9", audience="a.2")
        stage.passes(60)
        hold = stage.hold()
        assert hold is not None
        assert hold.reason == "crashed"
        assert stage.members("a.2") == set()
        stage.arrives()
        assert stage.members() == {"u1"}
