"""A call that fails leaves nothing that only the garbage collector would free: what was sent can be large, and a partner that is
down is called again and again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from adapters import network
from adapters.answers import AnswerTable
from adapters.client import RequestsClient
from adapters.contract import Credentials, HttpRequest
from adapters.network import AddressInfo
from relay.domain.clock import SystemClock
from relay.domain.connector import Timeouts
from relay.domain.errors import PartnerError
from tests.unit.adapters.leftovers import left_each_time

_SERVER_ERROR = b"HTTP/1.1 503 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@contextmanager
def _partner(answer: bytes | None) -> Iterator[str]:
    """Answers every call with this and hangs up; None: nobody listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        if answer is not None:
            server.listen()
            threading.Thread(target=_serve, args=(server, answer), daemon=True).start()
        yield url


def _serve(server: socket.socket, answer: bytes) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return  # the test has ended
        with closing(connection):
            connection.recv(65_536)
            connection.sendall(answer)


def _look_up(host: str, port: int) -> list[AddressInfo]:
    if host == "nowhere.invalid":
        raise socket.gaierror(socket.EAI_NONAME, "not known")
    return list(network.look_up(host, port)) * 2


@pytest.mark.parametrize(
    ("host", "answer", "code"),
    [
        ("127.0.0.1", None, "connection_refused"),
        ("nowhere.invalid", b"", "unknown_host"),
        ("127.0.0.1", b"", "connection_broken"),
        ("127.0.0.1", b"hello\r\n\r\n", "not_http"),
        ("127.0.0.1", _SERVER_ERROR, "partner_trouble"),
    ],
    ids=["nobody listens", "its name is not known", "it hangs up", "what it answers is not HTTP", "it answers 503"],
)
def test_a_call_that_fails_is_forgotten_at_once(host: str, answer: bytes | None, code: str) -> None:
    clock = SystemClock()
    client = RequestsClient(Timeouts(connect_s=10, answer_s=10, batch_answer_s=10), clock, resolver=_look_up)
    codes: list[str] = []

    def call(url: str) -> None:
        try:
            found = client.send(HttpRequest("POST", url, body={"a": 1}), auth=Credentials())
            AnswerTable().read(found, clock=clock)
        except PartnerError as error:
            codes.append(error.code)

    with _partner(answer) as address:
        url = address.replace("127.0.0.1", host)
        assert left_each_time(lambda: call(url)) == 0
    assert codes == [code] * 4
