"""The DMP: sends requests through a receiver, and remembers what it was told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from handlers.batches import change_messages
from relay.domain.errors import RelayError, StoreUnavailable
from relay.domain.message import NEWEST, VERSION, Message, Mutation
from relay.domain.reply import Reply
from tests.simulation.invariants import InHand
from tests.simulation.processes import Process
from tests.simulation.world import CONNECTOR, World

Wanted = tuple[str, str, str]
"""Audience, user, `joined` or `left`."""


FEED_WAITS_S = 20.0
"""So long a feed's request waits for what becomes of it."""

TRIED_AGAIN_S = 5.0
"""Where nobody says when."""

CREATION_S = 2.5
"""So long the source waits for a creation."""


class _Request:
    """A feed's request on its way through the receiver, which may end before it."""

    def __init__(self, dmp: Dmp, request_id: str, messages: list[Message]) -> None:
        self._dmp, self._request_id, self._messages = dmp, request_id, messages
        self.again_after_s: float | None = TRIED_AGAIN_S
        self.is_over = False

    def run(self) -> None:
        try:
            self.again_after_s = self._dmp.asked_once(self._request_id, self._messages)
        finally:
            self.is_over = True
            self._dmp.stir()


class _Creation:
    """One under way, which may outlast its request."""

    def __init__(self, world: World, receiver: Process, audience: str) -> None:
        self._world, self._receiver, self._audience = world, receiver, audience
        self.is_done = False
        self.is_over = False

    def run(self) -> None:
        try:
            self._receiver.worker.creation.for_source(CONNECTOR, self._audience, name=self._audience, customer=None, mode="own")
            self.is_done = True
        except RelayError:
            pass  # the creator has recorded it
        self.is_over = True
        self._world.scheduler.stir()


def _with_rows(message: Message) -> Message:
    """As a batch brings them: made by the mappings of the setting."""
    actions = {"joined": "Add", "left": "Remove"}
    made = [replace(one, made={actions[one.direction]: {"id": one.user["id"].lower()}}) for one in message.mutations]
    return replace(message, mutations=tuple(made))


