"""How messages come to whoever handles them: asked for (embedded), or pushed over HTTP (google), as the back end does it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

from relay.backends.interfaces import Backend, Leased, PullQueue, PushQueue
from relay.configuration import read
from relay.local_run.push_subscription import subscribe
from tests.emulators import end_pushing

WITHIN_S = 20.0
"""In which a message that waits is handed out at the latest."""

_QUIET_S = 1.0
"""In which a queue that pushes would have pushed."""


class Deliveries(Protocol):
    """Messages as they are handed out, each kept until it is acknowledged or given back.

    may_repeat: one that was published once may be there twice.
    """

    may_repeat: bool

    def next(self) -> Leased:
        """The next message; fails if none comes."""
        ...

    def maybe(self) -> Leased | None:
        """The next message, or None if none comes."""
        ...

    def none(self) -> bool:
        """Whether none comes."""
        ...

    def acknowledge(self, leased: Leased) -> bool: ...

    def give_back(self, leased: Leased) -> None: ...


class Pulled:
    """From a `PullQueue`."""

    may_repeat = False

    def __init__(self, backend: Backend) -> None:
        assert isinstance(backend.queue, PullQueue)
        self._queue = backend.queue

    def next(self) -> Leased:
        give_up_at = time.monotonic() + WITHIN_S
        while (leased := self._queue.take()) is None:
            assert time.monotonic() < give_up_at, "no message is handed out"
        return leased

    def maybe(self) -> Leased | None:
        return self._queue.take()

    def none(self) -> bool:
        return self.maybe() is None

    def acknowledge(self, leased: Leased) -> bool:
        return self._queue.acknowledge(leased)

    def give_back(self, leased: Leased) -> None:
        self._queue.give_back(leased, delay_s=0)


class _Call:
    """A push that is not answered yet."""

    def __init__(self, leased: Leased) -> None:
        self.leased = leased
        self.handled = threading.Event()


class Pushed(AbstractContextManager["Pushed"]):
    """From a `PushQueue`: an HTTP server to which Pub/Sub pushes, through an ordered subscription of its own. Each call is
    answered when its message was handled, as the function `deliver` does."""

    may_repeat = True

    def __init__(self, backend: Backend, place: dict[str, str]) -> None:
        assert isinstance(backend.queue, PushQueue)
        self._queue = backend.queue
        self._place = place
        self._inbox: queue.Queue[_Call] = queue.Queue()
        self._calls: dict[str, _Call] = {}
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._answer))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        subscribe(read(place), endpoint=f"http://127.0.0.1:{self._server.server_port}/")

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        end_pushing(self._place)
        for call in self._calls.values():
            call.handled.set()
        self._server.shutdown()
        self._server.server_close()

    def next(self) -> Leased:
        return self._received(WITHIN_S)

    def maybe(self) -> Leased | None:
        try:
            return self._received(_QUIET_S)
        except queue.Empty:
            return None

    def none(self) -> bool:
        return self.maybe() is None

    def acknowledge(self, leased: Leased) -> bool:
        acknowledged = self._queue.acknowledge(leased)
        if call := self._calls.pop(leased.lease, None):
            call.handled.set()
        return acknowledged

    def give_back(self, leased: Leased) -> None:
        self._queue.give_back(leased, delay_s=0)
        self._calls.pop(leased.lease).handled.set()

    def _received(self, within_s: float) -> Leased:
        call = self._inbox.get(timeout=within_s)
        self._calls[call.leased.lease] = call
        return call.leased

    def _answer(self, body: bytes) -> int:
        if self._ended.is_set():
            return 503
        call = _Call(self._queue.receive(body))
        self._inbox.put(call)
        call.handled.wait()
        return 204 if self._queue.settled(call.leased) else 503


def _handler(answer: Callable[[bytes], int]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.send_response(answer(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler
