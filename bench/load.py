"""The load: one request again and again over connections that stay open, from a process of its own.

It does as little as possible for each answer, so that on a machine with few processors the server gets what it needs.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from contextlib import suppress

import msgspec

PATIENCE_S = 60.0
"""Without any answer, while some are due."""


class Load(msgspec.Struct, frozen=True):
    """What to send to a port of this machine.

    requests     as they travel, sent in turns
    connections  each has one request under way at most
    seconds      for how long requests are sent; 0: until there were `number` of them
    rate         requests a second, whatever becomes of the ones before (an open loop); 0: each connection sends the next one when
                 the last was answered (a closed loop)
    """

    port: int
    requests: tuple[bytes, ...]
    connections: int
    seconds: float = 0.0
    number: int = 0
    rate: float = 0.0

    def __post_init__(self) -> None:
        if not self.seconds and not self.number:
            raise ValueError("A load ends after so many seconds, or after a number of requests.")


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
    """Returns when every request that was sent is answered. Raises `ConnectionError` where the server hangs up or is not there,
    and `TimeoutError` where it answers nothing any more."""
    return asyncio.run(_Sender(load).run())


class _Sender:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._begun = 0
        self._statuses: Counter[int] = Counter()
        self._waits_ms: list[float] = []
        self._idle: deque[_Connection] = deque()
        self._due: deque[float] = deque()
        self._under_way = 0
        self._until = float("inf")
        self._all_sent = not load.rate
        self._ended = asyncio.Event()
        self._last_answer = 0.0
        self.broken = False

    async def run(self) -> Answers:
        loop, load = asyncio.get_running_loop(), self._load
        connections: list[_Connection] = []
        try:
            while len(connections) < load.connections:
                _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", load.port)
                connections.append(connection)
            began = self._last_answer = time.perf_counter()
            if load.seconds:
                self._until = began + load.seconds
            if load.rate:
                self._idle.extend(connections)
                await self._offer(began)
            else:
                for connection in connections:
                    self._next(connection)
            await self._answers()
        finally:
            self._ended.set()
            for connection in connections:
                connection.transport.abort()
        return Answers(dict(self._statuses), self._last_answer - began, self._waits_ms)

    async def _offer(self, began: float) -> None:
        """Each request when it is due, for as long as the server is there."""
        number = 0
        while (due := began + number / self._load.rate) < self._until and not (self._load.number and number >= self._load.number):
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            if self.broken:
                break
            number += 1
            self._due.append(due)
            if self._idle:
                self._next(self._idle.popleft())
        self._all_sent = True
        self._ended_perhaps()

    async def _answers(self) -> None:
        """To everything that is still under way."""
        while not self._ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), PATIENCE_S)
            if not self._ended.is_set() and time.perf_counter() - self._last_answer > PATIENCE_S:
                raise TimeoutError(f"The server has answered nothing for {PATIENCE_S:g} seconds.")
        if self.broken:
            raise ConnectionError("The server hung up.")

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
        connection.transport.write(self._load.requests[self._begun % len(self._load.requests)])
        self._begun += 1
        return None

    def answered(self, connection: _Connection, status: int, began: float) -> None:
        self._under_way -= 1
        self._statuses[status] += 1
        self._last_answer = time.perf_counter()
        self._waits_ms.append((self._last_answer - began) * 1000)
        self._next(connection)

    def hung_up(self, connection: _Connection) -> None:
        """It is gone. What is under way on it, or would be sent over it next, is never answered."""
        if connection.began or not self._all_sent:
            self.broken = True
            self._ended.set()

    def _ended_perhaps(self) -> None:
        if self._all_sent and not self._under_way and not self._due:
            self._ended.set()


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
        self._sender.hung_up(self)
