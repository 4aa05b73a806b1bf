"""One queue message, handled: the turn. The mechanism is described in docs/architecture.md.

A message is acknowledged when its mutations are delivered, settled or in the audience's hold. It is given back to the queue only
when the store could not be reached, or when a later message has already had its turn.
"""

from __future__ import annotations

import random
import traceback
import uuid
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from adapters.contract import Target
from relay.backends.interfaces import Backend, Leased, Turn
from relay.domain.audience import Audience, HoldRequest
from relay.domain.clock import Clock
from relay.domain.connector import ConnectorState
from relay.domain.errors import AudienceNotReady, NotFound, PartnerError, RelayError, StoreUnavailable, TurnLost
from relay.domain.message import VERSION, Message, UnknownVersion, decode
from relay.domain.outcome import Result
from relay.wide_log import log
from worker import holds
from worker.budget import TURN_S, Budget
from worker.calls import Caller
from worker.catalog import Catalog, Running
from worker.creation import Creation
from worker.delivery import Delivery, deliver
from worker.partners import Partners
from worker.plan import Pending
from worker.report import log_attempt, make_report, rejections_of

_GIVE_BACK_S = 1.0
_UNREADABLE_GIVE_BACK_S = 30.0
_RESUME_BYTES = 32 * 1024 * 1024
_RESUME_ITEMS = 1_000


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
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._turn_s = turn_s
        self._stopping = stopping
        self.catalog = Catalog(backend, clock)
        self.partners = Partners(backend, clock)
        self.creation = Creation(backend, self.catalog, self.partners, clock)

    def handle(self, leased: Leased) -> None:
        """Handles one message to its end. Raises nothing but what ends the process: every trouble has its place."""
        budget = Budget(self._clock, self._turn_s, until=leased.lease_until, stopping=self._stopping)
        try:
            done = self._handle(leased, budget)
        except TurnLost as error:
            log("turn_lost", "WARNING", connector=_connector_of(leased), message=leased.message_id, hint=str(error))
            return
        except StoreUnavailable as error:
            log("store_unavailable", "ERROR", connector=_connector_of(leased), message=leased.message_id, hint=str(error))
            self._give_back(leased, _GIVE_BACK_S)
            return
        except (msgspec.MsgspecError, UnknownVersion) as error:
            # Nothing is lost: it stays in the queue until a program that can read it takes it.
            hint = str(error) if isinstance(error, RelayError) else "The message cannot be read."
            log("message_unreadable", "ERROR", connector=_connector_of(leased), message=leased.message_id, hint=hint)
            self._give_back(leased, _UNREADABLE_GIVE_BACK_S)
            return
        except Exception as error:
            # A fault of ours. Begun turns are counted: the third time the batch joins the hold as `crashed`. The text of the
            # error may hold identifiers and is not written.
            log("turn_failed", "ERROR", connector=_connector_of(leased), message=leased.message_id, **_where(error))
            self._give_back(leased, _GIVE_BACK_S)
            return
        if not done:
            self._give_back(leased, _GIVE_BACK_S)
            return
        if budget.remaining_s() > 0:
            try:
                self._backend.queue.acknowledge(leased)
            except StoreUnavailable as error:
                log("store_unavailable", "ERROR", connector=_connector_of(leased), message=leased.message_id, hint=str(error))

    def _handle(self, leased: Leased, budget: Budget) -> bool:
        """Whether the message may be acknowledged."""
        message = decode(leased.body)
        if message.kind == "change" and all(mutation.unreadable is not None for mutation in message.mutations):
            self._record_unreadable(message)
            return True
        turn = self._backend.audiences.begin_turn(
            message.connector, message.audience, position=leased.position, message_id=leased.message_id
        )
        if turn.verdict == "behind":
            log("message_behind", "WARNING", connector=message.connector, message=leased.message_id)
            return False
        if turn.let_through:
            log("message_let_through", "WARNING", connector=message.connector, message=leased.message_id)
        return _Attempt(self, self._backend, self._clock, self._chance, budget, turn, message).run()

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

    def _give_back(self, leased: Leased, delay_s: float) -> None:
        try:
            self._backend.queue.give_back(leased, delay_s=delay_s)
        except StoreUnavailable:
            # Its lease runs out by itself.
            log("give_back_failed", "ERROR", connector=_connector_of(leased), message=leased.message_id)


def _connector_of(leased: Leased) -> str:
    return leased.key.partition("/")[0]


def _where(error: Exception) -> dict[str, str]:
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames[-4:]]
    return {"error": type(error).__name__, "where": " > ".join(places)}


