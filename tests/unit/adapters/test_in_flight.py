"""A process that ends cuts its calls short: what was sent may have been applied, what was not goes on elsewhere."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import pytest

from adapters import leash, network
from adapters.client import RequestsClient
from adapters.contract import Credentials, HttpRequest
from adapters.in_flight import Cuttable, InFlight, in_flight
from adapters.network import AddressInfo
from relay.domain.clock import SystemClock
from relay.domain.computing import computing
from relay.domain.connector import Timeouts
from relay.domain.errors import TryAgain


@contextmanager
def _listening(*, accepting: bool) -> Iterator[str]:
    """A server that never answers; one that does not accept has a full queue of connections, so that connecting waits."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=16 if accepting else 0))
        host, port = server.getsockname()
        while not accepting:
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect((host, port))
            except TimeoutError:
                break
        yield f"http://{host}:{port}/"


@pytest.mark.parametrize(
    ("accepting", "scheme"),
    [(True, "http"), (False, "http"), (True, "https")],
    ids=["waiting for the answer", "connecting", "agreeing on keys"],
)
def test_a_call_that_is_cut_short_ends_at_once(accepting: bool, scheme: str) -> None:
    client = RequestsClient(Timeouts(connect_s=20, answer_s=20, batch_answer_s=20), SystemClock())
    found: list[Exception] = []

    def call(url: str) -> None:
        try:
            client.send(HttpRequest("POST", url, body={"a": 1}), auth=Credentials())
        except Exception as error:
            found.append(error)

    with _listening(accepting=accepting) as url:
        thread = threading.Thread(target=call, args=(url.replace("http:", f"{scheme}:"),), daemon=True)
        thread.start()
        time.sleep(0.3)
        assert in_flight.cut_short() >= 1
        thread.join(timeout=10)
        assert not thread.is_alive()
    (error,) = found
    assert isinstance(error, TryAgain)
    if accepting and scheme == "http":
        assert (error.code, error.applied_unknown, error.account) == ("process_ended", True, False)
    else:
        assert isinstance(error, leash.OutOfTime), "nothing was sent: another process begins it anew"


def test_a_call_that_is_cut_short_while_a_name_is_looked_up_connects_to_nobody() -> None:
    def look_up(host: str, port: int) -> Sequence[AddressInfo]:
        assert in_flight.cut_short() == 1
        return network.look_up(host, port)

    client = RequestsClient(Timeouts(connect_s=20, answer_s=20, batch_answer_s=20), SystemClock(), resolver=look_up)
    began = time.monotonic()
    with _listening(accepting=False) as url, pytest.raises(leash.OutOfTime):
        client.send(HttpRequest("POST", url, body={"a": 1}), auth=Credentials())
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("accepting", "scheme", "size"),
    [(True, "http", 1), (False, "http", 1), (True, "https", 1), (True, "http", 30_000_000)],
    ids=["waiting for the answer", "connecting", "agreeing on keys", "sending"],
)
def test_while_a_call_waits_other_threads_compute(
    accepting: bool, scheme: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computing, "_patience_s", 60.0)
    client = RequestsClient(Timeouts(connect_s=20, answer_s=20, batch_answer_s=20), SystemClock())
    calls, ended = threading.Event(), threading.Event()

    def call(url: str) -> None:
        with computing.alone():
            calls.set()
            with suppress(TryAgain):
                client.send(HttpRequest("POST", url, raw=b" " * size), auth=Credentials())
        ended.set()

    with _listening(accepting=accepting) as url:
        thread = threading.Thread(target=call, args=(url.replace("http:", f"{scheme}:"),), daemon=True)
        thread.start()
        assert calls.wait(10)
        with computing.alone():
            assert not ended.is_set()
        while thread.is_alive():
            in_flight.cut_short()
            thread.join(timeout=0.1)


def test_nothing_is_under_way_afterwards() -> None:
    assert InFlight().cut_short() == 0
    client = RequestsClient(Timeouts(connect_s=1, answer_s=0.2, batch_answer_s=1), SystemClock())
    with _listening(accepting=True) as url, pytest.raises(TryAgain, match="did not answer"):
        client.send(HttpRequest("GET", url), auth=Credentials())
    assert in_flight.cut_short() == 0


@pytest.mark.parametrize("part", [b"", b'{"rejected": []}\n'], ids=["nothing yet", "what looks whole"])
def test_what_came_of_an_answer_that_was_cut_short_is_not_taken_for_all_of_it(part: bytes) -> None:
    """Its body ends with the connection: cut off, it looks whole."""
    client = RequestsClient(Timeouts(connect_s=20, answer_s=20, batch_answer_s=20), SystemClock())
    ended = threading.Event()

    def answer_slowly() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + part)
            time.sleep(0.5)
            in_flight.cut_short()
            ended.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        thread = threading.Thread(target=answer_slowly, daemon=True)
        thread.start()
        try:
            with pytest.raises(TryAgain) as raised:
                client.send(HttpRequest("POST", f"http://{host}:{port}/", body={"a": 1}), auth=Credentials())
        finally:
            ended.set()
            thread.join(timeout=10)
    assert (raised.value.code, raised.value.applied_unknown, raised.value.account) == ("process_ended", True, False)


def test_a_forked_child_does_not_cut_the_calls_of_its_parent() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        call = Cuttable()
        call.sock = ours
        with in_flight.holding(call):
            child = os.fork()
            if not child:
                os._exit(in_flight.cut_short())
            _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        theirs.sendall(b"still open")
        assert ours.recv(100) == b"still open"
