"""The receiver's end of the queue: messages are safe in Pub/Sub, confirmed by it, or the caller knows that they may not be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc

from relay.backends.google.lines import Line
from relay.backends.google.pubsub_messages import PublishResponse
from relay.backends.google.pubsub_wire import (
    PASSING,
    PUBLISH,
    SERVICE,
    Body,
    Destination,
    PublishCall,
    code_of,
    refused,
    require_confirmed,
)
from relay.configuration import Configuration
from relay.domain.clock import Clock
from relay.domain.errors import StoreUnavailable
from relay.domain.message import Message
from relay.wide_log import log

if TYPE_CHECKING:
    from relay.backends.google.channels import Channels

DEADLINE_S = 0.7
"""For all messages of one publish: the DMP expects its answer within a second."""

_PAUSE_S = 0.02
"""Before the second try."""

_CALM_S = 5.0
"""Trouble that is younger has not ended with the next publish that succeeds."""

LANES = 32
"""Keys of one publish that are under way at once. More would only wait within the connection, in front of other requests."""


class GooglePublisher:
    """`interfaces.Publisher` on Pub/Sub: calls of one ordering key one after the other (see `Line`), different keys at once.
    Nothing is kept that could be sent later: what failed is the caller's to send again, and blocks nothing.

    One connection for each event loop, made by the first publish there.
    """

    def __init__(self, channels: Channels, configuration: Configuration, clock: Clock, *, deadline_s: float = DEADLINE_S) -> None:
        """deadline_s: for all messages of one publish; a first try gets half of it."""
        self._channels = channels
        self._deadline_s = deadline_s
        self._destination = Destination(configuration)
        self._clock = clock
        self._guard = threading.Lock()
        self._connections: dict[asyncio.AbstractEventLoop, _Connection] = {}
        self._closed = False
        self._trouble: grpc.StatusCode | None = None
        self._trouble_since = 0.0

    async def publish(self, messages: Sequence[Message]) -> None:
        keys = self._destination.bodies(messages)
        deadline = self._clock.monotonic() + self._deadline_s
        if not self._channels.prepared:
            await self._prepare()
        connection = self._connection()
        if not keys:
            return
        with connection.in_use():
            await self._publish_keys(connection, keys, deadline)

    async def close(self) -> None:
        """Finishes what is under way on every event loop, then closes the connections."""
        with self._guard:
            self._closed = True
            connections, self._connections = self._connections, {}
        own = asyncio.get_running_loop()
        for loop, connection in connections.items():
            if loop is own:
                await connection.close()
            elif loop.is_running():
                elsewhere = asyncio.run_coroutine_threadsafe(connection.close(), loop)
                # Not for ever: a loop that ends just now carries nothing out any more.
                await asyncio.wait({asyncio.wrap_future(elsewhere)}, timeout=2 * self._deadline_s)

    async def _prepare(self) -> None:
        """Aside, since other requests are under way on this event loop."""
        try:
            await asyncio.wait_for(asyncio.to_thread(self._channels.prepare), self._deadline_s)
        except TimeoutError:
            raise StoreUnavailable("Google Cloud did not say in time who this process is.") from None

    def _connection(self) -> _Connection:
        loop = asyncio.get_running_loop()
        with self._guard:
            if self._closed:
                raise StoreUnavailable("This process is shutting down and takes no more changes.")
            connection = self._connections.get(loop)
            if connection is None:
                self._connections = {each: known for each, known in self._connections.items() if not each.is_closed()}
                connection = _Connection(self._channels.pubsub_async(), self._destination, self._publish_call, self._clock)
                self._connections[loop] = connection
            return connection

    async def _publish_keys(self, connection: _Connection, keys: Mapping[str, Sequence[Body]], deadline: float) -> None:
        waiting = iter(keys.items())

        async def lane() -> None:
            for ordering_key, bodies in waiting:
                await connection.line(ordering_key).publish(bodies, deadline)

        if len(keys) == 1:
            await lane()
            return
        lanes = [asyncio.ensure_future(lane()) for _ in range(min(LANES, len(keys)))]
        try:
            await asyncio.gather(*lanes)
        finally:
            for one in lanes:
                one.cancel()
            await asyncio.wait(lanes)  # what is cancelled has left the connection when the caller hears of it

    async def _publish_call(self, connection: _Connection, call: PublishCall, deadline: float) -> None:
        """Returns when Pub/Sub has confirmed the whole call. A first try that failed by chance is repeated once: where Pub/Sub
        had taken it after all, the same messages are there twice in their order, which changes nothing at the partner."""
        try:
            response = await self._tried(connection, call, deadline)
        except grpc.RpcError as error:
            trouble = refused(error)
            self._note(code_of(error), str(trouble))
            raise trouble from error
        require_confirmed(call, response)
        self._note(None)

    async def _tried(self, connection: _Connection, call: PublishCall, deadline: float) -> Any:
        try:
            return await connection.publish(call, min(self._deadline_s / 2, self._left(deadline)), wait_until_connected=False)
        except grpc.RpcError as error:
            if code_of(error) not in PASSING or self._left(deadline) <= _PAUSE_S:
                raise
            first = error
        await asyncio.sleep(_PAUSE_S)
        try:
            return await connection.publish(call, self._left(deadline), wait_until_connected=True)
        except grpc.RpcError as error:
            # One that waited in vain for a connection does not know why there was none.
            raise first if code_of(error) is grpc.StatusCode.DEADLINE_EXCEEDED else error from None

    def _left(self, deadline: float) -> float:
        return max(0.0, deadline - self._clock.monotonic())

    def _note(self, code: grpc.StatusCode | None, hint: str = "") -> None:
        """A line where trouble begins or becomes another, and one where it ends. The requests have lines of their own."""
        if code is self._trouble:
            return
        now = self._clock.monotonic()
        if code is None and now - self._trouble_since < _CALM_S:
            return  # one key of many may be in trouble: both would alternate
        self._trouble, self._trouble_since = code, now
        if code is None:
            log("queue_reachable_again", service=SERVICE)
        else:
            log("queue_unreachable", "ERROR", service=SERVICE, code=code.name, hint=hint)


class _Connection:
    """The channel of one event loop, which closes when nothing is under way on it."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        destination: Destination,
        send: Callable[[_Connection, PublishCall, float], Awaitable[None]],
        clock: Clock,
    ) -> None:
        """send: publishes one call on this connection, with its repetitions, until a deadline."""
        self._channel = channel
        self._topic = destination.topic
        self._send = partial(send, self)
        self._clock = clock
        self._lines: dict[str, Line] = {}
        """Those on which something is under way."""
        self._metadata = destination.metadata
        self._publish: Callable[..., Awaitable[Any]] = channel.unary_unary(
            PUBLISH, response_deserializer=PublishResponse.FromString
        )
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    def line(self, ordering_key: str) -> Line:
        """Where everything of this key goes."""
        line = self._lines.get(ordering_key)
        if line is None:
            line = self._lines[ordering_key] = Line(self._topic, ordering_key, self._send, self._clock, self._ended)
        return line

    def _ended(self, line: Line) -> None:
        del self._lines[line.ordering_key]

    async def publish(self, call: PublishCall, within_s: float, *, wait_until_connected: bool) -> Any:
        """One try. Cancelled by its deadline, and by whoever cancels this."""
        return await self._publish(call.request, timeout=within_s, metadata=self._metadata, wait_for_ready=wait_until_connected)

    async def close(self) -> None:
        await self._idle.wait()
        await self._channel.close()
