"""Publishes of one ordering key: one call at a time, and what comes meanwhile travels together in the next one.

A call costs this process, and Pub/Sub, about the same whether it carries one message or ten. Concurrent requests for one audience
are what a busy source sends; and calls of one key that overtook each other would have no order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from relay.backends.google.pubsub_wire import MOST_BYTES, Body, PublishCall, calls_of
from relay.domain.audience import REMEMBERED_TURNS
from relay.domain.clock import Clock
from relay.domain.errors import StoreUnavailable

MOST_TOGETHER = REMEMBERED_TURNS
"""Messages of several requests in one call: all that is published by one call has one publish time, and so one position."""

_WORTH_TRYING_S = 0.02
"""With less time than this left, nothing is sent again."""


class _Part:
    """What one request publishes of the key. `deadline`: by the monotonic clock. `alone`: it was refused together with others."""

    __slots__ = ("alone", "bodies", "deadline", "future", "size")

    def __init__(self, bodies: Sequence[Body], size: int, deadline: float) -> None:
        self.bodies = bodies
        self.size = size
        self.deadline = deadline
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
        if sending is not None and all(part.future.done() for part in self._under_way):
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
            messages += len(part.bodies)
            size += part.size
            if parts and (part.alone or parts[0].alone or messages > MOST_TOGETHER or size > MOST_BYTES):
                break
            parts.append(self._waiting.popleft())
        return parts

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
        """What was refused together may be the fault, or the deadline, of one of them: the others are tried again, each alone."""
        now = self._clock.monotonic()
        again = [part for part in parts if part.deadline - now > _WORTH_TRYING_S] if len(parts) > 1 else []
        self._fail([part for part in parts if part not in again], error)
        for part in reversed(again):
            part.alone = True
            self._waiting.appendleft(part)

    def _fail(self, parts: Sequence[_Part], error: Exception) -> None:
        for part in parts:
            if part.future.done():
                continue
            # Each has its own: who raises an exception writes into it.
            own = StoreUnavailable(str(error)) if isinstance(error, StoreUnavailable) else error
            own.__cause__ = error.__cause__
            part.future.set_exception(own)
