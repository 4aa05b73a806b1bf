"""The head of a request as bytes, and what is not sent at all."""

from __future__ import annotations

import pytest

from adapters.client import RequestsClient
from adapters.contract import Credentials, HttpRequest
from adapters.outgoing import Place, head
from relay.domain.clock import SystemClock
from relay.domain.connector import Timeouts
from relay.domain.errors import Misconfigured
from tests.contract.adapters.scripted import ScriptedServer, Visit

PLACE = ("https", "partner.example", 443)


def test_a_head_is_the_call_the_host_and_the_headers_as_they_are_given() -> None:
    assert head("POST", "/a?b=c", PLACE, {"X-Own": "caf\u00e9:\t1", "X-Empty": ""}) == (
        b"POST /a?b=c HTTP/1.1\r\nHost: partner.example\r\nAccept-Encoding: identity\r\nX-Own: caf\xe9:\t1\r\nX-Empty: \r\n\r\n"
    )


def test_headers_of_the_call_come_before_those_that_are_added() -> None:
    given = {"host": "other.example", "accept-encoding": "gzip"}
    assert head("GET", "/", PLACE, given) == b"GET / HTTP/1.1\r\nhost: other.example\r\naccept-encoding: gzip\r\n\r\n"


@pytest.mark.parametrize(
    ("place", "host"),
    [
        (("https", "partner.example", 443), b"partner.example"),
        (("http", "partner.example", 80), b"partner.example"),
        (("https", "partner.example", 80), b"partner.example:80"),
        (("http", "partner.example", 443), b"partner.example:443"),
        (("https", "partner.example.", 443), b"partner.example"),
        (("http", "127.0.0.1", 8082), b"127.0.0.1:8082"),
        (("http", "[::1]", 80), b"[::1]"),
        (("http", "::1", 8082), b"[::1]:8082"),
        (("http", "[fe80::1%eth0]", 80), b"[fe80::1]"),
    ],
)
def test_the_host_is_told_with_its_port_unless_that_is_the_usual_one(place: Place, host: bytes) -> None:
    assert head("GET", "/", place, {}).split(b"\r\n")[1] == b"Host: " + host


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Own", "1\r\nX-Other: 2"),
        ("X-Own", "1\nX-Other: 2"),
        ("X-Own", "1\rX-Other: 2"),
        ("X-Own", "1\r\n 2"),
        ("X-Own", "1\n"),
        ("X-Own", " 1"),
        ("X-Own", "\t1"),
        ("X-Own", "\x011"),
        ("X-Own", "1\x00"),
        ("X-Own", "1\x1b2"),
        ("X-Own", "1\x7f"),
        ("X-Own", "€"),
        ("X-Own: 1\r\nX-Other", "2"),
        ("X-Own: 1", "2"),
        ("X-Own\n", "1"),
        ("X-Own ", "1"),
        (" X-Own", "1"),
        ("X-\u00d6wn", "1"),
        ("", "1"),
    ],
)
@pytest.mark.parametrize("of_the_credentials", [False, True])
def test_a_header_that_could_be_another_one_is_not_sent(name: str, value: str, of_the_credentials: bool) -> None:
    headers = {name: value}
    request = HttpRequest("POST", "URL", headers={} if of_the_credentials else headers, body={})
    _not_sent(request, Credentials(headers if of_the_credentials else {}))


@pytest.mark.parametrize("method", ["", "GET /other", "GET\r\nX-Own:", "G\u00c4T"])
def test_so_is_a_method_that_is_more_than_a_word(method: str) -> None:
    _not_sent(HttpRequest(method, "URL"), Credentials())


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX-Own: 1", "/a\n", "/\u00e4", ""])
def test_so_is_a_path_that_ends_too_early(target: str) -> None:
    with pytest.raises(ValueError, match="cannot be sent") as caught:
        head("GET", target, PLACE, {})
    assert not target.strip("/") or target not in str(caught.value)


def _not_sent(request: HttpRequest, auth: Credentials) -> None:
    def script(visit: Visit) -> None:
        visit.read()

    client = RequestsClient(Timeouts(), SystemClock())
    with ScriptedServer(script) as server, pytest.raises(Misconfigured) as caught:
        client.send(HttpRequest(request.method, server.url, headers=request.headers, body=request.body), auth=auth)
    assert (caught.value.code, server.visits) == ("unusable_request", 0)
