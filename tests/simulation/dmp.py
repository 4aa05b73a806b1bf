"""The DMP: sends requests through a receiver, and remembers what it was told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from handlers.batches import change_messages
from relay.domain.errors import RelayError, StoreUnavailable
from relay.domain.message import VERSION, Message, Mutation
from tests.simulation.invariants import InHand
from tests.simulation.processes import Process
from tests.simulation.world import CONNECTOR, World

Wanted = tuple[str, str, str]
"""Audience, user, `joined` or `left`."""


CREATION_S = 2.5
"""So long the source waits for a creation."""


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
