"""What the client makes of an answer, byte by byte: whole, cut, or none; and when the next call may use the connection."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import threading
import time
import warnings
import zlib
from functools import partial

import pytest

from adapters import incoming
from adapters.client import MAX_ANSWER_BYTES, RequestsClient
from adapters.connection import Call, Connection
from adapters.contract import Credentials, HttpAnswer, HttpRequest
from adapters.incoming import MAX_HEAD_BYTES, MAX_HEADERS
from adapters.network import look_up
from relay.domain.clock import SystemClock
from relay.domain.connector import Timeouts
from relay.domain.errors import TryAgain
from tests.contract.adapters.scripted import Script, ScriptedServer, Visit, answer
from tests.unit.adapters.leftovers import left_each_time

gzipped = partial(gzip.compress, mtime=0)
"""Without the time: the titles of tests are the same in all processes that run them."""

AMPLE = Timeouts(connect_s=20, answer_s=20, batch_answer_s=20)
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def client(timeouts: Timeouts = AMPLE) -> RequestsClient:
    return RequestsClient(timeouts, SystemClock())


def writes(*answers: bytes, closes: bool = False) -> Script:
    """One for each call, the last one for all further calls."""

    def script(visit: Visit) -> None:
        number = 0
        while visit.read():
            visit.write(answers[min(number, len(answers) - 1)])
            number += 1
            if closes:
                return

    return script


def got(script: Script, method: str = "POST") -> HttpAnswer:
    with ScriptedServer(script) as server:
        return client().send(HttpRequest(method, server.url), auth=Credentials())


def visits(script: Script, calls: int = 2, method: str = "POST") -> tuple[int, list[HttpAnswer]]:
    """How many connections as many calls took, and their answers."""
    with ScriptedServer(script) as server:
        same = client()
        answers = [same.send(HttpRequest(method, server.url), auth=Credentials()) for _ in range(calls)]
        return server.visits, answers


# --- whole answers ---------------------------------------------------------------------------------------------------

WHOLE: dict[str, tuple[bytes, bytes]] = {
    "a length": (OK + b"Content-Length: 4\r\nX-A: 1\r\n\r\nfine", b"fine"),
    "no body": (OK + b"Content-Length: 0\r\nX-A: 1\r\n\r\n", b""),
    "chunks": (CHUNKED.replace(b"\r\n\r\n", b"\r\nX-A: 1\r\n\r\n") + b"2\r\nfi\r\n2;a=b\r\nne\r\n0\r\n\r\n", b"fine"),
    "chunks and trailers": (
        OK + b"X-A: 1\r\nTransfer-Encoding: Chunked\r\n\r\n4\r\nfine\r\n0\r\nX-A: 2\r\nX-B: 3\r\n\r\n",
        b"fine",
    ),
    "interim answers before it": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nX-A: 7\r\nContent-Length: 9\r\n\r\n"
        + OK
        + b"X-A: 1\r\nContent-Length: 4\r\n\r\nfine",
        b"fine",
    ),
    "no reason": (b"HTTP/1.1 200\r\nX-A:1  \r\nContent-Length: 4 \r\n\r\nfine", b"fine"),
}
BY_CLOSING: dict[str, tuple[bytes, bytes]] = {
    "ends with the connection": (OK + b"X-A: 1\r\n\r\nfine", b"fine"),
    "an old version": (b"HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nfine", b"fine"),
    "nothing before the end": (OK + b"X-A: 1\r\n\r\n", b""),
    "nothing done to the body": (OK + b"X-A: 1\r\nTransfer-Encoding: identity\r\n\r\nfine", b"fine"),
}


@pytest.mark.parametrize("written", WHOLE, ids=str)
def test_an_answer_is_read_whole_and_its_connection_kept(written: str) -> None:
    content, body = WHOLE[written]
    count, answers = visits(writes(content))
    assert [(one.status, one.content, one.headers["x-a"], one.cut) for one in answers] == [(200, body, "1", False)] * 2
    assert all("x-b" not in one.headers for one in answers), "what comes behind the body is none of the headers"
    assert count == 1


@pytest.mark.parametrize("written", BY_CLOSING, ids=str)
def test_a_body_without_a_length_ends_with_the_connection(written: str) -> None:
    content, body = BY_CLOSING[written]
    found = got(writes(content, closes=True))
    assert (found.status, found.content, found.headers["x-a"], found.cut) == (200, body, "1", False)


@pytest.mark.parametrize("written", WHOLE, ids=str)
def test_it_is_the_same_wherever_packets_divide_it(written: str) -> None:
    content, body = WHOLE[written]
    for place in range(1, len(content)):
        pieces = iter((content[:place], content[place:]))
        found = incoming.read(lambda pieces=pieces: next(pieces), head_only=False, most=100)  # type: ignore[misc]
        assert (found.status, found.content, found.headers["x-a"], found.reusable) == (200, body, "1", True)
    found = incoming.read(iter([bytes([byte]) for byte in content]).__next__, head_only=False, most=100)
    assert (found.status, found.content, found.headers["x-a"], found.reusable) == (200, body, "1", True)


_LARGE = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 995) for number in range(65))

DIVIDED: dict[str, tuple[bytes, bool, int]] = {
    "a body behind a head alone": (answer(b"x" * 200_000), True, 200),
    "a body where there is none": (b"HTTP/1.1 204 X\r\n\r\n" + b"x" * 200_000, False, 204),
    "a head of nearly all that it may have": (OK + _LARGE + b"Content-Length: 0\r\n\r\n", False, 200),
    "and a body": (OK + _LARGE + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000, False, 200),
    "a head of more": (OK + _LARGE + b"X-A: " + b"x" * 2000 + b"\r\nContent-Length: 2\r\n\r\n{}", False, 0),
    "interim answers as many as there may be": (b"HTTP/1.1 100 Continue\r\n\r\n" * 100 + answer(), False, 200),
    "one interim answer more": (b"HTTP/1.1 100 Continue\r\n\r\n" * 101 + answer(), False, 0),
}


@pytest.mark.parametrize("written", DIVIDED, ids=str)
@pytest.mark.parametrize(("first", "others"), [(20, 65536), (65536, 65536), (65536, 100), (1000, 1000), (200_000, 200_000)])
def test_what_is_too_long_is_so_wherever_packets_divide_it(written: str, first: int, others: int) -> None:
    content, head_only, status = DIVIDED[written]
    places = [0, *range(first, len(content), others), len(content)]
    pieces = iter([content[begin:end] for begin, end in itertools.pairwise(places)])
    try:
        found = incoming.read(lambda: next(pieces, b""), head_only=head_only, most=1_000_000).status
    except incoming.NotHttp:
        found = 0
    assert found == status


@pytest.mark.parametrize("said", [b"Content-Length: 4", b"Transfer-Encoding: chunked", b"Content-Encoding: gzip", b"X-B: 1"])
def test_what_was_asked_for_without_its_body_has_none(said: bytes) -> None:
    _, answers = visits(writes(OK + said + b"\r\nX-A: 1\r\n\r\n"), method="HEAD")
    assert [(one.content, one.headers["x-a"]) for one in answers] == [(b"", "1")] * 2


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize(
    ("said", "announces_a_body"),
    [
        (b"Content-Length: 4", True),
        (b"Transfer-Encoding: chunked", True),
        (b"Content-Length: 0", False),
        (b"Content-Encoding: gzip", False),
    ],
)
def test_some_answers_have_no_body_whatever_they_say(status: bytes, said: bytes, announces_a_body: bool) -> None:
    """Where one is announced that must not be, it may come yet. What a 304 announces is the body of another answer."""
    count, answers = visits(writes(b"HTTP/1.1 " + status + b"\r\n" + said + b"\r\n\r\n"))
    assert [one.content for one in answers] == [b"", b""]
    assert count == (2 if announces_a_body and status.startswith(b"204") else 1)


def test_headers_are_found_in_any_case_and_repeated_ones_one_by_one_or_joined() -> None:
    said = b"Set-Cookie: a=1, x\r\nX-Name: caf\xc3\xa9\r\nset-cookie: b=2\r\nX-Empty:\r\n"
    headers = got(writes(OK + said + b"Content-Length: 0\r\n\r\n")).headers
    assert headers["SET-COOKIE"] == headers.get("Set-Cookie") == "a=1, x, b=2"
    assert (headers["x-name"], headers["x-empty"], headers.get("x-none"), "X-NAME" in headers) == ("cafÃ©", "", None, True)
    assert list(headers.items()) == [
        ("Set-Cookie", "a=1, x"),
        ("X-Name", "cafÃ©"),
        ("set-cookie", "b=2"),
        ("X-Empty", ""),
        ("Content-Length", "0"),
    ]
    assert (len(headers), len(headers.items())) == (4, 5)


# --- no answer -------------------------------------------------------------------------------------------------------

_MANY = b"".join(b"X-%d: 1\r\n" % number for number in range(MAX_HEADERS))
_LONG = b"x" * (2 * MAX_HEAD_BYTES + 1)

REFUSED: dict[str, bytes] = {
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "the same length twice": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": OK + b"Content-Length: 2, 2\r\n\r\n{}",
    "a length below zero": OK + b"Content-Length: -2\r\n\r\n{}",
    "a length with a sign": OK + b"Content-Length: +2\r\n\r\n{}",
    "a length beyond all numbers": OK + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    "an empty length": OK + b"Content-Length:\r\n\r\n{}",
    "a length beside chunks": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunks beside a length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "packed chunks": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "something behind chunks": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunks twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "nearly chunks": OK + b"Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "an interim answer of an old version": b"HTTP/1.0 100 Continue\r\n\r\n" + answer(),
    "no size of a chunk": CHUNKED + b"z\r\n{}\r\n0\r\n\r\n",
    "a size below zero": CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
    "a size beyond all numbers": CHUNKED + b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"2\r\n{}}\r\n0\r\n\r\n",
    "a folded header": OK + b"X-A: 1\r\n 2\r\nContent-Length: 2\r\n\r\n{}",
    "a folded length": OK + b"Content-Length:\r\n 2\r\n\r\n{}",
    "a header before any": OK + b" X-A: 1\r\nContent-Length: 2\r\n\r\n{}",
    "a space behind a name": OK + b"Content-Length : 2\r\n\r\n{}",
    "a header without a name": OK + b": 1\r\nContent-Length: 2\r\n\r\n{}",
    "a header without a colon": OK + b"nothing\r\nContent-Length: 2\r\n\r\n{}",
    "a zero byte": OK + b"X-A: 1\x002\r\nContent-Length: 2\r\n\r\n{}",
    "a control character": OK + b"X-A: 1\x012\r\nContent-Length: 2\r\n\r\n{}",
    "a line that ends with CR": OK + b"X-A: 1\rX-B: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a line that ends with LF": OK + b"X-A: 1\nContent-Length: 2\r\n\r\n{}",
    "another protocol from here on": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n{}",
    "an unknown version": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "a version before headers": b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "a status below 100": b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\n{}",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}",
    "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "too many headers": OK + _MANY + b"Content-Length: 2\r\n\r\n{}",
    "an endless status": b"HTTP/1.1 200 " + _LONG,
    "an endless header": OK + b"X-A: " + _LONG,
    "an endless name": OK + _LONG,
    "too large a head": OK + b"".join(b"X-A: %s\r\n" % _LONG[:4096] for _ in range(40)) + b"Content-Length: 2\r\n\r\n{}",
    "endless interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * (2 * MAX_HEAD_BYTES // 25 + 1) + answer(),
    "an endless word about a chunk": CHUNKED + b"2;" + _LONG,
    "endless trailers": CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X-A: 1\r\n" * (2 * MAX_HEAD_BYTES // 8 + 1) + b"\r\n",
}
BREAKS_OFF: dict[str, bytes] = {
    "nothing": b"",
    "in the status": b"HTTP/1.1 20",
    "in a name": OK + b"Content-",
    "in a value": OK + b"X-A: 1\r\nX-B: on",
    "before the end of the head": OK + b"X-A: 1\r\n",
    "behind an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "before a body": OK + b"Content-Length: 2\r\n\r\n",
    "in a body": OK + b"Content-Length: 3\r\n\r\n{}",
    "in the size of a chunk": CHUNKED + b"2\r\n{}\r\n1",
    "in a chunk": CHUNKED + b"2\r\n{",
    "between chunks": CHUNKED + b"2\r\n{}\r\n",
    "before the end of the trailers": CHUNKED + b"2\r\n{}\r\n0\r\n",
}


def broken(script: Script, code: str = "connection_broken") -> None:
    with ScriptedServer(script) as server:
        same = client()
        with pytest.raises(TryAgain) as caught:
            same.send(HttpRequest("POST", server.url), auth=Credentials())
        assert server.visits == 1, "nothing is sent twice"
    assert (caught.value.code, caught.value.applied_unknown, caught.value.account) == (code, True, True)
    assert ("cannot be read as HTTP" in caught.value.hint) == (code == "not_http")


@pytest.mark.parametrize("written", REFUSED, ids=str)
def test_what_is_no_answer_or_could_be_two_is_refused(written: str) -> None:
    def script(visit: Visit) -> None:
        visit.read()
        visit.write(REFUSED[written])
        visit.wait()  # the connection's end is not what is noticed

    broken(script, "not_http")


@pytest.mark.parametrize("written", BREAKS_OFF, ids=str)
def test_an_answer_that_breaks_off_is_none(written: str) -> None:
    broken(writes(BREAKS_OFF[written], closes=True))


def test_a_connection_with_a_broken_answer_is_not_used_again() -> None:
    def script(visit: Visit) -> None:
        visit.read()
        visit.write(answer() if visit.number > 1 else REFUSED["a folded header"])
        visit.wait()

    with ScriptedServer(script) as server:
        same = client()
        with pytest.raises(TryAgain):
            same.send(HttpRequest("POST", server.url), auth=Credentials())
        assert same.send(HttpRequest("POST", server.url), auth=Credentials()).status == 200
        assert server.visits == 2


def test_a_head_of_many_headers_is_read() -> None:
    said = b"".join(b"X-%d: %s\r\n" % (number, _LONG[:500]) for number in range(MAX_HEADERS - 1))
    assert len(got(writes(OK + said + b"Content-Length: 0\r\n\r\n")).headers) == MAX_HEADERS


# --- packed bodies ---------------------------------------------------------------------------------------------------

_BODY = b'{"accepted": 100}' * 50


def _deflated(content: bytes) -> bytes:
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return bare.compress(content) + bare.flush()


@pytest.mark.parametrize(
    ("said", "packed"),
    [
        ("gzip", gzipped(_BODY)),
        ("GZip", gzipped(_BODY)),
        ("x-gzip", gzipped(_BODY)),
        ("gzip", gzipped(_BODY[:100]) + gzipped(_BODY[100:])),
        ("deflate", zlib.compress(_BODY)),
        ("deflate", _deflated(_BODY)),
        ("deflate, gzip", gzipped(zlib.compress(_BODY))),
        ("deflate\r\nContent-Encoding: gzip", gzipped(zlib.compress(_BODY))),
        ("identity", _BODY),
        ("unknown", _BODY),
    ],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_a_packed_body_is_unpacked(said: str, packed: bytes, chunked: bool) -> None:
    content = OK + f"Content-Encoding: {said}\r\nContent-Length: {len(packed)}\r\n\r\n".encode() + packed
    if chunked:
        pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in packed)
        content = OK + f"Content-Encoding: {said}\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + pieces + b"0\r\n\r\n"
    count, answers = visits(writes(content))
    assert [(one.content, one.cut) for one in answers] == [(_BODY, False)] * 2
    assert count == 1


PACKED = {"gzip": gzipped(_BODY), "deflate": zlib.compress(_BODY), "deflate, gzip": gzipped(zlib.compress(_BODY))}


@pytest.mark.parametrize("said", PACKED)
@pytest.mark.parametrize("place", [0, -2], ids=["in its first byte", "in what it is checked by"])
def test_a_body_that_cannot_be_unpacked_is_no_answer(said: str, place: int) -> None:
    packed = bytearray(PACKED[said])
    packed[place] ^= 0xFF
    broken(writes(answer(bytes(packed), headers=f"Content-Encoding: {said}\r\n")), "not_http")


def test_a_packed_body_that_breaks_off_is_none() -> None:
    whole = answer(gzipped(_BODY), headers="Content-Encoding: gzip\r\n")
    broken(writes(whole[:-4], closes=True))


@pytest.mark.parametrize("said", PACKED)
@pytest.mark.parametrize("missing", [1, 4, 8, 20])
def test_so_is_one_whose_packing_has_no_end_though_nothing_else_is_missing(said: str, missing: int) -> None:
    part, headers = PACKED[said][:-missing], f"Content-Encoding: {said}\r\n"
    broken(writes(answer(part, headers=headers)), "not_http")
    broken(writes(OK + f"{headers}\r\n".encode() + part, closes=True))


def test_a_second_part_without_its_end_is_missed_too_and_other_bytes_behind_the_end_are_not() -> None:
    broken(writes(answer(gzipped(_BODY) + gzipped(_BODY)[:-8], headers="Content-Encoding: gzip\r\n")), "not_http")
    assert got(writes(answer(gzipped(_BODY) + bytes(8), headers="Content-Encoding: gzip\r\n"))).content == _BODY


@pytest.mark.parametrize("said", PACKED)
def test_an_empty_body_need_not_be_packed(said: str) -> None:
    assert got(writes(answer(b"", headers=f"Content-Encoding: {said}\r\n"))).content == b""


def test_a_packed_body_has_no_more_time_than_another() -> None:
    def script(visit: Visit) -> None:
        visit.read()
        visit.write(OK + b"Content-Encoding: gzip\r\nContent-Length: 2000\r\n\r\n")
        visit.drip(gzipped(_BODY) + bytes(2000))

    with ScriptedServer(script) as server, pytest.raises(TryAgain) as caught:
        client(Timeouts(connect_s=20, answer_s=0.3)).send(HttpRequest("POST", server.url), auth=Credentials())
    assert (caught.value.code, caught.value.applied_unknown) == ("timeout", True)


def test_a_packed_answer_that_never_ends_is_cut() -> None:
    def script(visit: Visit) -> None:
        visit.read()
        visit.write(OK + b"Content-Encoding: gzip\r\n\r\n")
        visit.write(gzipped(b" " * 2 * MAX_ANSWER_BYTES))
        visit.wait()

    found = got(script)
    assert (len(found.content), found.cut) == (MAX_ANSWER_BYTES, True)


# --- the connection afterwards ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "connections"),
    [
        (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}", 2),
        (OK + b"Connection: X, Close\r\nContent-Length: 2\r\n\r\n{}", 2),
        (OK + b"Connection: keep-alive\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", 2),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", 2),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", 1),
        (OK + b"Content-Length: 2\r\n\r\n{}", 1),
    ],
)
def test_a_connection_is_kept_as_the_partner_says(written: bytes, connections: int) -> None:
    assert visits(writes(written))[0] == connections


@pytest.mark.parametrize("behind", [b"x", b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\n[]", b"HTTP/1.1 100 Continue\r\n\r\n"])
@pytest.mark.parametrize("written", ["a length", "chunks"])
def test_what_nobody_asked_for_ends_the_connection_and_is_no_answer(behind: bytes, written: str) -> None:
    content, body = WHOLE[written]
    count, answers = visits(writes(content + behind))
    assert [(one.status, one.content) for one in answers] == [(200, body)] * 2
    assert count == 2


@pytest.mark.parametrize(("method", "status"), [("HEAD", b"200 OK"), ("POST", b"204 X"), ("POST", b"304 X")])
def test_so_does_a_body_where_there_is_none(method: str, status: bytes) -> None:
    said = b"HTTP/1.1 " + status + b"\r\nContent-Length: 38\r\n\r\nHTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"
    count, answers = visits(writes(said), method=method)
    assert [(one.status, one.content) for one in answers] == [(int(status[:3]), b"")] * 2
    assert count == 2


def test_an_answer_that_is_too_long_ends_it_even_if_it_came_whole() -> None:
    count, answers = visits(writes(answer(b"x" * (MAX_ANSWER_BYTES + 1))))
    assert [one.cut for one in answers] == [True, True]
    assert count == 2


def test_what_comes_later_ends_the_connection_too() -> None:
    came = threading.Event()

    def script(visit: Visit) -> None:
        visit.read()
        visit.write(answer(b"1"))
        if visit.number == 1:
            time.sleep(0.1)
            visit.write(answer(b"2", status="500 X"))
            came.set()
        visit.wait()

    with ScriptedServer(script) as server:
        same = client()
        assert same.send(HttpRequest("POST", server.url), auth=Credentials()).content == b"1"
        assert came.wait(10)
        assert same.send(HttpRequest("POST", server.url), auth=Credentials()).content == b"1"
        assert server.visits == 2


def test_a_refusal_before_all_was_sent_is_an_answer_and_the_connection_is_not_used_again() -> None:
    def script(visit: Visit) -> None:
        visit.connection.recv(1000)
        visit.write(answer(status="413 X"))

    with ScriptedServer(script) as server:
        same = client()
        for _ in range(2):
            assert same.send(HttpRequest("POST", server.url, raw=b"x" * 30_000_000), auth=Credentials()).status == 413
        assert server.visits == 2


def test_neither_is_one_that_takes_nothing_more_though_its_answer_came_and_it_stays_open() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(answer(status="413 X"))
        theirs.shutdown(socket.SHUT_RD)
        connection, call = Connection(ours), Call(20, look_up, public_only=False)
        found = connection.exchange(call, b"POST / HTTP/1.1\r\n\r\n", b"", head_only=False, most=100)
        assert (found.status, found.content, found.reusable) == (413, b"{}", False)


def test_of_each_thread_the_last_eight_places_are_remembered() -> None:
    servers = [ScriptedServer(writes(answer())) for _ in range(9)]
    same = client()
    try:
        for server in servers:
            server.__enter__()
            same.send(HttpRequest("POST", server.url), auth=Credentials())
        for server in servers[1:]:
            same.send(HttpRequest("POST", server.url), auth=Credentials())
        assert [server.visits for server in servers] == [1] * 9
        same.send(HttpRequest("POST", servers[0].url), auth=Credentials())
        assert servers[0].visits == 2
    finally:
        for server in servers:
            server.__exit__(None, None, None)


def test_a_thread_that_ends_leaves_no_connection() -> None:
    ended = threading.Event()

    def script(visit: Visit) -> None:
        visit.read()
        visit.write(answer())
        if not visit.read():
            ended.set()

    with ScriptedServer(script) as server, warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", ResourceWarning)
        same = client()
        thread = threading.Thread(target=same.send, args=(HttpRequest("POST", server.url),), kwargs={"auth": Credentials()})
        thread.start()
        thread.join(10)
        assert ended.wait(10)
    assert not [warning for warning in noted if "socket" in str(warning.message)], "it was closed, not just forgotten"


def test_each_call_on_a_kept_connection_has_its_own_time() -> None:
    def script(visit: Visit) -> None:
        for wait_s in (0.0, 0.5, 0.0, 60.0):
            visit.read()
            if visit.over.wait(wait_s):
                return
            visit.write(answer())

    with ScriptedServer(script) as server:
        same = client()
        for answer_s in (0.3, 20.0, 20.0):
            same.send(HttpRequest("POST", server.url, answer_s=answer_s), auth=Credentials())
        began = time.monotonic()
        with pytest.raises(TryAgain) as caught:
            same.send(HttpRequest("POST", server.url, answer_s=0.3), auth=Credentials())
        assert 0.3 <= time.monotonic() - began < 10
        assert (caught.value.code, server.visits) == ("timeout", 1)


@pytest.mark.parametrize("content", [answer(), answer() + answer(), REFUSED["a folded header"], REFUSED["too many headers"]])
def test_reading_leaves_nothing_to_the_garbage_collector(content: bytes) -> None:
    def read() -> None:
        with contextlib.suppress(incoming.Broken):
            incoming.read(iter([content]).__next__, head_only=False, most=100)

    assert left_each_time(read) == 0
