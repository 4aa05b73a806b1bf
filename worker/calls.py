"""One chunk's call to the partner: admitted by the rate, within the budget, while its turn stands, repeated a few times if that
may help, measured."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from adapters import leash
from adapters.contract import DELIVERED, Adapter, Row, RowResult, Target
from relay.backends.interfaces import Connectors, Turn
from relay.domain.audience import HoldReason
from relay.domain.clock import Clock
from relay.domain.errors import Misconfigured, PartnerError, RelayError, TryAgain
from relay.domain.outcome import CallReport
from relay.domain.own_pace import RATE_USED_UP, TIME_IS_OVER
from worker.account import remember
from worker.budget import TURN_S, Budget
from worker.catalog import Running
from worker.exchanges import Place, Recording
from worker.fence import Fence
from worker.plan import Prepare
from worker.rate import Rate
from worker.retries import ATTEMPTS_IN_TURN, LONGEST_WAIT_IN_TURN_S, back_off_s

T = TypeVar("T")

_LONG_S = 1.0
"""What was seen so long ago is looked at again."""

_WHOLE_S = TURN_S - 10.0
"""What begins with so much of its turn left has all the time that there can be: what happens before it takes some."""


class Postponed(RelayError):
    """The call was not made, or is not worth repeating now: what is left waits until `due_at` (seconds since the epoch).

    crowded: others wait for the same moment, at which only a few can go. own_pace: see `Hold`.
    """

    def __init__(
        self,
        detail: str,
        *,
        due_at: float,
        reason: HoldReason = "come_back_later",
        crowded: bool = False,
        own_pace: bool = False,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.due_at = due_at
        self.reason = reason
        self.crowded = crowded
        self.own_pace = own_pace


def is_whole(budget: Budget) -> bool:
    """Whether nearly all of a turn is left, so that what begins now has as much time as it ever can have."""
    return budget.remaining_s() >= _WHOLE_S


def require_possible(seconds: float) -> None:
    """Raises `Misconfigured` for calls that no turn has time for: each turn would leave them to the next one, for ever."""
    if seconds > _WHOLE_S:
        raise Misconfigured(
            f"At their slowest these calls take {seconds:g} seconds, and there is time for {_WHOLE_S:g}: shorten `timeouts`.",
            code="never_in_time",
        )


def out_of_time(what: str, budget: Budget | None, clock: Clock, *, had_whole_turn: bool) -> Postponed | TryAgain:
    """For what could not make all of its calls for want of time. The next turn goes on with it at once; but what had the time of
    a whole turn is trouble, since it would find no more of it there.

    budget: None outside of a turn.
    """
    if budget is not None:
        is_stopping = budget.left_for_calls_s() == 0 < budget.remaining_s()
        if is_stopping or not had_whole_turn:
            return Postponed(TIME_IS_OVER, due_at=clock.now(), own_pace=True)
    hint = f"{what} takes more time than there is for it; the partner may be slow just now."
    return TryAgain(hint, code=leash.OutOfTime.code, applied_unknown=True)


class Caller:
    """Calls one partner for one turn."""

    def __init__(
        self,
        adapter: Adapter,
        running: Running,
        store: Connectors,
        budget: Budget,
        fence: Fence,
        clock: Clock,
        chance: random.Random,
        recording: Recording,
    ) -> None:
        self._adapter = adapter
        self._connector = running.connector
        self._login = running.login
        self._store = store
        self._rate = Rate(store, running.connector, clock)
        self._budget = budget
        self._fence = fence
        self._clock = clock
        self._chance = chance
        self._recording = recording
        self.reports: list[CallReport] = []
        self.may_still_be_applied = False
        """Whether a call had no answer, so that the partner may yet do what was asked."""

    def send(self, operation: str, target: Target, rows: Sequence[Row], places: Sequence[Place] = ()) -> list[RowResult]:
        """One result per row. places: where the first of them come from. Raises `Postponed`, or the `PartnerError` that the last
        repetition met, and `TurnLost`, which ends the turn."""
        attempt, more_s = 1, self._more_s(operation)
        met: PartnerError | None = None
        require_possible(self._longest_call_s() + more_s)
        while True:
            try:
                self._admit(len(rows))
                self._require_time(more_s)
            except Postponed as postponed:
                if met is None or not postponed.own_pace:
                    raise
                try:
                    raise met from None  # it is this that keeps what is left, and not that no repetition has room
                finally:
                    del met  # see `adapters.connection`
            try:
                return self._send_once(operation, target, rows, places)
            except PartnerError as error:
                remember(error, self._store, self._connector.name, self._clock, login=self._login)
                wait = self._wait_s(error, attempt) if isinstance(error, TryAgain) else None
                again_s = (wait or 0.0) + self._longest_call_s() + more_s
                if wait is None or attempt >= ATTEMPTS_IN_TURN or not self._budget.allows(again_s):
                    raise
                self._clock.sleep(wait)
                attempt, met = attempt + 1, error.with_traceback(None)

    @property
    def prepare(self) -> Prepare:
        """`Adapter.prepare`."""
        return self._adapter.prepare

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock.now()

    def _admit(self, items: int) -> None:
        """Waits until the account's rate allows a call; raises `Postponed` if that takes too long or the budget ends before, and
        `TurnLost`."""
        while True:
            self._require_time()
            wait = self._while_it_stands(lambda turn: self._rate.ask(items, turn))
            if wait <= 0:
                return
            if wait > LONGEST_WAIT_IN_TURN_S:
                due_at = self._clock.now() + wait
                if state := self._rate.put_off():
                    raise Postponed(state.not_before_detail, due_at=due_at, reason=state.not_before_reason)
                raise Postponed(RATE_USED_UP, due_at=due_at, crowded=True, own_pace=True)
            self._clock.sleep(wait)

    def _require_time(self, more_s: float = 0.0) -> None:
        """Asked again right before the call: the process may have been frozen since."""
        if not self._budget.allows(self._longest_call_s() + more_s):
            raise Postponed(TIME_IS_OVER, due_at=self._clock.now(), own_pace=True)

    def _send_once(self, operation: str, target: Target, rows: Sequence[Row], places: Sequence[Place]) -> list[RowResult]:
        began = self._clock.monotonic()
        had_whole_turn = is_whole(self._budget)
        try:
            within = leash.within(self._budget.left_for_calls_s, self._before_call)
            with within, self._recording.sending(operation, target, rows, places):
                results = self._adapter.send(operation, target, rows)
        except leash.OutOfTime as error:
            trouble = out_of_time("This operation", self._budget, self._clock, had_whole_turn=had_whole_turn)
            if isinstance(trouble, PartnerError):
                self._report(operation, rows, 0, began, error.code)
            raise trouble from None
        except PartnerError as error:
            self._report(operation, rows, error.status or 0, began, error.code)
            self.may_still_be_applied |= isinstance(error, TryAgain) and error.applied_unknown
            raise
        self._report(operation, rows, 200, began)
        if len(results) != len(rows):
            raise TryAgain("The partner's answer does not account for all users.", code="unaccounted", applied_unknown=True)
        self._recording.carried_out(operation, for_all=results.count(DELIVERED) == len(results))
        return results

    def _before_call(self) -> None:
        """Right before each call of one `send`; for the first, all was asked a moment ago."""
        self._while_it_stands(self._rate.begin)

    def _while_it_stands(self, ask: Callable[[Turn | None], T]) -> T:
        """Asks the rate, and together with it whether the turn stands: one look at the store. Raises `TurnLost`."""
        began_at, began = self._clock.now(), self._clock.monotonic()
        answer = ask(self._fence.asked())
        if max(self._clock.now() - began_at, self._clock.monotonic() - began) > _LONG_S:
            self._fence.require()
        return answer

    def _report(self, operation: str, rows: Sequence[Row], status: int, began: float, problem: str = "") -> None:
        duration_ms = round((self._clock.monotonic() - began) * 1000, 1)
        self.reports.append(CallReport(operation, len(rows), status, duration_ms, problem))

    def _more_s(self, operation: str) -> float:
        """What the operation takes beyond one call."""
        described = self._adapter.description.operation(operation)
        return described.takes_s if described else 0.0

    def _wait_s(self, error: TryAgain, attempt: int) -> float | None:
        """Seconds until a repetition within this turn; None if it must not be repeated now: its effect may still arrive, or the
        partner asked for a longer wait."""
        if error.applied_unknown:
            return None
        if error.after_s is not None:
            asked = max(error.after_s, back_off_s(attempt, self._chance))
            return asked if asked <= LONGEST_WAIT_IN_TURN_S else None
        return back_off_s(attempt, self._chance)

    def _longest_call_s(self) -> float:
        timeouts = self._connector.timeouts
        return timeouts.connect_s + max(timeouts.answer_s, timeouts.batch_answer_s)
