"""The receiver's end of the queue: publishes of concurrent requests are joined into one commit by a thread of their own."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Sequence

from relay.backends.embedded import forks
from relay.backends.embedded.database import Database
from relay.backends.embedded.failures import DiskFull
from relay.backends.embedded.messages import Row, append, rows_of
from relay.backends.embedded.room import Room
from relay.domain.clock import Clock
from relay.domain.errors import RelayError, StoreUnavailable
from relay.domain.message import Message

JOINED_BYTES = 16 * 1024 * 1024
"""A commit takes no further requests once it holds so much: the first of them should not wait for a long one."""

GATHER_S = 0.002
"""Where requests come at the same time, a commit waits so long for as many as were there when the last one ended: what it costs,
it costs once. One that comes alone does not wait (PostgreSQL's `commit_delay` and `commit_siblings` do the same)."""


class _Request:
    """One publish under way."""

    __slots__ = ("error", "future", "loop", "rows", "size")

    def __init__(self, rows: list[Row], loop: asyncio.AbstractEventLoop) -> None:
        self.rows = rows
        self.size = sum(len(row.body) for row in rows)
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()
        self.error: StoreUnavailable | None = None


class _GivenUp(Exception):
    """Nobody waits for the commit any more."""


class EmbeddedPublisher:
    """`interfaces.Publisher` on SQLite. The thread starts with the first publish, in each process anew."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._room = Room(database.path, clock)
        self._closed = False
        self._reset()
        forks.watch(self)

    def _reset(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        """Held to change what follows. The thread waits for it."""
        self._pending: deque[_Request] = deque()
        self._enough = 1
        """So many requests wake the thread: woken by the first, it would be in the way of the event loop, which reads others."""
        self._thread: threading.Thread | None = None

    async def publish(self, messages: Sequence[Message]) -> None:
        rows = rows_of(messages)
        del messages  # as their callers do: while they are stored, nobody needs more than the rows
        if not rows:
            return
        request = _Request(rows, asyncio.get_running_loop())
        self._submit(request)
        await request.future

    async def close(self) -> None:
        with self._changed:
            self._closed = True
            thread, self._thread = self._thread, None
            self._changed.notify()
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(None, thread.join)

    def before_fork(self) -> None:
        """Nothing to do."""

    def after_fork_in_child(self) -> None:
        """The thread is not here, and what is pending is the parent's."""
        self._reset()

    def _submit(self, request: _Request) -> None:
        with self._changed:
            if self._closed:
                raise StoreUnavailable("This process is shutting down and takes no more changes.")
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="publisher", daemon=True)
                thread.start()  # where none can be started this raises, and the next request tries again
                self._thread = thread
            self._pending.append(request)
            if len(self._pending) >= self._enough:
                self._changed.notify()

    def _run(self) -> None:
        expected = 1
        while requests := self._next(expected):
            together = len(requests)
            # What its caller has given up on was answered with an error, and must not be queued.
            requests = _awaited(requests)
            if requests:
                self._commit(requests)
            # Before they are answered, since they may be here again right afterwards.
            expected = len(self._pending) + together if together > 1 else 1
            _answer(requests)

    def _next(self, expected: int) -> list[_Request]:
        """What the next commit holds; nothing at the end. expected: so many requests it will hold if all come that may."""
        with self._changed:
            if expected > 1:
                self._enough = expected
                self._changed.wait_for(self._has_enough, GATHER_S)
            self._enough = 1
            self._changed.wait_for(self._has_enough)
            self._enough = sys.maxsize
            return _drained(self._pending)

    def _has_enough(self) -> bool:
        return self._closed or len(self._pending) >= self._enough

    def _commit(self, requests: list[_Request]) -> None:
        try:
            self._append(requests)
        except StoreUnavailable as error:
            # Apart, each one would meet the same locked or broken database, and wait for it anew. Only a disk that is nearly
            # full can have room for one request where it has none for all of them.
            if len(requests) > 1 and isinstance(error, DiskFull):
                for request in requests:
                    self._commit([request])
            else:
                for request in requests:
                    request.error = StoreUnavailable(str(error))
                    request.error.__cause__ = error

    def _append(self, requests: list[_Request]) -> None:
        try:
            with self._database.transaction() as connection:
                # The transaction may have waited for the database longer than some callers did.
                wanted = _awaited(requests)
                self._room.require(connection, sum(request.size for request in wanted))
                append(connection, [row for request in wanted for row in request.rows], now=self._clock.now())
                if not _awaited(wanted):
                    raise _GivenUp  # rolls back: so many that their one caller did not wait for the last of them
        except _GivenUp:
            pass
        except StoreUnavailable:
            raise
        except RelayError as error:
            raise StoreUnavailable(str(error)) from error
        except Exception as error:
            # The thread must outlive whatever happens, or every later request would wait for ever.
            raise StoreUnavailable("The changes could not be stored.") from error


def _awaited(requests: list[_Request]) -> list[_Request]:
    return [request for request in requests if not request.future.cancelled()]


def _drained(pending: deque[_Request]) -> list[_Request]:
    """The first of them, up to a commit's size. They are not pending any more."""
    requests: list[_Request] = []
    size = 0
    while pending and size < JOINED_BYTES:
        request = pending.popleft()
        requests.append(request)
        size += request.size
    return requests


def _answer(requests: list[_Request]) -> None:
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[_Request]] = defaultdict(list)
    for request in requests:
        by_loop[request.loop].append(request)
    for loop, of_loop in by_loop.items():
        if not loop.is_closed():
            try:
                loop.call_soon_threadsafe(_resolve, of_loop)
            except RuntimeError:
                continue  # closed in between: nobody waits there any more


def _resolve(requests: list[_Request]) -> None:
    for request in requests:
        if request.future.done():
            continue  # given up by its caller
        if request.error is None:
            request.future.set_result(None)
        else:
            request.future.set_exception(request.error)
