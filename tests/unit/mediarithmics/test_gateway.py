"""The gateway as it can be: slow, down, too talkative; and what it is asked with."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import msgspec
import pytest

from handlers.mediarithmics import gateway as module
from handlers.mediarithmics.gateway import GatewayClient
from handlers.mediarithmics.settings import Gateway as GatewaySettings
from handlers.mediarithmics.trouble import Trouble
from relay.domain.clock import SystemClock
from tests.unit.mediarithmics.gateway import FEED, TECHNICAL, TOKEN, WORKER_ID, Gateway
from tests.unit.mediarithmics.platform import IDS, POINT, Platform


def _client(url: str, *, token: str = TOKEN) -> GatewayClient:
    return GatewayClient(GatewaySettings(url, WORKER_ID, token), SystemClock())


def test_no_proxy_and_no_password_file_of_the_machine_has_a_say(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert _client(gateway.url).feed("1000").version_id == "66"


def test_one_that_nobody_runs_is_worth_another_try() -> None:
    with pytest.raises(Trouble, match=r"could not be asked for the feed 1000 \(it could not be reached\)") as caught:
        _client("http://127.0.0.1:9").feed("1000")
    assert caught.value.passes
    assert caught.value.__cause__ is None
    assert TOKEN not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


def test_one_that_is_slow_is_not_waited_for(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.2)
    gateway.delay_s = 1.0
    began = time.monotonic()
    with pytest.raises(Trouble, match="did not answer in time") as caught:
        _client(gateway.url).feed("1000")
    assert caught.value.passes
    assert time.monotonic() - began < 0.9


class Dripping:
    """A gateway that writes its answer byte by byte: the head's, too, or only the body's."""

    def __init__(self, *, head: bool) -> None:
        body = msgspec.json.encode({"data": {"id": "1000"}, "padding": "x" * 100})
        lines = [b"HTTP/1.1 200 OK", *(b"X-%d: 1" % number for number in range(20)), b"Content-Length: %d" % len(body), b"", b""]
        written = b"\r\n".join(lines)
        self._at_once, self._slowly = (b"", written + body) if head else (written, body)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._ended = threading.Event()
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=(self._server.accept()[0],), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(self._at_once)
            for byte in self._slowly:
                if self._ended.wait(0.05):
                    return
                connection.sendall(bytes([byte]))


@pytest.fixture
def dripping(request: pytest.FixtureRequest) -> Iterator[Dripping]:
    made = Dripping(head=request.param == "head")
    yield made
    made.close()


@pytest.mark.parametrize("dripping", ["body"], indirect=True)
def test_an_answer_that_comes_byte_by_byte_is_not_awaited_to_its_end(
    dripping: Dripping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WHOLE_S", 0.5)
    began = time.monotonic()
    with pytest.raises(Trouble, match="its answer takes too long") as caught:
        _client(dripping.url).feed("1000")
    assert caught.value.passes
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("dripping", ["body", "head"], indirect=True)
def test_nobody_waits_longer_than_he_may_whatever_the_gateway_does(platform: Platform, dripping: Dripping) -> None:
    platform.serve(settings={"gateway": GatewaySettings(dripping.url, WORKER_ID, TOKEN)}, gateway_s=0.5)
    requests = {
        "user_segment_update": {**IDS, "user_identifiers": [POINT]},
        "authentication_status_queries": {"user_id": "9", "plugin_version_id": "66"},
        "dynamic_property_values_queries": {"user_id": "9"},
        "test_authentication": {"feed_destination_id": "55"},
    }
    for route, body in requests.items():
        began = time.monotonic()
        response = platform.post(route, body)
        assert "has not answered within 0.5 seconds" in response.json()["message"]
        assert response.status_code == (429 if route == "user_segment_update" else 500)
        assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("encoding", ["chunked", "gzip"])
def test_an_answer_is_read_in_whatever_form_it_comes(encoding: str) -> None:
    body = msgspec.json.encode({"data": {"id": "1000", "version_id": "66"}, "padding": "x" * 200_000})
    if encoding == "gzip":
        body = gzip.compress(body)
        answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    else:
        parts = [body[at : at + 7000] for at in range(0, len(body), 7000)]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        assert _client(f"http://127.0.0.1:{server.getsockname()[1]}").feed("1000").version_id == "66"


def test_a_slow_one_makes_an_update_come_again(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.2)
    platform.gateway.delay_s = 0.6
    assert platform.update(POINT).status_code == 429
    assert platform.post("external_segment_creation", IDS).json()["status"] == "retry"


def test_an_answer_without_end_is_not_read_to_it(gateway: Gateway) -> None:
    gateway.answers[FEED] = b"[" + b" " * (module.MAX_ANSWER + 1)
    with pytest.raises(Trouble, match="larger than") as caught:
        _client(gateway.url).feed("1000")
    assert not caught.value.public


def test_wrong_credentials_are_for_an_operator_and_are_not_repeated(gateway: Gateway) -> None:
    with pytest.raises(Trouble, match="PLUGIN_AUTHENTICATION_TOKEN") as caught:
        _client(gateway.url, token="another-token").feed("1000")
    assert not caught.value.public
    assert "another-token" not in str(caught.value)


def test_without_credentials_nobody_is_asked(platform: Platform) -> None:
    platform.serve(settings={"gateway": GatewaySettings(platform.gateway.url)})
    assert platform.call("GET", "/v1/status").status_code == 503
    response = platform.post("external_segment_creation", IDS)
    assert (response.status_code, response.json()["visibility"]) == (500, "PRIVATE")
    assert platform.gateway.asked == []


def test_one_connection_serves_many_questions_also_those_without_an_answer(gateway: Gateway) -> None:
    client = _client(gateway.url)
    for _ in range(5):
        assert client.technical_configuration() == {}
        assert client.credentials("55") is None
        client.feed("1000")
    assert gateway.count(TECHNICAL) == 5
    assert len(gateway.connections) == 1