class Dmp:
    """Requests are numbered: `r1`, `r2`, …"""

    def __init__(self, world: World) -> None:
        self._world = world
        self._requests = 0
        self.under_way = 0

    def send(self, mutations: Sequence[Wanted], *, parts: int = 1, visits: bool = False) -> None:
        """One request, by a task of its own. parts: messages for each audience, as a large request has them. visits: each user
        comes with a field that differs between requests, so that none of a replay's mutations is known to overtake another."""
        self._requests += 1
        request_id = f"r{self._requests}"
        self.under_way += 1
        receiver = self._world.processes["receiver"]
        messages = self._messages(request_id, mutations, parts, {"visit": request_id} if visits else {})
        self._world.scheduler.spawn(request_id, receiver, lambda: self._publish(request_id, messages))

    def ask(self, wanted: Sequence[Wanted], *, parts: int = 1, made: bool = False) -> None:
        """A feed's request about users of one audience, which waits for what becomes of it: as long as something is not settled
        it sends all of it again, until others about all of these users come later in the queue. made: it brings rows, as a batch
        does."""
        self.under_way += 1
        self._world.asking += 1
        self._world.scheduler.spawn("a feed asks", self._world.cloud, lambda: self._ask(wanted, parts, made))

    def _ask(self, wanted: Sequence[Wanted], parts: int, made: bool) -> None:
        world = self._world
        while True:
            self._requests += 1
            request_id = f"r{self._requests}"
            messages = self._messages(request_id, wanted, parts, {})
            request = _Request(self, request_id, [_with_rows(one) for one in messages] if made else messages)
            receiver = world.processes["receiver"]
            world.scheduler.spawn(request_id, receiver, request.run)
            while receiver.alive and not request.is_over:
                world.scheduler.wait()
            if request.again_after_s is None:
                break
            world.scheduler.sleep(request.again_after_s)
            accepted = [key for index in range(len(wanted)) if (key := (request_id, index)) in world.ledger.mutations]
            if accepted and not any(world.ledger.is_last(key) for key in accepted):
                break
        self.under_way -= 1
        world.asking -= 1
        world.scheduler.stir()

    def asked_once(self, request_id: str, messages: list[Message]) -> float | None:
        """Seconds after which it is to be sent again; None where it is settled."""
        world = self._world
        receiver, now = world.processes["receiver"], world.machine.now
        audience = messages[0].audience
        try:
            receiver.relay.queue.publish([replace(one, version=NEWEST, answer_by=now() + FEED_WAITS_S) for one in messages])
        except StoreUnavailable:
            return TRIED_AGAIN_S
        give_up_at = world.scheduler.time + FEED_WAITS_S
        replies: dict[int, Reply] = {}
        while world.scheduler.time < give_up_at:
            for one in messages:
                if one.part not in replies and (reply := receiver.plain.replies.find(request_id, one.part)) is not None:
                    replies[one.part] = reply
            if len(replies) == len(messages):
                outcomes = [one.outcome for reply in replies.values() for one in reply.mutations]
                world.tell("feed", f"{request_id}: told {outcomes}", audience)
                due_at = max(reply.due_at for reply in replies.values())
                wait_s = max(0.1, due_at - now()) if due_at else TRIED_AGAIN_S
                return wait_s if "retry" in outcomes else None
            world.scheduler.wait(give_up_at - world.scheduler.time)
        return TRIED_AGAIN_S

    def stir(self) -> None:
        """Something has happened."""
        self._world.scheduler.stir()

    def create(self, audience: str) -> None:
        """CREATE_AUDIENCE: the receiver creates it at the partner; where that takes too long or fails, a message finishes it."""
        self._requests += 1
        request_id = f"r{self._requests}"
        self.under_way += 1
        receiver = self._world.processes["receiver"]
        creation = _Creation(self._world, receiver, audience)
        self._world.scheduler.spawn(f"{request_id} creates", receiver, creation.run).note = InHand(receiver, None)
        self._world.scheduler.spawn(request_id, receiver, lambda: self._announce(request_id, audience, creation))

    def _announce(self, request_id: str, audience: str, creation: _Creation) -> None:
        world = self._world
        give_up_at = world.scheduler.time + CREATION_S
        while not creation.is_over and world.scheduler.time < give_up_at:
            world.scheduler.wait(give_up_at - world.scheduler.time)
        if creation.is_done:
            world.tell("dmp", f"{request_id}: {audience} is created", audience)
            self.under_way -= 1
            return
        now = world.machine.now()
        announced = Message(VERSION, "created", CONNECTOR, audience, request_id, now, name=audience)
        self._publish(request_id, [announced])

    def _messages(self, request_id: str, mutations: Sequence[Wanted], parts: int, fields: dict[str, Any]) -> list[Message]:
        entries = [
            (audience, Mutation(index=index, direction=direction, user={"id": user}, fields=fields))  # type: ignore[arg-type]
            for index, (audience, user, direction) in enumerate(mutations)
        ]
        size = -(-len(entries) // parts)
        made: list[Message] = []
        for number, start in enumerate(range(0, len(entries), size)):
            messages = change_messages(
                entries[start : start + size],
                connector=CONNECTOR,
                request_id=request_id,
                received_at=self._world.machine.now(),
                fields={},
            )
            days = self._world.setting.journal_days
            made += [replace(message, part=number, journal_days=days) for message in messages]
        return made

    def _publish(self, request_id: str, messages: list[Message]) -> None:
        world = self._world
        try:
            world.processes["receiver"].relay.queue.publish(messages)
        except StoreUnavailable:
            world.tell("dmp", f"{request_id}: told 503")
        else:
            world.ledger.answer(messages)
            for audience in dict.fromkeys(message.audience for message in messages):
                world.tell("dmp", f"{request_id}: told 200", audience)
                world.invariants.nothing_lost(audience)
        finally:
            self.under_way -= 1
