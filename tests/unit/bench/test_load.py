"""The load, sent to a real HTTP server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bench import load as load_module
from bench.load import Load, send
from tests.end_to_end.stack import free_port


def request(path: str = "/") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody".encode()


class Handler(BaseHTTPRequestHandler):
    """`answer` is told the number of the request, and answers it."""

    protocol_version = "HTTP/1.1"
    answer: Callable[[Handler, int], None]
    paths: list[str]
    counting: threading.Lock

    def do_POST(self) -> None:
        assert self.rfile.read(int(self.headers["Content-Length"])) == b"body"
        with self.counting:
            number = len(self.paths)
            self.paths.append(self.path)
        type(self).answer(self, number)

    def fine(self, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def hang_up(self) -> None:
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


class Quiet(ThreadingHTTPServer):
    """A client that goes away is no trouble. As many may come at once as like to."""

    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        pass


@contextmanager
def server(answer: Callable[[Handler, int], None] = lambda handler, _: handler.fine()) -> Iterator[tuple[int, list[str]]]:
    """Its port, and the paths that were asked for, in order."""
    of_this_one: dict[str, Any] = {"answer": answer, "paths": [], "counting": threading.Lock()}
    handler = type("OfThisOne", (Handler,), of_this_one)
    with Quiet(("127.0.0.1", 0), handler) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield listening.server_address[1], of_this_one["paths"]
        finally:
            listening.shutdown()


@pytest.mark.parametrize(("number", "connections"), [(1, 1), (50, 7), (3, 8)])
def test_exactly_so_many_requests_are_sent_and_answered(number: int, connections: int) -> None:
    with server() as (port, paths):
        answers = send(Load(port, (request(),), connections, number=number))

        assert len(paths) == number
    assert answers.statuses == {200: number}
    assert len(answers.waits_ms) == number


@pytest.mark.parametrize("rate", [0.0, 500.0])
def test_requests_are_sent_in_turns(rate: float) -> None:
    with server() as (port, paths):
        send(Load(port, (request("/a"), request("/b"), request("/c")), 1, number=7, rate=rate))

    assert paths == ["/a", "/b", "/c", "/a", "/b", "/c", "/a"]


def test_a_closed_loop_keeps_every_connection_busy() -> None:
    together = threading.Barrier(8)

    def with_seven_others(handler: Handler, _: int) -> None:
        together.wait(timeout=10)
        handler.fine()

    with server(with_seven_others) as (port, _):
        answers = send(Load(port, (request(),), 8, number=40))

    assert answers.statuses == {200: 40}


def test_no_connection_has_two_requests_under_way() -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def counted(handler: Handler, _: int) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.01)
        with lock:
            under_way -= 1
        handler.fine()

    with server(counted) as (port, _):
        send(Load(port, (request(),), 4, number=40))

    assert most == 4


def test_a_closed_loop_ends_after_its_time_with_every_answer() -> None:
    with server() as (port, paths):
        answers = send(Load(port, (request(),), 4, seconds=0.3))

    assert sum(answers.statuses.values()) == len(paths) > 4
    assert answers.seconds >= 0.25


def test_in_a_closed_loop_waits_count_from_the_moment_of_sending() -> None:
    def after_a_while(handler: Handler, _: int) -> None:
        time.sleep(0.05)
        handler.fine()

    with server(after_a_while) as (port, _):
        answers = send(Load(port, (request(),), 1, number=8))

    assert min(answers.waits_ms) >= 50
    assert sum(answers.waits_ms) <= answers.seconds * 1000 + 1


def test_in_an_open_loop_waits_count_from_the_moment_a_request_was_due() -> None:
    def in_100_ms(handler: Handler, _: int) -> None:
        time.sleep(0.1)
        handler.fine()

    with server(in_100_ms) as (port, _):
        answers = send(Load(port, (request(),), 1, number=8, rate=50))

    # The n-th is due after n × 20 ms, and answered after (n + 1) × 100 ms at the earliest.
    assert all(wait >= 100 + 80 * number - 1 for number, wait in enumerate(answers.waits_ms))


def test_an_open_loop_sends_at_its_rate_whatever_becomes_of_the_answers() -> None:
    arrived: list[float] = []

    def slowly(handler: Handler, number: int) -> None:
        arrived.append(time.monotonic())
        time.sleep(1.0 if number < 4 else 0.0)
        handler.fine()

    with server(slowly) as (port, _):
        answers = send(Load(port, (request(),), 16, number=20, rate=50))

    assert answers.statuses == {200: 20}
    assert 19 / 50 - 0.01 <= max(arrived) - min(arrived) < 1.0


def test_an_open_loop_sends_what_is_due_within_its_time() -> None:
    with server() as (port, paths):
        answers = send(Load(port, (request(),), 4, seconds=0.3, rate=100))

    assert answers.statuses == {200: 30}
    assert len(paths) == 30


def test_an_answer_may_come_in_pieces() -> None:
    def in_pieces(handler: Handler, _: int) -> None:
        for piece in (b"HTTP/1.1 200 OK\r\nContent-", b"Length: 4\r\n\r", b"\n{", b"  }"):
            handler.wfile.write(piece)
            time.sleep(0.01)

    with server(in_pieces) as (port, paths):
        answers = send(Load(port, (request(),), 2, number=6))

    assert answers.statuses == {200: 6}
    assert len(paths) == 6


def test_answers_are_counted_by_status_and_a_refusal_is_no_success() -> None:
    with server(lambda handler, number: handler.fine(503 if number == 2 else 200)) as (port, _):
        answers = send(Load(port, (request(),), 1, number=5))

    assert answers.statuses == {200: 4, 503: 1}
    with pytest.raises(AssertionError, match="503"):
        answers.require_success("the server")


@pytest.mark.parametrize("rate", [0.0, 200.0])
@pytest.mark.parametrize("connections", [1, 8])
def test_a_server_that_hangs_up_on_a_request_ends_the_load_with_an_error(rate: float, connections: int) -> None:
    def once(handler: Handler, number: int) -> None:
        if number == 5:
            handler.hang_up()
        else:
            handler.fine()

    with server(once) as (port, _), pytest.raises(ConnectionError):
        send(Load(port, (request(),), connections, number=50, rate=rate))


def test_a_server_that_hangs_up_between_requests_ends_an_open_loop_with_an_error() -> None:
    def goodbye(handler: Handler, _: int) -> None:
        handler.fine()
        handler.hang_up()

    with server(goodbye) as (port, _), pytest.raises(ConnectionError):
        send(Load(port, (request(),), 2, number=20, rate=20))


def test_an_open_loop_ends_with_its_server_and_not_with_its_time() -> None:
    began = time.monotonic()
    with server(lambda handler, _: handler.hang_up()) as (port, _), pytest.raises(ConnectionError):
        send(Load(port, (request(),), 1, seconds=60, rate=20))
    assert time.monotonic() - began < 20


def test_a_server_may_hang_up_once_it_has_answered_the_last_request() -> None:
    def the_last(handler: Handler, number: int) -> None:
        handler.fine()
        if number == 9:
            handler.hang_up()

    with server(the_last) as (port, _):
        assert send(Load(port, (request(),), 1, number=10)).statuses == {200: 10}


def test_a_server_may_hang_up_on_a_connection_that_has_nothing_more_to_send() -> None:
    def one_soon_and_one_late(handler: Handler, number: int) -> None:
        if number:
            time.sleep(0.3)
        handler.fine()
        handler.hang_up()

    with server(one_soon_and_one_late) as (port, _):
        assert send(Load(port, (request(),), 2, number=2)).statuses == {200: 2}


def test_a_server_that_answers_nothing_ends_the_load_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "PATIENCE_S", 0.2)
    ended = threading.Event()

    def never(handler: Handler, _: int) -> None:
        ended.wait(10)
        handler.hang_up()

    with server(never) as (port, _):
        with pytest.raises(TimeoutError):
            send(Load(port, (request(),), 2, number=2))
        ended.set()


def test_an_answer_without_a_length_ends_the_load_with_an_error() -> None:
    def endless(handler: Handler, _: int) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")

    with server(endless) as (port, _), pytest.raises(ConnectionError):
        send(Load(port, (request(),), 1, number=2))


def test_where_nobody_listens_there_is_an_error() -> None:
    with pytest.raises(ConnectionError):
        send(Load(free_port(), (request(),), 1, number=1))


def test_a_load_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="ends"):
        Load(80, (request(),), 1, rate=5)
