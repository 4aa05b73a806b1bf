"""Publishes of one ordering key: one call at a time, and what comes meanwhile travels together in the next one.

A call costs this process, and Pub/Sub, about the same whether it carries one message or ten. Concurrent requests for one audience
are what a busy source sends; and calls of one key that overtook each other would have no order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from relay.backends.google.pubsub_wire import MOST_BYTES, Body, PublishCall, calls_of, is_passing
from relay.domain.audience import REMEMBERED_TURNS
from relay.domain.clock import Clock
from relay.domain.errors import StoreUnavailable

MOST_TOGETHER = REMEMBERED_TURNS
"""Messages of several requests in one call: all that is published by one call has one publish time, and so one position."""

_WORTH_TRYING_S = 0.02
"""With less time than this left, nothing is sent."""

_NO_TIME_LEFT = "Pub/Sub did not confirm in time what came before."


class _Part:
    """What one request publishes of the key.

    deadline  by the monotonic clock
    again     it was refused together with others, and is tried a second time
    alone     then for a reason that can be one of theirs
    """

    __slots__ = ("again", "alone", "bodies", "deadline", "future", "size")

    def __init__(self, bodies: Sequence[Body], size: int, deadline: float) -> None:
        self.bodies = bodies
        self.size = size
        self.deadline = deadline
        self.again = False
        self.alone = False
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Line:
    """Of one key, on one event loop.

    publish: one call with its repetitions, until a deadline; raises `StoreUnavailable`. ended: called when all has been sent.
    """

    def __init__(
        self,
        topic: str,
        ordering_key: str,
        publish: Callable[[PublishCall, float], Awaitable[None]],
        clock: Clock,
        ended: Callable[[Line], None],
    ) -> None:
        self.ordering_key = ordering_key
        self._topic = topic
        self._publish = publish
        self._clock = clock
        self._ended = ended
        self._waiting: deque[_Part] = deque()
        self._under_way: Sequence[_Part] = ()
        self._sending: asyncio.Task[None] | None = None

    async def publish(self, bodies: Sequence[Body], deadline: float) -> None:
        """Returns when all of them are confirmed. Raises `StoreUnavailable`; then nothing of them is sent any more."""
        part = _Part(bodies, sum(body.size(self.ordering_key) for body in bodies), deadline)
        self._waiting.append(part)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        try:
            await part.future
        except asyncio.CancelledError:
            await self._let_go()
            raise

    async def _let_go(self) -> None:
        """A call for which nobody waits any more has left the connection when this returns."""
        sending = self._sending
        if sending is not None and self._under_way and all(part.future.done() for part in self._under_way):
            sending.cancel()
            await asyncio.wait({sending})

    async def _send_all(self) -> None:
        try:
            while parts := self._next():
                self._under_way = parts
                await self._send(parts)
        finally:
            self._under_way, self._sending = (), None
            if any(not part.future.done() for part in self._waiting):
                self._sending = asyncio.create_task(self._send_all())  # only the one call was let go
            else:
                self._ended(self)

    def _next(self) -> list[_Part]:
        """Those that travel together: as many as one call takes. What is to be alone, or needs several calls, comes alone."""
        parts: list[_Part] = []
        messages = size = 0
        while self._waiting:
            part = self._waiting[0]
            if part.future.done():  # its caller has given up
                self._waiting.popleft()
                continue
            if not self._has_time(part):
                self._fail([self._waiting.popleft()], StoreUnavailable(_NO_TIME_LEFT))
                continue
            messages += len(part.bodies)
            size += part.size
            if parts and (messages > MOST_TOGETHER or size > MOST_BYTES or not _may_follow(parts[-1], part)):
                break
            parts.append(self._waiting.popleft())
        return parts

    def _has_time(self, part: _Part) -> bool:
        return part.deadline - self._clock.monotonic() > _WORTH_TRYING_S

    async def _send(self, parts: list[_Part]) -> None:
        deadline = min(part.deadline for part in parts)
        try:
            for call in calls_of(self._topic, self.ordering_key, [body for part in parts for body in part.bodies]):
                await self._publish(call, deadline)
        except StoreUnavailable as error:
            self._refused(parts, error)
        except Exception as error:
            self._fail(parts, error)
        else:
            for part in parts:
                if not part.future.done():
                    part.future.set_result(None)

    def _refused(self, parts: list[_Part], error: StoreUnavailable) -> None:
        """What was refused together may be the fault, or the deadline, of one of them: the others are tried once more, together
        where it was a trouble that passes, else each alone."""
        again = [part for part in parts if self._has_time(part) and not part.again] if len(parts) > 1 else []
        self._fail([part for part in parts if part not in again], error)
        for part in reversed(again):
            part.again = True
            part.alone = not is_passing(error)
            self._waiting.appendleft(part)

    def _fail(self, parts: Sequence[_Part], error: Exception) -> None:
        for part in parts:
            if not part.future.done():
                part.future.set_exception(_own(error) if isinstance(error, StoreUnavailable) else error)


def _own(error: StoreUnavailable) -> StoreUnavailable:
    """For one of several: who raises an exception writes into it."""
    own = StoreUnavailable(str(error))
    own.__cause__ = error.__cause__
    return own


def _may_follow(part: _Part, following: _Part) -> bool:
    """Whether they may be in one call. All that it publishes has one publish time; the journal then goes by the time at which a
    request came in, which is not always the order in which requests were read to their end."""
    return not (part.alone or following.alone) and following.bodies[0].received_at > part.bodies[-1].received_at
