"""The queue: the receiver's end, the worker's end, and what passes between them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

import msgspec

from relay.backends.interfaces.audiences import Turn
from relay.domain.message import Message


class Following(msgspec.Struct, frozen=True):
    """A message that comes right behind another one of its key."""

    message_id: str
    position: int
    body: bytes


class Leased(msgspec.Struct, frozen=True):
    """A message taken from the queue, and the right to acknowledge it until `lease_until` (seconds since the epoch).

    position: its place in the order of its key. deliveries: how often it was handed out, this time included. following: those
    behind it, in order and without a gap, that may have their turn together with it.
    """

    message_id: str
    key: str
    position: int
    body: bytes
    deliveries: int
    lease: str
    lease_until: float
    following: tuple[Following, ...] = ()

    @property
    def connector(self) -> str:
        """The first part of its key."""
        return self.key.partition("/")[0]


class Publisher(Protocol):
    """The receiver's end of the queue."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns when all of them are safe; those of one key keep their order. Raises `StoreUnavailable`; then a part of
        them may have been queued."""
        ...

    async def close(self) -> None:
        """Finishes what is under way."""
        ...


class Queue(Protocol):
    """The worker's end: ordering keys, one message of a key at a time, leases, redelivery. How messages come to the worker is the
    matter of `PullQueue` and `PushQueue`."""

    def publish(self, messages: Sequence[Message]) -> None:
        """As `Publisher.publish`, synchronous."""
        ...

    def acknowledge(self, leased: Leased) -> bool:
        """Removes it. False if the lease had been lost: then nothing happened."""
        ...

    def give_back(self, leased: Leased, *, delay_s: float) -> None:
        """It is handed out again after the delay, or a longer one of the queue's own; its key waits for it."""
        ...

    def depth(self) -> QueueDepth | None:
        """How much waits; None where the queue cannot tell."""
        ...


@runtime_checkable
class PullQueue(Queue, Protocol):
    """A queue that workers ask for messages (embedded)."""

    def take(self, *, busy: Collection[str] = (), most: int = 1) -> Leased | None:
        """The longest-waiting message whose key has none leased, not of the connectors in `busy`; None if there is none.

        most: so many messages of its key at most, those that follow it included. One that was handed out before comes alone, and
        so does each that followed it then: if one of them ends its worker, it has to be found out which.
        """
        ...

    def written_at(self) -> float | None:
        """When something was last written, seconds since the epoch: messages perhaps, that can be taken then or a little later.
        Costs little, so that whoever waits for messages may ask often. None where that is not known."""
        ...

    def finish(self, turn: Turn, leased: Leased, following: int) -> AbstractContextManager[None]:
        """At the end of the block the message and so many of those that follow it are removed, and the audience's record says
        that they have had this turn: in one transaction with whatever this thread writes to the back end in the block.

        Raises `TurnLost`, and nothing of that has happened, if the lease was lost or another turn has begun.
        """
        ...


@runtime_checkable
class PushQueue(Queue, Protocol):
    """A queue that calls the worker with each message, and learns from the answer what became of it (google)."""

    def receive(self, body: bytes) -> Leased:
        """The message that a call brings. Raises `BadPush` for a body that is none."""
        ...

    def settled(self, leased: Leased) -> bool:
        """Whether it was acknowledged, once it was handled: then the call is answered with success, else with a failure, and the
        message comes again. Asked once."""
        ...


class QueueDepth(msgspec.Struct, frozen=True):
    """Messages in the queue, the leased ones among them, and the age in seconds of the oldest (0 if empty). full: there is no
    room for more, so publishers refuse it. takeable: some could be taken now."""

    messages: int
    leased: int
    oldest_s: float
    full: bool = False
    takeable: bool = False
