"""What one turn does with its message: deliver it, let it join the hold, or resume the hold."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import cached_property
from itertools import takewhile

import msgspec
from msgspec.structs import replace

from adapters import exchanges
from adapters.contract import Target
from relay.backends.interfaces import Backend, Turn
from relay.domain.audience import Audience, HoldRequest, Waiting
from relay.domain.clock import Clock
from relay.domain.connector import ConnectorState
from relay.domain.errors import (
    AudienceNotReady,
    ConfigurationError,
    JournalBehind,
    Misconfigured,
    NotFound,
    PartnerError,
    StoreUnavailable,
    TryAgain,
)
from relay.domain.message import Message, Replay, UnknownVersion
from relay.domain.outcome import Rejection, Report
from relay.domain.own_pace import TURNS_TAKEN
from relay.domain.reply import Reply
from relay.wide_log import log
from worker import holds
from worker.budget import Budget
from worker.calls import Caller, Postponed
from worker.catalog import Catalog, Running
from worker.creation import Creation
from worker.delivery import Delivery, deliver
from worker.exchanges import Recording
from worker.fence import Fence
from worker.partners import Partners
from worker.plan import Pendings
from worker.replay import Replaying, log_not_kept, log_replay
from worker.replies import reply_to, untouched
from worker.report import log_attempt, make_report, rejections_of
from worker.retries import LONGEST_WAIT_IN_TURN_S
from worker.slots import Slots
from worker.tick import publish_resume

_RESUME_BYTES = 16 * 1024 * 1024
"""Of a hold in one step. It is settled in one transaction, for whose log there must be room on a disk that is nearly full."""

_RESUME_ITEMS = 1_000
_RESUME_MOST_ITEMS = 20_000


class Means(msgspec.Struct, frozen=True):
    """What every turn of a worker works with. slots: None where whoever hands out messages keeps to the connectors' limits."""

    backend: Backend
    clock: Clock
    chance: random.Random
    catalog: Catalog
    partners: Partners
    creation: Creation
    slots: Slots | None = None


class Together(msgspec.Struct, frozen=True):
    """What has a turn beside its own message.

    following  ID and message of the plain changes right behind it, in order
    finish     the block in which the turn writes what became of all of them; they are acknowledged with it
    """

    following: tuple[tuple[str, Message], ...]
    finish: Callable[[], AbstractContextManager[None]]


class Unrecorded(StoreUnavailable):
    """The store failed after a call whose effect at the partner may still come: nothing may be sent before that time is over, and
    there is no hold that says so."""


