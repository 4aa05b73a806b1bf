"""The receiver's end of the queue: publishes of concurrent requests are joined into one commit by a thread of their own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from queue import Empty, SimpleQueue

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
"""Where requests come at the same time, a commit waits so long for more of them: what it costs, it costs once. One that comes
alone does not wait (PostgreSQL's `commit_delay` and `commit_siblings` do the same)."""


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
        self._guard = threading.Lock()
        self._pending: SimpleQueue[_Request | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def publish(self, messages: Sequence[Message]) -> None:
        rows = rows_of(messages)
        if not rows:
            return
        request = _Request(rows, asyncio.get_running_loop())
        self._submit(request)
        await request.future

    async def close(self) -> None:
        with self._guard:
            self._closed = True
            thread, self._thread = self._thread, None
            self._pending.put(None)
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(None, thread.join)

    def before_fork(self) -> None:
        """Nothing to do."""

    def after_fork_in_child(self) -> None:
        """The thread is not here, and what is pending is the parent's."""
        self._reset()

    def _submit(self, request: _Request) -> None:
        with self._guard:
            if self._closed:
                raise StoreUnavailable("This process is shutting down and takes no more changes.")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, args=(self._pending,), name="publisher", daemon=True)
                self._thread.start()
            self._pending.put(request)

    def _run(self, pending: SimpleQueue[_Request | None]) -> None:
        several = False
        while (request := pending.get()) is not None:
            if several:
                time.sleep(GATHER_S)
            requests, last = _drain(request, pending)
            several = len(requests) > 1
            # What its caller has given up on was answered with an error, and must not be queued.
            requests = _awaited(requests)
            if requests:
                self._commit(requests)
            _answer(requests)
            if last:
                return

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


def _drain(first: _Request, pending: SimpleQueue[_Request | None]) -> tuple[list[_Request], bool]:
    """What waits, up to a commit's size, and whether the end was reached."""
    requests, size = [first], first.size
    while size < JOINED_BYTES:
        try:
            request = pending.get_nowait()
        except Empty:
            break
        if request is None:
            return requests, True
        requests.append(request)
        size += request.size
    return requests, False


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
