"""Where Pub/Sub pushes to: a small HTTP server whose calls wait until the test handles them, one at a time."""

from __future__ import annotations

import queue
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

PATIENCE_S = 200.0
"""Until a push has come, or was handled: emulator and machine may be busy. Shorter than the acknowledgement deadline."""

_AGAIN = 503


class Push:
    """A call of Pub/Sub's. `answer` ends it."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.status: Future[int] = Future()

    def answer(self, status: int) -> None:
        self.status.set_result(status)


class Pushes:
    """Takes pushes at `url` while it is open."""

    def __init__(self) -> None:
        waiting: queue.Queue[Push] = queue.Queue()
        self._waiting = waiting

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                push = Push(self.rfile.read(int(self.headers["Content-Length"])))
                waiting.put(push)
                try:
                    status = push.status.result(PATIENCE_S)
                except TimeoutError:
                    status = _AGAIN
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Nothing."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def next(self) -> Push:
        """The push that has waited longest."""
        return self._waiting.get(timeout=PATIENCE_S)

    def close(self) -> None:
        """What still waits is refused."""
        self._server.shutdown()
        self._thread.join()
        while not self._waiting.empty():
            self._waiting.get().answer(_AGAIN)
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
