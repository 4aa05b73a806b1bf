"""Size, time and JSON of a request's body."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Iterator

import pytest
import requests
from starlette.requests import Request

from handlers.inbound import InboundView
from handlers.mapp.receiver import Receiver
from tests.clock import TurnedClock
from tests.unit.mapp.conftest import Lines
from tests.unit.mapp.edge import SECRET, Edge, connector, error_of, eventually, signature, user

LIMIT = 1_000


def head(*lines: str) -> bytes:
    return "\r\n".join(["POST /?type=VALIDATE HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


# --- size -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413)])
def test_a_body_may_be_as_large_as_the_limit(edge: Edge, size: int, status: int) -> None:
    edge.serve(connector(max_body_bytes=LIMIT))
    assert edge.post(b" " * size, type="VALIDATE").status_code == status


@pytest.mark.parametrize("announced", [LIMIT + 1, 10**15, 10**40])
def test_a_too_large_announced_body_is_refused_before_a_byte_of_it_is_there(edge: Edge, announced: int) -> None:
    edge.serve(connector(max_body_bytes=LIMIT))
    with socket.create_connection(("127.0.0.1", edge.port), timeout=20) as connection:
        connection.sendall(head(f"Content-Length: {announced}"))
        status = connection.recv(65536).split(b"\r\n")[0]
    # The server itself refuses a number that no counter holds.
    assert status.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))


def chunks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b" " * 100


@pytest.mark.parametrize(("count", "status"), [(10, 200), (11, 413)])
def test_a_chunked_body_is_counted_while_it_comes(edge: Edge, count: int, status: int) -> None:
    edge.serve(connector(max_body_bytes=LIMIT))
    headers = {"X-HMAC": signature(b" " * 100 * count)}
    answer = requests.post(f"{edge.url}/?type=VALIDATE", data=chunks(count), headers=headers, timeout=20)
    assert answer.status_code == status


def test_a_chunked_body_without_end_is_cut_off_at_the_limit(edge: Edge) -> None:
    edge.serve(connector(max_body_bytes=LIMIT))
    with socket.create_connection(("127.0.0.1", edge.port), timeout=20) as connection:
        connection.sendall(head("Transfer-Encoding: chunked"))
        connection.sendall(b"%x\r\n" % (LIMIT + 1) + b" " * (LIMIT + 1) + b"\r\n")
        answer = b""
        while part := connection.recv(65536):  # ends because the server closes the connection
            answer += part
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()
    assert b'{"error":' in answer


def test_the_default_limit_is_ten_mebibytes(edge: Edge) -> None:
    assert edge.post(b" " * 10 * 1024 * 1024, type="VALIDATE").status_code == 200
    assert edge.post(b" " * (10 * 1024 * 1024 + 1), type="VALIDATE").status_code == 413


# --- time -----------------------------------------------------------------------------------------------------------


def test_a_body_that_does_not_arrive_in_time_is_408_and_the_connection_ends(edge: Edge) -> None:
    edge.set_deadlines(body_s=0.05)
    answer = edge.raw(head("Content-Length: 100") + b"{")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in answer.lower()
    assert b'{"error":' in answer


def test_a_sender_that_goes_away_leaves_one_line_and_no_trace(edge: Edge, lines: Lines) -> None:
    with socket.create_connection(("127.0.0.1", edge.port), timeout=20) as connection:
        connection.sendall(head("Content-Length: 100") + b"{")
    found: list[str] = []
    while not found:
        edge.request("GET", sign=None)  # gives the server its turn
        found = [line["error"] for line in lines()]
    assert found == ["client_gone"]


# --- memory ---------------------------------------------------------------------------------------------------------


def unfinished(edge: Edge, size: int) -> socket.socket:
    """A connection on which so many bytes of a body arrive, and more are to come."""
    connection = socket.create_connection(("127.0.0.1", edge.port), timeout=20)
    connection.sendall(head("Content-Length: 1000") + b" " * size)
    return connection


def test_bodies_that_never_end_do_not_fill_the_memory(edge: Edge) -> None:
    edge.set_max_held_bytes(250)

    answers = []

    def answered(status: int) -> bool:
        answers.append(edge.post(b" " * 100, type="VALIDATE"))
        return answers[-1].status_code == status

    with unfinished(edge, 100), unfinished(edge, 100):
        eventually(lambda: answered(503))
    assert "send it again" in error_of(answers[-1])
    assert answers[-1].headers["Connection"] == "close"
    eventually(lambda: answered(200))


@pytest.mark.parametrize("end", ["the last byte", "the limit of size", "the limit of time", "the sender goes away"])
def test_what_has_ended_is_no_longer_counted(edge: Edge, end: str) -> None:
    edge.set_max_held_bytes(LIMIT)
    edge.set_deadlines(body_s=0.05 if end == "the limit of time" else 20)
    edge.serve(connector(max_body_bytes=LIMIT - 1))
    if end == "the last byte":
        edge.post(b" " * (LIMIT - 1), type="VALIDATE")
    elif end == "the limit of size":
        assert edge.raw(head("Transfer-Encoding: chunked") + b"%x\r\n" % LIMIT + b" " * LIMIT).startswith(b"HTTP/1.1 413")
    elif end == "the limit of time":
        assert edge.raw(head("Content-Length: 100") + b"  ").startswith(b"HTTP/1.1 408")
    else:
        with socket.create_connection(("127.0.0.1", edge.port), timeout=20) as connection:
            connection.sendall(head("Content-Length: 100") + b"  ")
    eventually(lambda: edge.post(b" " * (LIMIT - 1), type="VALIDATE").status_code == 200)


# --- JSON -----------------------------------------------------------------------------------------------------------

BAD_JSON = {
    "broken": (b'{"Mutations": [', "not valid JSON"),
    "cut off": (b'{"Mutations": [{"User": "u', "not valid JSON"),
    "followed by more": (b"{} {}", "not valid JSON"),
    "nothing": (b"", "empty"),
    "white space": (b" \r\n\t", "empty"),
    "an array": (b"[]", "object"),
    "a string": (b'"text"', "object"),
    "null": (b"null", "object"),
    "not a number": (b'{"Mutations": NaN}', "not valid JSON"),
    "infinity": (b'{"Mutations": 1e999}', "too large"),
    "an integer of 5,000 digits": (b'{"Mutations": ' + b"9" * 5_000 + b"}", "too large"),
    "invalid UTF-8": (b'{"Mutations": "\xff\xfe"}', "UTF-8"),
    "invalid UTF-8 in a name": (b'{"\xc3": []}', "UTF-8"),
    "UTF-16": ('{"Mutations": []}'.encode("utf-16"), "not valid JSON"),
    "a NUL byte": (b'{"Mutations": "\x00"}', "not valid JSON"),
    "NUL bytes only": (b"\x00" * 10, "not valid JSON"),
    "half a surrogate pair": (b'{"Mutations": "\\ud800 "}', "not valid JSON"),
    "a raw surrogate": (b'{"Mutations": "\xed\xa0\x80"}', "UTF-8"),
    "deep arrays": (b'{"Mutations": ' + b"[" * 200_000, "nested"),
    "deep objects": (b'{"a":' * 200_000, "nested"),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00", "not valid JSON"),
}


@pytest.mark.parametrize("case", BAD_JSON)
@pytest.mark.parametrize("kind", ["ADD_TO_AUDIENCE", "REMOVE_FROM_AUDIENCE", "CREATE_AUDIENCE", None])
def test_a_body_that_is_no_json_object_is_400_and_says_why(edge: Edge, case: str, kind: str | None) -> None:
    body, sentence = BAD_JSON[case]
    answer = edge.post(body, type=kind)
    assert answer.status_code == 400
    assert sentence in error_of(answer)


@pytest.mark.parametrize("case", BAD_JSON)
def test_a_validation_takes_any_body(edge: Edge, case: str) -> None:
    body, _ = BAD_JSON[case]
    assert edge.post(body, type="VALIDATE").status_code == 200


def test_a_name_that_is_repeated_exactly_counts_with_its_last_value(edge: Edge) -> None:
    body = b'{"Mutations": [], "Mutations": [{"Audience": "a.1", "User": "u1", "User": "u2"}]}'
    assert edge.post(body, type="ADD_TO_AUDIENCE").json() == {"accepted": 1, "unreadable": 0}
    assert [mutation.user for mutation in edge.queued_mutations()] == [{"id": "u2"}]


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def test_additional_fields_may_be_nested_but_not_without_end(edge: Edge) -> None:
    assert edge.add(user(), Extra=nested(60)).status_code == 200
    answer = edge.add(user(), Extra=nested(400))
    assert answer.status_code == 400
    assert "nested" in error_of(answer)


def test_additional_fields_of_the_body_travel_with_every_message_and_so_are_limited(edge: Edge) -> None:
    assert edge.add(user(), Extra="x" * 10_000).status_code == 200
    answer = edge.add(user(), Extra="x" * 20_000)
    assert answer.status_code == 400
    assert "16 KB" in error_of(answer)


def test_the_signature_is_checked_before_the_json(edge: Edge) -> None:
    assert edge.post(b"{", type="ADD_TO_AUDIENCE", sign=SECRET + "!").status_code == 401


# --- memory ---------------------------------------------------------------------------------------------------------


class Body(bytes):
    """Tells when it is gone."""

    def __del__(self) -> None:
        gone.append(len(self))


gone: list[int] = []


def test_the_body_of_a_refused_request_is_given_back_at_once_and_waits_for_no_garbage_collector(edge: Edge) -> None:
    headers = [(b"x-hmac", b"wrong")]
    head = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers, "server": ("127.0.0.1", 1)}

    async def arriving() -> dict[str, object]:
        return {"type": "http.request", "body": Body(b"x" * LIMIT)}

    async def refused() -> None:
        view = InboundView(edge.backend.inbound, reread_s=3600)
        receiver = Receiver(view, edge.publisher, edge.creator, TurnedClock())
        for _ in range(3):
            gone.clear()
            assert (await receiver(Request(head, arriving))).status_code == 401
            assert gone == [LIMIT]
        view.close()

    gc.disable()
    try:
        asyncio.run(refused())
    finally:
        gc.enable()
