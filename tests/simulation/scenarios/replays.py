"""Replays: what they send again, in which order, and how far back."""

from __future__ import annotations

from tests.simulation.scenarios.known import scenario
from tests.simulation.stage import Stage
from tests.simulation.world import Setting

JOURNALED = Setting(workers=2, journal_days=7)
PUSHED = Setting(workers=2, journal_days=7, pushed=True)


@scenario("what a replay sends again comes in front of what waits behind it")
def _in_front_of_what_waits() -> None:
    for setting in (JOURNALED, PUSHED):
        with Stage(setting) as stage:
            stage.sends("+u1", "+u2")
            stage.operators.pause_audience("a.1", True)
            stage.operators.replay("a.1", back_s=100.0)
            stage.passes(3)
            # The same row at the partner, and for the journal another user: it is not left out as overtaken.
            stage.sends("-U1")
            stage.operators.pause_audience("a.1", False)
            stage.passes(60)
            assert stage.told("a replay puts")
            stage.arrives()
            assert stage.members() == {"u2"}


@scenario("a replay that the queue delivers again, late, changes no final state")
def _late() -> None:
    with Stage(PUSHED) as stage:
        queue = stage.world.pubsub
        assert queue is not None
        stage.sends("+u9", "+u1")
        stage.operators.replay("a.1", back_s=100.0)
        stage.passes(30)
        back = iter([2])
        queue.goes_back = lambda: next(back, 0)
        stage.sends("-U1")
        stage.passes(300)
        assert stage.told("delivers again")
        stage.arrives()
        assert stage.members() == {"u9"}


@scenario("a replay does not reach into a gap of the journal")
def _gap() -> None:
    with Stage(JOURNALED) as stage:
        stage.sends("+u1", "+u2")
        stage.operators.pause_audience("a.1", True)
        # While it waits, nothing is deleted from the journal, so that there is something before the gap.
        stage.operators.replay("a.1", back_s=100.0)
        stage.passes(3)
        stage.operators.journal(days=0)
        stage.sends("-u1")
        stage.operators.journal(days=7)
        stage.sends("+u3")
        stage.operators.replay("a.1", back_s=100.0)
        stage.passes(3)
        stage.operators.pause_audience("a.1", False)
        stage.passes(60)
        assert stage.told("a replay puts")
        stage.arrives()
        assert stage.members() == {"u2", "u3"}