class _Attempt:
    """What one turn does with its message."""

    def __init__(
        self, worker: Worker, backend: Backend, clock: Clock, chance: random.Random, budget: Budget, turn: Turn, message: Message
    ) -> None:
        self._worker = worker
        self._backend = backend
        self._clock = clock
        self._chance = chance
        self._budget = budget
        self._turn = turn
        self._message = message
        self._audience = turn.audience

    def run(self) -> bool:
        """Whether the message may be acknowledged."""
        if self._turn.verdict == "crashed":
            return self._crashed()
        running = self._running()
        if self._message.kind == "resume":
            return self._resume(running)
        return self._change(running)

    def _running(self) -> Running | None:
        try:
            return self._worker.catalog.get(self._turn.state)
        except NotFound:
            return None

    def _crashed(self) -> bool:
        """The message has ended its worker twice: it waits, untouched, for a person."""
        request = HoldRequest("crashed", None, "A batch ended its worker several times; look at the worker's log.")
        log("message_crashed", "ERROR", connector=self._turn.connector, audience=self._turn.audience_id)
        self._budget.require()
        if self._message.kind == "resume":
            self._backend.audiences.settle(self._turn, taken=(), rest=(), request=request, progress=False)
        else:
            self._join(self._message, request, replace_reason=True)
        return True

    # a change, or the news that the audience was created

    def _change(self, running: Running | None) -> bool:
        now = self._clock.now()
        blocking = holds.must_hold(self._turn.state, running, self._audience, now)
        if blocking is None and running is not None and self._unannounced(running):
            return self._reject_unknown(running)
        if blocking is None and running is not None and self._message.kind == "change":
            blocking = holds.gathering(running, self._audience, self._message.received_at)
        if self._audience.hold is not None or blocking is not None or running is None:
            request = blocking or HoldRequest("gathering", now)
            self._join(self._message, request)
            self._flush_if_enough(running)
            return True
        began_at = now
        delivery, caller = self._deliver([self._message], running)
        self._budget.require()
        self._record([self._message], running, delivery, caller, began_at)
        if delivery.hold is not None:
            rest = delivery.rest[0]
            if rest is not None:
                self._join(rest, delivery.hold)
                self._resume_if_due()
        return True

    def _join(self, message: Message, request: HoldRequest, *, replace_reason: bool = False) -> None:
        self._budget.require()
        self._audience = self._backend.audiences.join(self._turn, message, request)
        hold = self._audience.hold
        if replace_reason and hold is not None and hold.reason != request.reason:
            self._audience = self._backend.audiences.settle(self._turn, taken=(), rest=(), request=request, progress=False)

    def _flush_if_enough(self, running: Running | None) -> None:
        hold = self._audience.hold
        if running is None or hold is None or hold.reason != "gathering" or hold.asked_at:
            return
        if holds.gathered_enough(running, hold, self._clock.now()):
            self._publish_resume()

    def _publish_resume(self) -> None:
        self._budget.require()
        publish_resume(self._backend, self._audience, self._clock.now())

    def _unannounced(self, running: Running) -> bool:
        """Whether this audience is one that the connector must not create by itself."""
        inbound = running.connector.inbound
        known = bool(self._audience.partner_id) or bool(self._audience.name)
        return (
            inbound.audience_id == "own"
            and inbound.unknown_audience == "reject"
            and self._message.kind == "change"
            and not known
            and self._audience.hold is None
        )

    def _reject_unknown(self, running: Running) -> bool:
        began_at = self._clock.now()
        hint = "This audience was never announced, and the connector does not create audiences by itself."
        results = tuple(
            (pending, pending.result("", "rejected", "unknown_audience", hint))
            for pending in (Pending(0, self._message, mutation) for mutation in self._message.mutations)
        )
        delivery = Delivery(results, (None,), None, "unknown_audience", True)
        self._budget.require()
        self._record([self._message], running, delivery, None, began_at)
        return True

    # the hold

    def _resume(self, running: Running | None) -> bool:
        """Takes what waits, in order, until nothing does, trouble comes or the time is over."""
        store = self._backend.audiences
        while self._audience.hold is not None:
            if not holds.may_resume(self._audience.hold):
                return True
            state = self._fresh_state()
            blocking = holds.must_hold(state, running, self._audience, self._clock.now())
            if blocking is not None or running is None:
                self._budget.require()
                store.settle(self._turn, taken=(), rest=(), request=blocking, progress=False)
                return True
            items = max(_RESUME_ITEMS, running.connector.limits.batch.max_items)
            taken = store.waiting(self._turn, max_items=items, max_bytes=_RESUME_BYTES)
            if not taken:
                self._budget.require()
                self._audience = store.settle(self._turn, taken=(), rest=(), request=None, progress=False)
                continue
            began_at = self._clock.now()
            messages = [batch.message for batch in taken]
            delivery, caller = self._deliver(messages, running)
            self._budget.require()
            self._record(messages, running, delivery, caller, began_at)
            rest = [
                replace(batch, message=message)
                for batch, message in zip(taken, delivery.rest, strict=True)
                if message is not None
            ]
            self._budget.require()
            self._audience = store.settle(
                self._turn, taken=taken, rest=rest, request=delivery.hold, progress=delivery.progress
            )
            if delivery.hold is not None:
                self._resume_if_due()
                return True
        return True

    def _fresh_state(self) -> ConnectorState:
        """The connector may have been switched since the turn began: a long hold takes many steps."""
        try:
            return self._backend.connectors.state(self._turn.connector)
        except NotFound:
            return self._turn.state

    def _resume_if_due(self) -> None:
        """What is left only because the time was over, or because a bad user is being looked for, goes on at once."""
        hold = self._audience.hold
        if hold is not None and hold.due_at is not None and hold.due_at <= self._clock.now():
            self._publish_resume()

    # both

    def _deliver(self, messages: Sequence[Message], running: Running) -> tuple[Delivery, Caller | None]:
        """Ensures the audience, then delivers. Trouble with the audience leaves everything for the hold."""
        try:
            audience = self._ensure(messages, running)
        except PartnerError as error:
            return self._nothing_delivered(messages, error), None
        self._audience = replace(self._audience, partner_id=audience.partner_id, name=audience.name)
        adapter = self._worker.partners.open(running.connector)
        caller = Caller(adapter, running.connector, self._backend.connectors, self._budget, self._clock, self._chance)
        target = Target(audience.id, audience.name or audience.id, audience.partner_id or "", audience.reference)
        delivery = deliver(
            messages,
            running,
            self._turn.state.actions,
            target,
            caller,
            standing=self._audience.hold,
            clock=self._clock,
            chance=self._chance,
        )
        if delivery.hold is not None and delivery.hold.reason == "credentials_refused":
            self._worker.partners.forget(running.connector)
        return delivery, caller

    def _ensure(self, messages: Sequence[Message], running: Running) -> Audience:
        announced = next((message for message in messages if message.kind == "created"), None)
        if running.connector.inbound.audience_id == "partner":
            if self._audience.partner_id is None or self._audience.answers_to:
                raise AudienceNotReady("No audience with this ID was created through this connector.")
            return self._audience
        if self._audience.partner_id is not None and self._audience.status == "ready":
            return self._audience
        return self._worker.creation.ensure(
            running,
            self._turn.audience_id,
            name=announced.name if announced else None,
            customer=announced.customer if announced else None,
        )

    def _nothing_delivered(self, messages: Sequence[Message], error: PartnerError) -> Delivery:
        results: list[tuple[Pending, Result]] = [
            (Pending(place, message, mutation), Pending(place, message, mutation).result("", "retry"))
            for place, message in enumerate(messages)
            for mutation in message.mutations
        ]
        hold = holds.after_error(error, self._audience.hold, self._clock, self._chance)
        # A message that carries no mutation (`created`) still has its work before it.
        return Delivery(tuple(results), tuple(messages), hold, error.code, False)

    def _record(
        self,
        messages: Sequence[Message],
        running: Running,
        delivery: Delivery,
        caller: Caller | None,
        began_at: float,
    ) -> None:
        now = self._clock.now()
        report = make_report(
            attempt_id=uuid.uuid4().hex,
            connector_version=running.connector.document_version,
            messages=messages,
            results=delivery.results,
            counts=delivery.counts,
            calls=caller.reports if caller else (),
            began_at=began_at,
            ended_at=now,
            problem=delivery.problem,
            hint=delivery.hold.detail if delivery.hold else "",
            held=delivery.hold.reason if delivery.hold else "",
            due_at=delivery.hold.due_at if delivery.hold else None,
        )
        self._backend.reports.attempt(report, rejections_of(delivery.results, now))
        log_attempt(report)


def publish_resume(backend: Backend, audience: Audience, now: float) -> None:
    """Asks for a turn of this audience's hold, on its own key."""
    message = Message(
        version=VERSION,
        kind="resume",
        connector=audience.connector,
        audience=audience.id,
        request_id=uuid.uuid4().hex,
        received_at=now,
    )
    backend.queue.publish([message])
    backend.audiences.mark_asked(audience.connector, audience.id)