class Attempt:
    """What one turn does with its message."""

    def __init__(
        self, means: Means, budget: Budget, turn: Turn, message: Message, together: Together | None = None
    ) -> None:
        """together: of a change, if others have the turn with it."""
        self._means = means
        self._backend = means.backend
        self._clock = means.clock
        self._budget = budget
        self._turn = turn
        self._message = message
        self._together = together
        self._batches = ((turn.message_id, message), *(together.following if together else ()))
        """Message IDs and messages that have the turn, in order."""
        self._audience = turn.audience
        self._fence = Fence(self._backend.audiences, turn, budget)
        self._callers: list[Caller] = []
        self._may_still_be_made = False
        self._recording: Recording | None = None
        self._replaying = Replaying(self._backend.journal, turn.connector, turn.audience_id, budget)

    def run(self) -> None:
        """Returns when the message may be acknowledged, and has been where others have the turn with it. Raises `TurnLost` and
        `StoreUnavailable`, as `Unrecorded` where it is one."""
        try:
            self._run()
        except StoreUnavailable as error:
            if self._may_still_be_applied():
                raise Unrecorded(str(error)) from error
            raise

    def _run(self) -> None:
        if self._message.kind == "replay" and self._turn.let_through:
            # Its position is not that of its turn. It may come as late as it likes, so it asks for a place anew.
            self._budget.require()
            self._backend.queue.publish([self._message])
        elif self._message.answer_by:
            self._answered()
        elif self._turn.verdict == "crashed":
            self._crashed()
        elif self._message.kind == "resume":
            with closing(self._replaying):
                self._resume()
        elif self._message.kind == "replay":
            self._replay()
        else:
            self._change()

    def _crashed(self) -> None:
        """The message has ended its worker twice: it waits, untouched."""
        request = holds.crashed(self._audience.hold, self._clock)
        log("message_crashed", "ERROR", connector=self._turn.connector, audience=self._turn.audience_id)
        self._budget.require()
        if self._message.kind == "resume":
            self._backend.audiences.settle(self._turn, taken=(), rest=(), request=request, progress=False)
        else:
            message = self._placed()
            if message is not None:
                self._join(message, request, replace_reason=True)

    # a change and those that have the turn with it, or the news that the audience was created

    def _change(self) -> None:
        now = self._clock.now()
        messages = [message for _, message in self._batches]
        state = self._turn.state
        running, why = holds.running_or_why(self._means.catalog, state, self._audience.use)
        blocking = holds.must_hold(state, running, self._audience, now, why=why)
        if blocking is None and running is not None and self._message.kind == "change":
            blocking = holds.gathering(running, self._audience, self._message.received_at)
        if self._audience.hold is not None or blocking is not None or running is None:
            request = blocking or HoldRequest("gathering", now)
            with self._finishing():
                self._join_all(messages, request)
                self._flush_if_enough(running)
            return
        delivery, caller = self._deliver(messages, running, state)
        self._budget.require()
        report = self._report(messages, running, delivery, caller, now)
        rejections = rejections_of(delivery.undelivered, self._clock.now())
        with self._finishing():
            self._store(report, rejections)
            if report is not None and self._together is None:
                log_attempt(report)
            if delivery.hold is not None:
                self._join_all(delivery.rest, delivery.hold)
                self._resume_if_due()
        if report is not None and self._together is not None:
            log_attempt(report)  # now it is there

    def _join_all(self, messages: Sequence[Message | None], request: HoldRequest) -> None:
        """What is left of the turn's messages joins the hold, each under its own ID."""
        for (message_id, _), message in zip(self._batches, messages, strict=True):
            if message is not None:
                self._join(message, request, message_id)

    @contextmanager
    def _finishing(self) -> Iterator[None]:
        if self._together is None:
            yield
            return
        self._budget.require()
        with self._together.finish():
            yield
            self._budget.require()  # it may have been waited for the store

    # a change whose end somebody waits for

    def _answered(self) -> None:
        """It is delivered now or not at all: what is not settled is the source's to send again.

        What is left joins the hold all the same where a call may still take effect, so that whatever comes later comes after it;
        and where it comes again: see `_comes_again`.
        """
        now = self._clock.now()
        crashed = self._turn.verdict == "crashed"
        if (crashed or now >= self._message.answer_by) and not self._comes_again():
            log("reply_too_late", "WARNING", connector=self._turn.connector, request_id=self._message.request_id)
            return
        if crashed:
            self._crashed()
            return
        state = self._turn.state
        running, why = holds.running_or_why(self._means.catalog, state, self._audience.use)
        request = holds.must_hold(state, running, self._audience, now, why=why)
        standing = self._audience.hold or request
        if standing is not None or running is None:
            request = request or HoldRequest("gathering", now)
            if self._comes_again():
                self._join(replace(self._message, answer_by=0), request)
            self._give(untouched(self._message, standing or request, at=now))
            return
        delivery, caller = self._deliver([self._message], running, state)
        keeps = self._may_still_be_applied() or (delivery.hold is not None and self._comes_again())
        self._budget.require()
        self._record(self._report([self._message], running, delivery, caller, now, held=keeps), delivery)
        rest = delivery.rest[0]
        if delivery.hold is not None and rest is not None and keeps:
            self._join(replace(rest, answer_by=0), delivery.hold)
            self._resume_if_due()
        self._give(reply_to(self._message, delivery.results, delivery.hold, at=self._clock.now()))

    def _comes_again(self) -> bool:
        """Whether it may have been delivered already, its source told so, and what came before it comes once more: the queue has
        gone back, or holds it twice, since its publish was repeated. Then nobody sends it again."""
        return self._turn.let_through or self._audience.went_back_at > 0 or self._is_told

    @cached_property
    def _is_told(self) -> bool:
        """Whether a reply gave its source no reason to send all of it again. One that cannot be read counts: to deliver what its
        source sends as well does less harm than to drop what it does not send."""
        try:
            reply = self._backend.replies.find(self._message.request_id, self._message.part)
        except (msgspec.MsgspecError, UnknownVersion):
            return True
        return reply is not None and reply.settles_something

    def _may_still_be_applied(self) -> bool:
        """What a call of this turn carried, or the audience that it was to make, may yet be done at the partner."""
        return self._may_still_be_made or any(caller.may_still_be_applied for caller in self._callers)

    def _give(self, reply: Reply) -> None:
        """A reply that leaves something to the source does not take the place of one that did not leave it all: what is left now
        is in the hold."""
        if reply.leaves_something and self._is_told:
            return
        self._budget.require()
        self._backend.replies.give(reply)

    # a replay of what the journal has

    def _replay(self) -> None:
        """It waits in the hold in any case: what it sends again is read when its place there has come."""
        now = self._clock.now()
        running, why = holds.running_or_why(self._means.catalog, self._turn.state, self._audience.use)
        blocking = holds.must_hold(self._turn.state, running, self._audience, now, why=why)
        message = self._placed()
        if message is None:
            return
        self._join(message, blocking or holds.replaying(now))
        hold = self._audience.hold
        if blocking is None and hold is not None and hold.reason == "gathering" and not hold.asked_at:
            self._publish_resume()  # somebody waits for it
        else:
            self._resume_if_due()

    def _placed(self) -> Message | None:
        """The message as it waits: a replay goes up to its own place in the order, and back to no moment before which the journal
        has gaps. To send what is older than a gap, and not what is in it, would undo what came in the gap.

        None for a replay that is dropped, since the journal was switched off after it was asked for. What is still there, for
        another replay that waits, lacks what came since.
        """
        replay = self._message.replay
        if replay is None:
            return replace(self._message, answer_by=0)
        kept_since = self._turn.state.journal_since
        if not kept_since:
            log_not_kept(self._message)
            return None
        since = max(replay.since, kept_since + self._backend.journal.late_s)
        return replace(self._message, replay=replace(replay, since=since, until=self._turn.audience.position))

    def _expand(self, waiting: Waiting, replay: Replay, *, max_items: int) -> bool:
        """Puts the next journaled batches in front of the replay. Whether the turn goes on."""
        now = self._clock.now()
        try:
            expansion = self._replaying.next(waiting, replay, max_items=max_items)
        except JournalBehind as behind:
            self._settle((), (), holds.replaying(now + holds.JOURNAL_LOOK_S, str(behind)))
            return False
        if expansion is None:
            self._settle((), (), holds.replaying(now))
            self._resume_if_due()
            return False
        before = self._audience
        self._budget.require()
        self._audience = self._backend.audiences.expand(self._turn, waiting, expansion.batches, expansion.rest)
        if self._audience.hold is not None and before.hold is not None:
            self._audience = replace(self._audience, hold=replace(self._audience.hold, proof=before.hold.proof))
        log_replay(before, self._audience)
        return True

    def _join(
        self, message: Message, request: HoldRequest, message_id: str | None = None, *, replace_reason: bool = False
    ) -> None:
        """message_id: of another than the turn's own."""
        self._budget.require()
        turn = self._turn if message_id is None else replace(self._turn, message_id=message_id)
        self._audience = self._backend.audiences.join(turn, message, request)
        hold = self._audience.hold
        if replace_reason and hold is not None and hold.reason != request.reason:
            self._settle((), (), request)

    def _flush_if_enough(self, running: Running | None) -> None:
        hold = self._audience.hold
        if running is None or hold is None or hold.reason != "gathering" or hold.asked_at:
            return
        if holds.gathered_enough(running, hold, self._clock.now()):
            self._publish_resume()

    def _publish_resume(self) -> None:
        self._budget.require()
        publish_resume(self._backend, self._audience, self._clock.now())

    # the hold

    def _resume(self) -> None:
        """Takes what waits, in order, until nothing does, trouble comes or the time is over."""
        while (hold := self._audience.hold) is not None:
            # The connector may have been switched or changed since the turn began: a long hold takes many steps.
            state = self._fresh_state()
            running, why = holds.running_or_why(self._means.catalog, state, self._audience.use)
            blocking = holds.must_hold(state, running, self._audience, self._clock.now(), why=why)
            if not holds.is_due(hold, self._clock.now()):
                return
            if blocking is not None or running is None:
                self._settle((), (), blocking)
                return
            if not self._step(running, state):
                return

    def _step(self, running: Running, state: ConnectorState) -> bool:
        """Delivers the first batches that wait. Whether the turn goes on."""
        items = _items_of_a_step(running.connector.limits.batch.max_items)
        taken = self._backend.audiences.waiting(self._turn, max_items=items, max_bytes=_RESUME_BYTES)
        if not taken:
            self._settle((), (), None)
            return False
        if (replay := taken[0].message.replay) is not None:
            return self._expand(taken[0], replay, max_items=items)
        taken = list(takewhile(lambda batch: batch.message.replay is None, taken))
        began_at = self._clock.now()
        messages = [batch.message for batch in taken]
        delivery, caller = self._deliver(messages, running, state)
        self._budget.require()
        self._record(self._report(messages, running, delivery, caller, began_at), delivery)
        rest = [
            batch if message is batch.message else replace(batch, message=message)
            for batch, message in zip(taken, delivery.rest, strict=True)
            if message is not None
        ]
        self._settle(taken, rest, delivery.hold, progress=delivery.progress)
        if self._audience.hold is not None and delivery.proof is not None:
            # For the steps that follow; a turn that ends with something left writes it down.
            self._audience = replace(self._audience, hold=replace(self._audience.hold, proof=delivery.proof))
        self._resume_if_due()
        return delivery.hold is None

    def _settle(
        self, taken: Sequence[Waiting], rest: Sequence[Waiting], request: HoldRequest | None, *, progress: bool = False
    ) -> None:
        self._budget.require()
        self._audience = self._backend.audiences.settle(
            self._turn, taken=taken, rest=rest, request=request, progress=progress
        )

    def _fresh_state(self) -> ConnectorState:
        try:
            return self._backend.connectors.state(self._turn.connector)
        except NotFound:
            return self._turn.state

    def _resume_if_due(self) -> None:
        """What is left only because the time was over, or because a bad user is being looked for, goes on at once."""
        hold = self._audience.hold
        if hold is not None and not hold.asked_at and hold.due_at is not None and hold.due_at <= self._clock.now():
            self._publish_resume()

    # both

    def _deliver(
        self, messages: Sequence[Message], running: Running, state: ConnectorState
    ) -> tuple[Delivery, Caller | None]:
        """Delivers in one of the connector's slots; where none gets free soon, everything is left for the hold."""
        self._recording = None
        slots, connector = self._means.slots, running.connector
        if slots is None:
            return self._call(messages, running, state)
        with slots.slot(connector.name, connector.limits.rate.concurrency, within_s=LONGEST_WAIT_IN_TURN_S) as free:
            if free:
                return self._call(messages, running, state)
        due_at = self._clock.now() + LONGEST_WAIT_IN_TURN_S
        crowded = Postponed(TURNS_TAKEN, due_at=due_at, crowded=True, own_pace=True)
        return self._nothing_delivered(messages, crowded), None

    def _call(
        self, messages: Sequence[Message], running: Running, state: ConnectorState
    ) -> tuple[Delivery, Caller | None]:
        """Ensures the audience, then delivers. Trouble with the audience leaves everything for the hold."""
        if self._is_unknown(messages, running):
            return self._unknown(messages), None
        try:
            adapter = self._means.partners.open(running.connector, running.login)
            recording = self._recording = Recording(running.connector, adapter, self._names(messages))
            with exchanges.kept_by(recording):
                audience = self._ensure(messages, running)
        except (PartnerError, Postponed) as error:
            self._may_still_be_made = isinstance(error, TryAgain) and error.applied_unknown
            return self._nothing_delivered(messages, error), None
        except ConfigurationError as error:
            # A secret that can be read no more, since the connector was last looked at.
            return self._nothing_delivered(messages, Misconfigured(str(error))), None
        self._audience = replace(self._audience, partner_id=audience.partner_id, name=audience.name)
        clock, chance = self._clock, self._means.chance
        caller = Caller(
            adapter, running, self._backend.connectors, self._budget, self._fence, clock, chance, recording
        )
        self._callers.append(caller)
        target = Target(audience.id, audience.name or audience.id, audience.partner_id or "", audience.reference)
        with exchanges.kept_by(recording):
            delivery = deliver(
                messages,
                running,
                state.actions,
                target,
                caller,
                standing=self._audience.hold,
                final=bool(self._message.answer_by),
                clock=clock,
                chance=chance,
            )
        if delivery.hold is not None and delivery.hold.reason == "credentials_refused":
            self._means.partners.forget(running.connector)
        return delivery, caller

    def _names(self, messages: Sequence[Message]) -> set[str]:
        """By what the audience is known, here and at the partner."""
        known = self._audience
        announced = {message.name for message in messages if message.kind == "created"}
        return {name for name in (known.id, known.name, known.partner_id, known.reference, *announced) if name}

    def _is_unknown(self, messages: Sequence[Message], running: Running) -> bool:
        """Whether this audience was never announced to a connector that must not create audiences by itself."""
        inbound = running.connector.inbound
        announced = self._audience.partner_id or self._audience.name or any(one.kind == "created" for one in messages)
        return inbound.audience_id == "own" and inbound.unknown_audience == "reject" and not announced

    def _unknown(self, messages: Sequence[Message]) -> Delivery:
        hint = "This audience was never announced, and the connector does not create audiences by itself."
        results = tuple(
            (pending, pending.result("", "rejected", "unknown_audience", hint)) for pending in Pendings(messages)
        )
        return Delivery(results, (None,) * len(messages), None, "unknown_audience", progress=False)

    def _ensure(self, messages: Sequence[Message], running: Running) -> Audience:
        announced = next((message for message in messages if message.kind == "created"), None)
        if running.connector.inbound.audience_id == "partner":
            if self._audience.partner_id is None or self._audience.answers_to:
                raise AudienceNotReady("No audience with this ID was created through this connector.")
            return self._audience
        if self._audience.partner_id is not None and self._audience.status == "ready":
            return self._audience
        return self._means.creation.ensure(
            running,
            self._turn.audience_id,
            name=announced.name if announced else None,
            customer=announced.customer if announced else None,
            budget=self._budget,
        )

    def _nothing_delivered(self, messages: Sequence[Message], error: PartnerError | Postponed) -> Delivery:
        results = tuple((pending, pending.result("", "retry")) for pending in Pendings(messages))
        hold = holds.after_error(error, self._audience.hold, self._clock, self._means.chance)
        problem = error.code if isinstance(error, PartnerError) else "postponed"
        # A message that carries no mutation (`created`) still has its work before it.
        return Delivery(results, tuple(messages), hold, problem, progress=False)

    def _record(self, report: Report | None, delivery: Delivery) -> None:
        self._store(report, rejections_of(delivery.undelivered, self._clock.now()))
        if report is not None:
            log_attempt(report)

    def _store(self, report: Report | None, rejections: Sequence[Rejection]) -> None:
        if report is not None:
            kept = self._recording.exchanges if self._recording else None
            self._backend.reports.attempt(report, rejections, kept)

    def _report(
        self,
        messages: Sequence[Message],
        running: Running,
        delivery: Delivery,
        caller: Caller | None,
        began_at: float,
        *,
        held: bool = True,
    ) -> Report | None:
        """Of the attempt that this was; None if no call was made and nothing settled. held: what is left is in the hold."""
        kept = self._recording.exchanges if self._recording else None
        if not kept and delivery.problem == "postponed" and all(result.outcome == "retry" for _, result in delivery.results):
            return None
        return make_report(
            attempt_id=uuid.uuid4().hex,
            connector_version=running.connector.document_version,
            messages=messages,
            results=delivery.undelivered,
            counts=delivery.counts,
            calls=caller.reports if caller else (),
            began_at=began_at,
            ended_at=self._clock.now(),
            problem=delivery.problem,
            hint=delivery.hold.detail if delivery.hold else "",
            held=delivery.hold.reason if delivery.hold and held else "",
            due_at=delivery.hold.due_at if delivery.hold and held else None,
        )


def _items_of_a_step(largest_call: int) -> int:
    """Enough for several of the largest calls, of which only the last is not full, as long as they fit into memory easily; and
    enough for one in any case."""
    return max(_RESUME_ITEMS, largest_call, min(4 * largest_call, _RESUME_MOST_ITEMS))
