"""A relay with so many audiences and so many batches in its queue: what one request and one message cost there.

The receiver and Pangolin are processes. The worker runs in threads of this one, since so its CPU time is told exactly.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path

import msgspec

from bench.load import Load
from bench.requests_to_receive import change
from bench.servers import Loaded, Loader, ours
from relay.backends.embedded import EmbeddedBackend, audience_rows
from relay.backends.embedded.messages import append, rows_of
from relay.domain import audience as policy
from relay.domain.audience import Audience
from relay.domain.clock import SystemClock
from relay.domain.message import Message, Mutation
from relay.pangolin.storage import Storage
from tests.end_to_end.stack import Stack, eventually
from worker.turn import Worker

CONNECTIONS = 8
SECONDS = 1.0
"""Of load, in each round."""

DELIVERED = 400
"""Messages in each round."""

LANES = 8
"""Threads in which they are delivered: more than two processors can keep busy."""


class Delivered(msgspec.Struct, frozen=True):
    """What came of a round of the worker: messages a second, and microseconds of CPU for each."""

    rate: float
    cpu_us: float


class Place:
    """depth: batches of one user that are in the queue all the time, spread over the audiences. What a measurement adds goes
    again, so that every place has room in its file that is free, and none grows."""

    def __init__(self, directory: Path, *, audiences: int, depth: int) -> None:
        directory.mkdir()
        self._stack, self._audiences, self._depth, self._next = Stack(directory), audiences, depth, 0
        names = [_name(number) for number in range(audiences)]
        _make_known(self._stack.backend, self._stack.state / "pangolin.db", names)
        self._fill(depth)
        self._stack.start("pangolin", "receiver")

    def stop(self) -> None:
        """Ends the processes."""
        self._stack.stop()

    def receive(self, loader: Loader, of_a_request: int, seen: int) -> Loaded:
        """A load spread over all audiences, so many in a request. seen: so many requests come before it, so that each audience
        has batches."""
        receiver = ours(self._stack)
        newest = self._stack.backend.database.row("SELECT coalesce(max(id), 0) FROM messages")[0]
        requests = tuple(change(of_a_request, first=first) for first in range(0, self._audiences, of_a_request))
        loader.load(receiver, Load(receiver.port, requests, CONNECTIONS, number=seen))
        loaded = loader.load(receiver, Load(receiver.port, requests, CONNECTIONS, seconds=SECONDS))
        self._take_away(newest)
        return loaded

    def deliver(self) -> Delivered:
        """Turns in several threads take what is first in the queue, to which as much was added."""
        self._fill(DELIVERED)
        backend = self._stack.backend
        before = backend.queue.depth().messages
        with ThreadPoolExecutor(LANES) as pool, open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):  # the worker's log
            began, cpu = time.monotonic(), time.process_time()
            list(pool.map(partial(_turns, backend, Worker(backend, SystemClock())), [DELIVERED // LANES] * LANES))
            seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        assert before - backend.queue.depth().messages == DELIVERED
        assert not backend.audiences.held()
        return Delivered(DELIVERED / seconds, cpu * 1e6 / DELIVERED)

    def _fill(self, number: int) -> None:
        """So many further batches are queued."""
        first, self._next = self._next, self._next + number
        for start in range(first, first + number, 10_000):
            rows = rows_of(_batch(one, self._audiences) for one in range(start, min(first + number, start + 10_000)))
            with self._stack.backend.database.transaction() as connection:
                append(connection, rows, now=time.time())

    def _take_away(self, newest: int) -> None:
        """What came after this message."""
        with self._stack.backend.database.transaction() as connection:
            connection.execute("DELETE FROM messages WHERE id > ?", (newest,))
            connection.execute("DELETE FROM keys WHERE head > ?", (newest,))
            connection.execute("UPDATE keys SET messages = (SELECT count(*) FROM messages WHERE messages.key = keys.key)")
        assert self._stack.backend.queue.depth().messages == self._depth


def empty(stack: Stack) -> None:
    """What was queued is of no use any more."""
    with stack.backend.database.transaction() as connection:
        connection.execute("DELETE FROM messages")
        connection.execute("DELETE FROM keys")


def _name(number: int) -> str:
    """As `change` names them."""
    return f"bench.{number:06d}"


def _batch(number: int, audiences: int) -> Message:
    """One user of one audience."""
    mutations = (Mutation(index=0, user={"id": f"5f1c0e6a-7d2b-4c1e-9a51-{number:012d}"}, customer=123),)
    return Message(1, "change", "pangolin", _name(number % audiences), f"{number:032x}", time.time(), mutations=mutations)


def _make_known(backend: EmbeddedBackend, pangolin: Path, names: list[str]) -> None:
    """The audiences exist here and there. Pangolin does not run yet."""
    now = time.time()
    storage = Storage(pangolin)
    try:
        with storage.transaction(), backend.database.transaction() as connection:
            for name in names:
                there, _ = storage.add_audience(name, f"pangolin/{name}", at=now)
                audience = Audience(policy.VERSION, "pangolin", name, name, "ready", there.id, created_at=now)
                audience_rows.save(connection, audience)
                audience_rows.occupy(connection, audience, there.id)
    finally:
        storage.close()


def _turns(backend: EmbeddedBackend, worker: Worker, number: int) -> None:
    """Taken, delivered to Pangolin, acknowledged, one after the other."""
    for _ in range(number):
        leased = eventually(backend.queue.take, every_s=0.005)
        worker.handle(leased)
