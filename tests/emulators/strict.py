"""The server before an emulator that refuses what Google refuses, counts what Google bills, and can be down.

It passes calls on byte by byte. It runs in a process of its own (`tests.emulators.proxy` starts it): in the process of the tests
its threads would compete with theirs, and each call would cost a millisecond of CPU time more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from tests.emulators.counts import Tally
from tests.emulators.refusal import Refusal, Rules

_SERVER_STREAMS = frozenset({"BatchGetDocuments", "RunQuery", "RunAggregationQuery", "ExecutePipeline"})
_STREAMS = frozenset({"Listen", "Write", "StreamingPull"})
_OF_EACH_HOP = ("grpc-", "user-agent")
"""Metadata that belongs to a connection and not to a call."""

_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # Without this option two servers could share a port, each answering some of the calls.
    ("grpc.so_reuseport", 0),
]


class StrictServer:
    """Listens on one port of 127.0.0.1, the same for as long as it lives; 0 until it listened first."""

    def __init__(self, target: str, rules: Rules) -> None:
        """target: host:port of the emulator. Made within the event loop that it is used in."""
        self.port = 0
        self._passing = _Passing(grpc.aio.insecure_channel(target, options=_OPTIONS), rules)
        self._server: grpc.aio.Server | None = None

    @property
    def tally(self) -> Tally:
        return self._passing.tally

    def delay(self, seconds: float) -> None:
        """Every call waits so long before it is passed on."""
        self._passing.delay_s = seconds

    async def up(self) -> None:
        """Listens, if it does not. Raises `RuntimeError` if its port is taken."""
        if self._server is None:
            server = grpc.aio.server(options=_OPTIONS)
            server.add_generic_rpc_handlers((self._passing,))
            self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
            await server.start()
            self._server = server

    async def down(self) -> None:
        """Closes the port and breaks what is connected to it."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(None)


class _Passing(grpc.GenericRpcHandler):
    """What becomes of each call. delay_s: what it waits before it is passed on."""

    def __init__(self, channel: grpc.aio.Channel, rules: Rules) -> None:
        self.tally = Tally()
        self.delay_s = 0.0
        self._channel = channel
        self._rules = rules
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        method = handler_call_details.method
        if method not in self._handlers:
            self._handlers[method] = self._handler(method, method.rpartition("/")[2])
        return self._handlers[method]

    def _handler(self, method: str, name: str) -> grpc.RpcMethodHandler[bytes, bytes]:
        if name in _STREAMS:
            return grpc.stream_stream_rpc_method_handler(self._streaming(method))
        if name in _SERVER_STREAMS:
            return grpc.unary_stream_rpc_method_handler(self._answering_by_parts(method, name))
        return grpc.unary_unary_rpc_method_handler(self._answering(method, name))

    def _answering(self, method: str, name: str) -> Any:
        call: Any = self._channel.unary_unary(method)

        async def handle(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            async with self._called(method, context):
                cost = self._rules.check(name, request)
                answer: bytes = await call(request, metadata=_metadata(context), timeout=context.time_remaining())
                self.tally.bill(cost([answer]))
            return answer

        return handle

    def _answering_by_parts(self, method: str, name: str) -> Any:
        call: Any = self._channel.unary_stream(method)

        async def handle(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
            async with self._called(method, context):
                cost = self._rules.check(name, request)
                parts: list[bytes] = []
                async for part in call(request, metadata=_metadata(context), timeout=context.time_remaining()):
                    parts.append(part)
                    yield part
                self.tally.bill(cost(parts))

        return handle

    def _streaming(self, method: str) -> Any:
        """Neither checked nor billed: nothing of ours uses these calls."""
        call: Any = self._channel.stream_stream(method)

        async def handle(
            requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
        ) -> AsyncIterator[bytes]:
            async with self._called(method, context):
                async for part in call(requests, metadata=_metadata(context), timeout=context.time_remaining()):
                    yield part

        return handle

    @contextlib.asynccontextmanager
    async def _called(self, method: str, context: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[None]:
        """Counts the call, delays it, and passes on how it fails."""
        self.tally.called(method)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        try:
            yield
        except Refusal as refusal:
            await context.abort(refusal.code, refusal.details)
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "", tuple(error.trailing_metadata() or ()))


def _metadata(context: grpc.aio.ServicerContext[bytes, bytes]) -> Sequence[tuple[str, str | bytes]]:
    return [(key, value) for key, value in context.invocation_metadata() or () if not key.startswith(_OF_EACH_HOP)]
