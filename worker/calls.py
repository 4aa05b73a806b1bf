"""One chunk's call to the partner: admitted by the rate, within the budget, while its turn stands, repeated a few times if that
may help, measured."""

from __future__ import annotations

import random
from collections.abc import Sequence

from adapters.contract import Adapter, Row, RowResult, Target
from relay.backends.interfaces import Connectors
from relay.domain.audience import HoldReason
from relay.domain.clock import Clock
from relay.domain.connector import Connector
from relay.domain.errors import PartnerError, RelayError, TryAgain
from relay.domain.outcome import CallReport
from worker.budget import Budget
from worker.fence import Fence
from worker.retries import ATTEMPTS_IN_TURN, LONGEST_WAIT_IN_TURN_S, back_off_s


class Postponed(RelayError):
    """The call was not made, or is not worth repeating now: what is left waits until `due_at` (seconds since the epoch).

    crowded: others wait for the same moment, at which only a few can go.
    """

    def __init__(
        self, detail: str, *, due_at: float, reason: HoldReason = "come_back_later", crowded: bool = False
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.due_at = due_at
        self.reason = reason
        self.crowded = crowded


class Caller:
    """Calls one partner for one turn."""

    def __init__(
        self,
        adapter: Adapter,
        connector: Connector,
        store: Connectors,
        budget: Budget,
        fence: Fence,
        clock: Clock,
        chance: random.Random,
    ) -> None:
        self._adapter = adapter
        self._connector = connector
        self._store = store
        self._budget = budget
        self._fence = fence
        self._clock = clock
        self._chance = chance
        self.reports: list[CallReport] = []

    def send(self, operation: str, target: Target, rows: Sequence[Row]) -> list[RowResult]:
        """One result per row. Raises `Postponed`, or the `PartnerError` that the last repetition met, and `TurnLost`, which ends
        the turn."""
        attempt = 1
        while True:
            self.admit(len(rows))
            self._fence.require()
            self._require_time()
            try:
                return self._send_once(operation, target, rows)
            except TryAgain as error:
                wait = self._wait_s(error, attempt)
                self._remember(error)
                if wait is None or attempt >= ATTEMPTS_IN_TURN or not self._budget.allows(wait + self._longest_call_s()):
                    raise
                self._clock.sleep(wait)
                attempt += 1

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock.now()

    def admit(self, items: int) -> None:
        """Waits until the account's rate allows a call; raises `Postponed` if that takes too long or the budget ends before."""
        while True:
            self._require_time()
            wait = self._store.admit(self._connector.name, self._connector.limits.rate, items=items)
            if wait <= 0:
                return
            if wait > LONGEST_WAIT_IN_TURN_S:
                due_at = self._clock.now() + wait
                asked_to_wait = self._store.state(self._connector.name).not_before >= due_at - 0.001
                if asked_to_wait:
                    raise Postponed("The partner asked to come back later.", due_at=due_at)
                raise Postponed("The connector's rate limit is used up.", due_at=due_at, crowded=True)
            self._clock.sleep(wait)

    def _require_time(self) -> None:
        """Asked again right before the call: the process may have been frozen since."""
        if not self._budget.allows(self._longest_call_s()):
            raise Postponed("The turn's time is over; the rest goes on at once.", due_at=self._clock.now())

    def _send_once(self, operation: str, target: Target, rows: Sequence[Row]) -> list[RowResult]:
        began = self._clock.monotonic()
        problem, status = "", 200
        try:
            results = self._adapter.send(operation, target, rows)
        except PartnerError as error:
            problem, status = error.code, error.status or 0
            raise
        finally:
            duration_ms = round((self._clock.monotonic() - began) * 1000, 1)
            self.reports.append(CallReport(operation, len(rows), status, duration_ms, problem))
        if len(results) != len(rows):
            raise TryAgain("The partner's answer does not account for all users.", code="unaccounted")
        return results

    def _wait_s(self, error: TryAgain, attempt: int) -> float | None:
        """Seconds until a repetition within this turn; None if it must not be repeated now: its effect may still arrive, or the
        partner asked for a longer wait."""
        if error.applied_unknown:
            return None
        if error.after_s is not None:
            asked = max(error.after_s, back_off_s(attempt, self._chance))
            return asked if asked <= LONGEST_WAIT_IN_TURN_S else None
        return back_off_s(attempt, self._chance)

    def _remember(self, error: TryAgain) -> None:
        """The partner's wish holds for the whole account: no worker starts a call after this is recorded."""
        if error.after_s is not None and error.account:
            moment = self._clock.now() + error.after_s
            self._store.not_before(self._connector.name, moment, reason="come_back_later", detail=error.hint)

    def _longest_call_s(self) -> float:
        timeouts = self._connector.timeouts
        return timeouts.connect_s + max(timeouts.answer_s, timeouts.batch_answer_s)
