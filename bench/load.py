"""The load: one request again and again over connections that stay open, from a process of its own.

It does as little as possible for each answer, so that on a machine with few processors the server gets what it needs.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque

import msgspec


class Load(msgspec.Struct, frozen=True):
    """What to send to a port of this machine.

    requests     as they travel, sent in turns
    connections  each has one request under way at most
    seconds      for how long; 0: until `number` requests were answered
    rate         requests a second, whatever becomes of the ones before (an open loop); 0: each connection sends the next one when
                 the last was answered (a closed loop)
    """

    port: int
    requests: tuple[bytes, ...]
    connections: int
    seconds: float = 0.0
    number: int = 0
    rate: float = 0.0


class Answers(msgspec.Struct, frozen=True):
    """What came back.

    statuses  how often each
    seconds   from the first request to the last answer
    waits_ms  for each answer, from the moment the request was due (open loop) or sent (closed loop)
    """

    statuses: dict[int, int]
    seconds: float
    waits_ms: list[float]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return sum(self.statuses.values()) / self.seconds

    def require_success(self, server: str) -> None:
        """Raises `AssertionError` unless every answer was 200: what was refused was not done, and must not be counted."""
        assert set(self.statuses) == {200}, f"{server} answered {self.statuses}"


def send(load: Load) -> Answers:
    """Returns when every request that was sent is answered."""
    return asyncio.run(_Sender(load).run())


class _Sender:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
        self._begun = 0
        self._statuses: Counter[int] = Counter()
        self._waits_ms: list[float] = []
        self._idle: deque[_Connection] = deque()
        self._due: deque[float] = deque()
        self._under_way = 0
        self._until = float("inf")
        self._done = asyncio.Event()
        self._broken = False

    async def run(self) -> Answers:
        load, self._loop = self._load, asyncio.get_running_loop()
        connections = [
            (await self._loop.create_connection(lambda: _Connection(self), "127.0.0.1", load.port))[1]
            for _ in range(load.connections)
        ]
        began = time.perf_counter()
        if load.seconds:
            self._until = began + load.seconds
        if load.rate:
            self._idle.extend(connections)
            await self._offer(began)
            if self._under_way or self._due:
                self._done.clear()
                await self._done.wait()  # for what is still under way
        else:
            for connection in connections:
                self._next(connection)
            await self._done.wait()
        seconds = time.perf_counter() - began
        if self._broken:
            raise ConnectionError("The server hung up on a request.")
        for connection in connections:
            connection.transport.close()
        return Answers(dict(self._statuses), seconds, self._waits_ms)

    async def _offer(self, began: float) -> None:
        number = 0
        while True:
            due = began + number / self._load.rate
            if due > self._until or (self._load.number and number >= self._load.number):
                return
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            number += 1
            self._due.append(due)
            if self._idle:
                self._next(self._idle.popleft())

    def _next(self, connection: _Connection) -> None:
        now = time.perf_counter()
        if self._load.rate:
            if not self._due:
                self._idle.append(connection)
                return self._ended_perhaps()
            connection.began = self._due.popleft()
        elif now >= self._until or (self._load.number and self._begun >= self._load.number):
            return self._ended_perhaps()
        else:
            connection.began = now
        self._under_way += 1
        self._begun += 1
        connection.transport.write(self._load.requests[self._begun % len(self._load.requests)])
        return None

    def answered(self, connection: _Connection, status: int, began: float) -> None:
        self._under_way -= 1
        self._statuses[status] += 1
        self._waits_ms.append((time.perf_counter() - began) * 1000)
        self._next(connection)

    def broken(self) -> None:
        self._broken = True
        self._done.set()

    def _ended_perhaps(self) -> None:
        if not self._under_way:
            self._done.set()


class _Connection(asyncio.Protocol):
    """Reads an answer's status line and as many bytes as it announces."""

    transport: asyncio.Transport

    def __init__(self, sender: _Sender) -> None:
        self._sender = sender
        self._read = b""
        self.began = 0.0
        """When the request under way was due; 0 where there is none."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, ended, content = self._read.partition(b"\r\n\r\n")
        if not ended:
            return
        _, _, announced = head.lower().partition(b"content-length:")
        if len(content) >= int(announced.partition(b"\r\n")[0]):
            self._read = b""
            began, self.began = self.began, 0.0
            self._sender.answered(self, int(head[9:12]), began)

    def connection_lost(self, _why: Exception | None) -> None:
        if self.began:
            self._sender.broken()
