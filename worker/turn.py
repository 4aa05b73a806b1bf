"""One queue message, from its lease to its acknowledgement. The mechanism is described in docs/architecture.md.

A message is acknowledged when its mutations are delivered, settled or in the audience's hold. It is given back to the queue only
when the store could not be reached, or when a later message has already had its turn.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from functools import partial
from typing import Literal, cast

import msgspec

from relay.backends.interfaces import Backend, Leased, PullQueue, Turn
from relay.domain.clock import Clock
from relay.domain.errors import RelayError, StoreUnavailable, TurnLost
from relay.domain.message import Message, UnknownVersion, decode
from relay.wide_log import log, place_of
from worker.attempt import Attempt, Means, Together, Unrecorded
from worker.budget import TURN_S, Budget
from worker.catalog import Catalog
from worker.creation import Creation
from worker.holds import running_or_why
from worker.partners import Partners
from worker.plan import Pending
from worker.report import log_attempt, make_report, rejections_of
from worker.retries import PROBE_FIRST_S
from worker.slots import Slots

MOST_TOGETHER = 100
"""Messages of an audience that have a turn together at most, where they wait in the queue one behind the other."""

_MOST_MUTATIONS_TOGETHER = 500
"""What becomes of all of them is one transaction, for which others wait: of 500 rejections it takes as long as other ones do."""

_MOST_CALLS_TOGETHER = 10
"""Other audiences wait while a turn goes on."""

_GIVE_BACK_S = 1.0
_UNREADABLE_GIVE_BACK_S = 30.0
_MOST_FORGIVEN = 10_000


class Worker:
    """Handles queue messages, one call of `handle` each; several threads may call it at once."""

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        chance: random.Random | None = None,
        *,
        turn_s: float = TURN_S,
        stopping: Callable[[], bool] = lambda: False,
        slots: Slots | None = None,
    ) -> None:
        """stopping: the process is to end, so no further call begins. slots: keeps to the connectors' limits of turns at once,
        where whoever hands out the messages does not."""
        self._backend = backend
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._turn_s = turn_s
        self._stopping = stopping
        self._slots = slots
        self.catalog = Catalog(backend, clock)
        self.partners = Partners(backend, clock)
        self.creation = Creation(backend, self.catalog, self.partners, clock, stopping=stopping)
        self._forgiven: dict[str, int] = {}

    def handle(self, leased: Leased) -> None:
        """Handles one message to its end. Raises nothing but what ends the process: every trouble has its place."""
        budget = Budget(self._clock, self._turn_s, until=leased.lease_until, stopping=self._stopping)
        try:
            left = self._handle(leased, budget)
        except TurnLost as error:
            log("turn_lost", "WARNING", connector=leased.connector, message=leased.message_id, hint=str(error))
            return
        except StoreUnavailable as error:
            log("store_unavailable", "ERROR", connector=leased.connector, message=leased.message_id, hint=str(error))
            self._forgive(leased)
            self._give_back(leased, PROBE_FIRST_S if isinstance(error, Unrecorded) else _GIVE_BACK_S)
            return
        except (msgspec.MsgspecError, UnknownVersion) as error:
            # Nothing is lost: it stays in the queue until a program that can read it takes it.
            hint = str(error) if isinstance(error, RelayError) else "The message cannot be read."
            log("message_unreadable", "ERROR", connector=leased.connector, message=leased.message_id, hint=hint)
            self._give_back(leased, _UNREADABLE_GIVE_BACK_S)
            return
        except Exception as error:
            # A fault of ours. Begun turns are counted: the third time the batch joins the hold as `crashed`. The text of the
            # error may hold identifiers and is not written.
            log(
                "turn_failed",
                "ERROR",
                connector=leased.connector,
                message=leased.message_id,
                error=type(error).__name__,
                where=place_of(error),
            )
            self._give_back(leased, _GIVE_BACK_S)
            return
        if left == "give back":
            self._give_back(leased, _GIVE_BACK_S)
        elif left == "acknowledge" and budget.remaining_s() > 0:
            try:
                self._backend.queue.acknowledge(leased)
                self._forgiven.pop(leased.message_id, None)
            except StoreUnavailable as error:
                # Its turn is repeated, which changes nothing, and is not to count towards `crashed`.
                log("store_unavailable", "ERROR", connector=leased.connector, message=leased.message_id, hint=str(error))
                self._forgive(leased)
                self._give_back(leased, _GIVE_BACK_S)

    def _handle(self, leased: Leased, budget: Budget) -> Literal["acknowledge", "give back", "nothing"]:
        """What is left to do with the message."""
        message = decode(leased.body)
        if _is_unreadable(message):
            self._record_unreadable(message)
            return "acknowledge"
        turn = self._backend.audiences.begin_turn(
            message.connector,
            message.audience,
            position=leased.position,
            message_id=leased.message_id,
            forgiven=self._forgiven.get(leased.message_id, 0),
        )
        if turn.verdict == "behind":
            log("message_behind", "WARNING", connector=message.connector, message=leased.message_id)
            return "give back"
        if turn.let_through:
            log("message_let_through", "WARNING", connector=message.connector, message=leased.message_id)
        means = Means(self._backend, self._clock, self._chance, self.catalog, self.partners, self.creation, self._slots)
        together = self._together(leased, message, turn)
        Attempt(means, budget, turn, message, together).run()
        return "nothing" if together else "acknowledge"

    def _together(self, leased: Leased, message: Message, turn: Turn) -> Together | None:
        """What has this turn beside its message: plain changes right behind it, which is one itself."""
        if not leased.following or turn.verdict != "go" or turn.let_through or not _is_plain(message):
            return None
        running, _ = running_or_why(self.catalog, turn.state, turn.audience.use)
        largest_call = running.connector.limits.batch.max_items if running is not None else _MOST_MUTATIONS_TOGETHER
        room = min(_MOST_MUTATIONS_TOGETHER, _MOST_CALLS_TOGETHER * largest_call) - len(message.mutations)
        following: list[tuple[str, Message]] = []
        for one in leased.following:
            try:
                behind = decode(one.body)
            except (msgspec.MsgspecError, UnknownVersion):
                break  # when its own turn comes, that says so
            room -= len(behind.mutations)
            if not _is_plain(behind) or room < 0:
                break
            following.append((one.message_id, behind))
        if not following:
            return None
        queue = cast(PullQueue, self._backend.queue)
        return Together(tuple(following), partial(queue.finish, turn, leased, len(following)))

    def _record_unreadable(self, message: Message) -> None:
        now = self._clock.now()
        results = [
            (pending, pending.result("", "skipped", "unreadable", pending.mutation.unreadable or ""))
            for pending in (Pending(0, message, mutation) for mutation in message.mutations)
        ]
        report = make_report(
            attempt_id=uuid.uuid4().hex,
            connector_version=0,
            messages=[message],
            results=results,
            counts={"skipped": len(results)},
            calls=(),
            began_at=now,
            ended_at=now,
            problem="",
            hint="",
            held="",
            due_at=None,
        )
        self._backend.reports.attempt(report, rejections_of(results, now))
        log_attempt(report)

    def _forgive(self, leased: Leased) -> None:
        """The store failed, not the batch: this turn does not count towards `crashed`, if it is this process that tries again."""
        if len(self._forgiven) >= _MOST_FORGIVEN:
            self._forgiven.clear()
        self._forgiven[leased.message_id] = self._forgiven.get(leased.message_id, 0) + 1

    def _give_back(self, leased: Leased, delay_s: float) -> None:
        try:
            self._backend.queue.give_back(leased, delay_s=delay_s)
        except StoreUnavailable:
            # It is given back later, or its lease runs out by itself.
            log("give_back_failed", "ERROR", connector=leased.connector, message=leased.message_id)


def _is_unreadable(message: Message) -> bool:
    return message.kind == "change" and all(mutation.unreadable is not None for mutation in message.mutations)


def _is_plain(message: Message) -> bool:
    return message.kind == "change" and not message.answer_by and not _is_unreadable(message)
