"""Turns: position, fence, budget, what they read."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

import worker.creation
import worker.fence
from relay.backends.embedded import audience_rows, turns
from relay.backends.embedded.turns import Turns
from relay.domain import audience as policy
from tests.simulation.mutants.known import MUTANTS, mutant
from worker import attempt, budget


@mutant(
    "position: a message behind a later one is refused",
    shown_by="frozen with both clocks before beginning its turn, and wakes later",
)
def _position() -> AbstractContextManager[Any]:
    real = policy.begin_turn

    def begin(audience: policy.Audience, *, position: int, **named: Any) -> Any:
        return real(audience, position=max(position, audience.position), **named)

    return patch.object(policy, "begin_turn", begin)


@mutant(
    "position: of two that have the same one, too, the earlier one is refused",
    shown_by="a message comes late, after a later one with its publish time",
)
def _same_position() -> AbstractContextManager[Any]:
    real = policy.begin_turn

    def begin(audience: policy.Audience, **named: Any) -> Any:
        return real(replace(audience, turns_at=audience.turns_at[-1:]), **named)

    return patch.object(policy, "begin_turn", begin)


@mutant(
    "a message that is behind is let through in the end",
    shown_by="acknowledgements lost, so that the queue goes back behind a hold",
)
def _let_through() -> AbstractContextManager[Any]:
    return patch.object(policy, "REFUSAL_LIMIT", 10**9)


@mutant(
    "what waits in front of one that was let through has to come again",
    shown_by="acknowledgements lost, so that the queue goes back behind a hold",
)
def _went_back() -> AbstractContextManager[Any]:
    real = turns.fenced
    return patch.object(turns, "fenced", lambda *given: replace(real(*given), went_back_at=0))


@contextmanager
def _lenient_fence() -> Iterator[None]:
    strict = turns.fenced

    def lenient(connection: sqlite3.Connection, turn: Any) -> Any:
        return audience_rows.load(connection, turn.connector, turn.audience_id)

    def require(self: Turns, turn: Any) -> None:
        with self._database.snapshot() as connection:
            strict(connection, turn)

    with patch.object(turns, "fenced", lenient), patch.object(Turns, "require", require):
        yield


MUTANTS["fence: a write of a turn that is over fails"] = _lenient_fence


@mutant(
    "fence: a turn that is over starts no call", shown_by="duplicate: a message is pushed again while its first worker still runs"
)
def _fence_of_calls() -> AbstractContextManager[Any]:
    return patch.multiple(worker.fence.Fence, asked=lambda self: None, require=lambda self: None)


@mutant("budget: no call that cannot end within the turn")
def _budget_of_calls() -> AbstractContextManager[Any]:
    def left(self: budget.Budget) -> float:
        return 0.0 if self._stopping() else 1e9

    return patch.object(budget.Budget, "left_for_calls_s", left)


@mutant("budget: nothing is written past it")
def _budget_of_writes() -> AbstractContextManager[Any]:
    return patch.object(budget.Budget, "require", lambda self: None)


@mutant("budget: nothing is acknowledged past it")
def _budget_of_acknowledgements() -> AbstractContextManager[Any]:
    real = budget.Budget.remaining_s

    def remaining(self: budget.Budget) -> float:
        return 1.0 if sys._getframe(1).f_code.co_name == "handle" else real(self)

    return patch.object(budget.Budget, "remaining_s", remaining)


@mutant("budget: it ends with the lease")
def _budget_until() -> AbstractContextManager[Any]:
    real = budget.Budget.__init__

    def init(self: budget.Budget, *given: Any, until: float = 0.0, **named: Any) -> None:
        real(self, *given, **named)

    return patch.object(budget.Budget, "__init__", init)


@mutant("budget: by the wall clock too")
def _budget_of_one_clock() -> AbstractContextManager[Any]:
    def elapsed(self: budget.Budget) -> float:
        return self._clock.monotonic() - self._began_monotonic

    return patch.object(budget.Budget, "elapsed_s", elapsed)


@mutant(
    "stopping: no further call begins", shown_by="SIGTERM: what is in hand is finished or given back, and no further call begins"
)
def _stopping() -> AbstractContextManager[Any]:
    return patch.object(budget.Budget, "left_for_calls_s", budget.Budget.remaining_s)


@mutant(
    "crash count: what ends its worker is set aside",
    shown_by="a batch that ends its worker every time is set aside, and the others go on",
)
def _crash_count() -> AbstractContextManager[Any]:
    return patch.object(policy, "CRASH_LIMIT", 10**9)


@mutant("crash count: a failing store does not count")
def _forgiven() -> AbstractContextManager[Any]:
    real = policy.begin_turn

    def begin(audience: policy.Audience, *, forgiven: int = 0, **named: Any) -> Any:
        return real(audience, **named)

    return patch.object(policy, "begin_turn", begin)


@contextmanager
def _stale(part: str) -> Iterator[None]:
    """A turn sees what the one before it, in whichever process, had seen of this."""
    real = Turns.begin_turn
    seen: dict[str, Any] = {}

    def begin(self: Turns, connector: str, audience_id: str, **named: Any) -> Any:
        turn = real(self, connector, audience_id, **named)
        key = f"{self._database.path} {audience_id}"
        before = seen.get(key, turn)
        seen[key] = turn
        if part == "state":
            return replace(turn, state=before.state)
        return replace(turn, audience=replace(turn.audience, hold=before.audience.hold))

    with patch.object(Turns, "begin_turn", begin):
        yield


MUTANTS["fresh read: the hold, as the turn begins"] = lambda: _stale("hold")
MUTANTS["fresh read: the connector's state, as the turn begins"] = lambda: _stale("state")


@mutant(
    "fresh read: the connector's state, before each step of a resume",
    shown_by="a long hold: what comes, and what is switched, between two steps of its resume",
)
def _stale_resume() -> AbstractContextManager[Any]:
    return patch.object(attempt.Attempt, "_fresh_state", lambda self: self._turn.state)
