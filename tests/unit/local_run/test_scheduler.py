"""What stands for Cloud Scheduler in a local run."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from relay.local_run.scheduler import Scheduler


class Function:
    """A function that answers as told, and notes what it was called for."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.status = 200
        function = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                function.calls[self.path] += 1
                self.send_response(function.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def function() -> Iterator[Function]:
    function = Function()
    yield function
    function.close()


def eventually(holds: Callable[[], object]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("never came true")


def test_it_calls_at_once_and_again_and_old_records_on_their_own_path(function: Function) -> None:
    scheduler = Scheduler(function.url, lambda _: None, every_s=0.01, tidy_every_s=3600)
    scheduler.start()

    eventually(lambda: function.calls["/"] >= 3)
    scheduler.stop()

    eventually(lambda: function.calls["/tidy"] == 1)


def test_trouble_is_told_once_until_it_has_passed(function: Function) -> None:
    complaints: list[str] = []
    scheduler = Scheduler(function.url, complaints.append, every_s=0.01, tidy_every_s=3600)
    function.status = 503
    scheduler.start()
    eventually(lambda: function.calls["/"] >= 3 and len(complaints) >= 2)
    urls = (function.url, f"{function.url}tidy")
    assert sorted(complaints) == [f"{url} answered 503; what it met is in its log." for url in urls]

    function.status, before = 200, function.calls["/"]
    eventually(lambda: function.calls["/"] >= before + 2)
    function.status, before = 500, function.calls["/"]
    eventually(lambda: function.calls["/"] >= before + 2)
    scheduler.stop()

    assert complaints[2:] == [f"{function.url} answered 500; what it met is in its log."]


def test_a_function_that_is_gone_is_told_without_ending_anything(function: Function) -> None:
    complaints: list[str] = []
    function.close()
    scheduler = Scheduler(function.url, complaints.append, every_s=0.01, tidy_every_s=3600)
    scheduler.start()

    eventually(lambda: any("could not be called (ConnectionError); holds wait until it can." in one for one in complaints))
    scheduler.stop()
