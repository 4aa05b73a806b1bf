"""Holds, resumes and replays."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from relay.backends.embedded import audience_rows
from relay.backends.embedded.holds import Holds
from relay.backends.embedded.turns import Turns
from relay.domain import audience as policy
from relay.domain.message import Message
from tests.simulation.mutants.known import mutant
from worker import attempt, calls, holds, tick
from worker.replay import Replaying


@mutant("a hold is lifted only when empty", shown_by="resume beside replay")
def _lift() -> AbstractContextManager[Any]:
    real = policy.settle

    def settle(audience: policy.Audience, *, request: Any, **named: Any) -> policy.Audience:
        settled = real(audience, request=request, **named)
        return settled if request is not None else replace(settled, hold=None)

    return patch.object(policy, "settle", settle)


@mutant("a batch joins behind what waits")
def _joins_behind() -> AbstractContextManager[Any]:
    real = attempt.Attempt._change

    def change(self: attempt.Attempt) -> None:
        self._audience = replace(self._audience, hold=None)
        real(self)

    return patch.object(attempt.Attempt, "_change", change)


@mutant(
    "a hold is resumed on the audience's own key", shown_by="connector switched between reading its state and joining the hold"
)
def _resume_on_the_key() -> AbstractContextManager[Any]:
    def key(self: Message) -> str:
        return f"{self.connector}/{self.audience}" + (" resumes" if self.kind == "resume" else "")

    return patch.object(Message, "key", property(key))


@mutant("a hold is asked for one resume at a time")
def _mark_asked() -> AbstractContextManager[Any]:
    return patch.object(Holds, "mark_asked", lambda self, audience: True)


@mutant("a resume that comes too early does nothing", shown_by="a resume that comes too early does nothing")
def _is_due() -> AbstractContextManager[Any]:
    return patch.object(holds, "is_due", lambda hold, now: True)


@mutant(
    "a message that is in the hold is not added twice",
    shown_by="acknowledgements lost, so that the queue goes back behind a hold",
)
def _place_of() -> AbstractContextManager[Any]:
    return patch.object(audience_rows, "place_of", lambda *given: None)


@mutant(
    "what must wait waits: connector off, paused, put off",
    shown_by="connector switched between reading its state and joining the hold",
)
def _must_hold() -> AbstractContextManager[Any]:
    return patch.object(holds, "must_hold", lambda *given, **named: None)


@mutant("holds that are due are resumed")
def _tick() -> AbstractContextManager[Any]:
    return patch.object(tick, "publish_resume", lambda *given: False)


@mutant("the wait after a call without an answer")
def _probe() -> AbstractContextManager[Any]:
    return patch.object(holds, "probe_s", lambda probes, chance: 1.0)


@mutant("a call without an answer is not repeated at once")
def _applied_unknown() -> AbstractContextManager[Any]:
    real = calls.Caller._wait_s

    def wait(self: calls.Caller, error: Any, number: int) -> float | None:
        error.applied_unknown = False
        return real(self, error, number)

    return patch.object(calls.Caller, "_wait_s", wait)


@mutant("nor is its message, where the store fails behind it")
def _unrecorded() -> AbstractContextManager[Any]:
    return patch("worker.turn.PROBE_FIRST_S", 1.0)


@mutant("a replay goes up to its own place in the order", shown_by="a replay goes up to the present, and changes no final state")
def _replay_to_the_present() -> AbstractContextManager[Any]:
    real = attempt.Attempt._placed

    def placed(self: attempt.Attempt) -> Message | None:
        message = real(self)
        if message is None or message.replay is None:
            return message
        return replace(message, replay=replace(message.replay, until=max(1, message.replay.until - 2)))

    stack = ExitStack()
    stack.enter_context(patch.object(attempt.Attempt, "_placed", placed))
    # Neither is anything left out that a later one overtakes, which would hide it.
    stack.enter_context(patch.object(Replaying, "_not_overtaken", lambda self, entry: entry.message.mutations))
    return stack


@mutant(
    "a replay puts what it sends again in front of itself",
    shown_by="what a replay sends again comes in front of what waits behind it",
)
def _in_front() -> AbstractContextManager[Any]:
    real = Turns.expand

    def expand(self: Turns, turn: Any, replay: Any, batches: Any, rest: Any) -> policy.Audience:
        expanded = real(self, turn, replay, batches, rest)
        of = (turn.connector, turn.audience_id)
        with self._database.transaction() as connection:
            for place in range(replay.place - len(batches), replay.place):
                connection.execute(
                    "UPDATE waiting SET place = (SELECT max(place) + 1 FROM waiting WHERE connector = ? AND audience = ?)"
                    " WHERE connector = ? AND audience = ? AND place = ?",
                    (*of, *of, place),
                )
        return expanded

    return patch.object(Turns, "expand", expand)


@mutant("a replay does not reach into a gap of the journal", shown_by="a replay does not reach into a gap of the journal")
def _gap() -> AbstractContextManager[Any]:
    real = attempt.Attempt._placed

    def placed(self: attempt.Attempt) -> Message | None:
        message, replay = real(self), self._message.replay
        if message is None or message.replay is None or replay is None:
            return message
        return replace(message, replay=replace(message.replay, since=replay.since))

    return patch.object(attempt.Attempt, "_placed", placed)
