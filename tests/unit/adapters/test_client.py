"""The HTTP client that all adapters share: what it sends, how long it waits, and what it says if no answer came."""

from __future__ import annotations

import gzip
import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import msgspec
import pytest

from adapters import connection, leash
from adapters.client import MAX_ANSWER_BYTES, RequestsClient
from adapters.contract import Credentials, HttpAnswer, HttpRequest
from adapters.network import look_up
from relay.domain.clock import SystemClock
from relay.domain.connector import Timeouts
from relay.domain.errors import Misconfigured, PartnerError, TryAgain
from tests.contract.adapters.scripted import Script, ScriptedServer, Visit, answer

SHORT = Timeouts(connect_s=0.3, answer_s=0.3, batch_answer_s=0.6)
AMPLE = Timeouts(connect_s=20, answer_s=20, batch_answer_s=20)
AUTH = Credentials({"Authorization": "Bearer a-secret-token"}, {"key": "a-secret-key"})
SECRETS = ("a-secret-token", "a-secret-key", "a-secret-query", "a-secret-body")


def client(timeouts: Timeouts = AMPLE) -> RequestsClient:
    return RequestsClient(timeouts, SystemClock())


def request(url: str, *, batch: bool = False) -> HttpRequest:
    body = {"users": [{"id": "a-secret-body"}]}
    return HttpRequest("POST", f"{url}/path?q=a-secret-query", body=body, batch=batch)


def failure(timeouts: Timeouts, asked: HttpRequest) -> PartnerError:
    with pytest.raises(PartnerError) as caught:
        client(timeouts).send(asked, auth=AUTH)
    whole = "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in SECRETS if secret in whole or secret in caught.value.hint]
    return caught.value


# --- what is sent ----------------------------------------------------------------------------------------------------


def recorded(seen: list[bytes], *answers: bytes) -> Script:
    def script(visit: Visit) -> None:
        while received := visit.read():
            seen.append(received)
            visit.write(answers[min(len(seen), len(answers)) - 1])

    return script


def test_a_body_is_sent_as_json_with_the_headers_of_the_request_and_of_the_authentication() -> None:
    seen: list[bytes] = []
    with ScriptedServer(recorded(seen, answer(b'{"fine": true}', headers="X-Trace: 7\r\n"))) as server:
        asked = HttpRequest("DELETE", f"{server.url}/a?b=c", headers={"X-Own": "1"}, body={"id": "ü"})
        got = client().send(asked, auth=AUTH)

    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"DELETE /a?b=c&key=a-secret-key HTTP/1.1"
    assert {b"X-Own: 1", b"Authorization: Bearer a-secret-token", b"Content-Type: application/json"} <= set(head.split(b"\r\n"))
    assert body == '{"id":"ü"}'.encode()
    assert (got.status, got.content, got.headers["x-trace"]) == (200, b'{"fine": true}', "7")
    assert got.duration_ms > 0


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", b"/"),
        ("/", b"/"),
        ("/api/v1.2/users", b"/api/v1.2/users"),
        ("/api/~a-b_c/x", b"/api/~a-b_c/x"),
        ("/api/users/", b"/api/users/"),
        ("/a//b", b"/a//b"),
        ("/a/./b/../c", b"/a/c"),
        ("/a b/\u00e4", b"/a%20b/%C3%A4"),
        ("/a%2fb/%41", b"/a%2Fb/A"),
        ("/a#part", b"/a"),
        ("/a?", b"/a"),
        ("/a?b=c", b"/a?b=c"),
    ],
)
def test_a_path_is_sent_as_it_is_written_where_it_can_be(path: str, target: bytes) -> None:
    seen: list[bytes] = []
    with ScriptedServer(recorded(seen, answer())) as server:
        client().send(HttpRequest("GET", f"{server.url}{path}"), auth=Credentials())
    assert seen[0].split(b" ")[1] == target


def test_head_and_body_leave_together() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        sending = pool.submit(client().send, HttpRequest("POST", url, body={"id": "u1"}), auth=Credentials())
        connection, _ = server.accept()
        with connection:
            assert connection.recv(65536).endswith(b'\r\n\r\n{"id":"u1"}')
            connection.sendall(answer())
            assert sending.result(10).status == 200


def test_a_body_that_is_too_large_to_be_copied_arrives_whole() -> None:
    seen: list[bytes] = []
    content = b"x" * 400_000
    with ScriptedServer(recorded(seen, answer())) as server:
        client().send(HttpRequest("PUT", server.url, raw=content), auth=Credentials())
    assert seen[0].endswith(b"\r\n\r\n" + content)


@pytest.mark.parametrize(("method", "length"), [("GET", None), ("HEAD", None), ("POST", b"0"), ("DELETE", b"0")])
def test_a_call_without_a_body_says_so_where_one_could_be(method: str, length: bytes | None) -> None:
    seen: list[bytes] = []
    with ScriptedServer(recorded(seen, answer(b"" if method == "HEAD" else b"{}"))) as server:
        client().send(HttpRequest(method, server.url), auth=Credentials())
    told = [line.partition(b": ")[2] for line in seen[0].split(b"\r\n") if line.lower().startswith(b"content-length")]
    assert told == ([] if length is None else [length])


def test_a_raw_body_is_sent_as_it_is() -> None:
    seen: list[bytes] = []
    with ScriptedServer(recorded(seen, answer())) as server:
        client().send(HttpRequest("PUT", server.url, headers={"content-type": "text/csv"}, raw=b"a;b\n"), auth=Credentials())
    assert seen[0].endswith(b"\r\n\r\na;b\n")
    assert seen[0].lower().count(b"content-type:") == 1


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"accept": "text/plain"}, (b"accept", b"text/plain")),
        ({"user-agent": "mine"}, (b"user-agent", b"mine")),
        ({"content-type": "text/csv"}, (b"content-type", b"text/csv")),
        ({"authorization": "mine"}, (b"authorization", b"Bearer a-secret-token")),
        ({"content-length": "7000"}, (b"content-length", b"2")),
        ({"X-Own": "1", "x-own": "2"}, (b"x-own", b"2")),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_header_is_sent_once_however_its_name_is_written(given: dict[str, str], sent: tuple[bytes, bytes]) -> None:
    seen: list[bytes] = []
    with ScriptedServer(recorded(seen, answer())) as server:
        client().send(HttpRequest("POST", server.url, headers=given, body={}), auth=AUTH)
    name, value = sent
    assert _told(seen[0], name) == [value]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_call_without_a_body_announces_none(method: str) -> None:
    seen: list[bytes] = []
    with ScriptedServer(recorded(seen, answer(b"" if method == "HEAD" else b"{}"))) as server:
        client().send(HttpRequest(method, server.url, headers={"content-length": "7000"}), auth=Credentials())
    assert _told(seen[0], b"content-length") == []


def _told(received: bytes, name: bytes) -> list[bytes]:
    lines = (line.partition(b": ") for line in received.partition(b"\r\n\r\n")[0].split(b"\r\n"))
    return [value for key, _, value in lines if key.lower() == name]


@pytest.mark.parametrize("status", [201, 302, 307, 400, 404, 429, 500, 503])
def test_any_answer_that_came_is_returned_and_no_redirect_is_followed(status: int) -> None:
    seen: list[bytes] = []
    headers = "Location: /elsewhere\r\nRetry-After: 0\r\n"
    with ScriptedServer(recorded(seen, answer(b"[]", status=f"{status} X", headers=headers))) as server:
        assert client().send(request(server.url), auth=AUTH).status == status
    assert len(seen) == 1, "whatever the answer, a call is sent once"


def test_cookies_are_not_kept() -> None:
    seen: list[bytes] = []
    with ScriptedServer(recorded(seen, answer(headers="Set-Cookie: session=1\r\n"))) as server:
        same = client()
        for _ in range(2):
            same.send(request(server.url), auth=Credentials())
    assert b"session" not in seen[1]


def test_proxies_and_passwords_of_the_surroundings_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    seen: list[bytes] = []
    with ScriptedServer(recorded(seen, answer())) as server:
        client().send(request(server.url), auth=Credentials())
    assert b"authorization" not in seen[0].lower()


@pytest.mark.parametrize(
    ("url", "query", "sent"),
    [
        ("/a", {"api key": "ä&=/?#%+"}, b"/a?api%20key=%C3%A4%26%3D%2F%3F%23%25%2B"),
        ("/a?", {"key": "1"}, b"/a?key=1"),
        ("/a?b=%26&c", {"key": "1", "user": "2"}, b"/a?b=%26&c&key=1&user=2"),
        ("/a?key=old&b=c&%6bey=old", {"key": "1"}, b"/a?b=c&key=1"),
        ("/a?b=c#part", {"key": "1"}, b"/a?b=c&key=1"),
        ("/a?b=c", {}, b"/a?b=c"),
    ],
)
def test_credentials_in_the_query_are_added_when_the_call_is_sent(url: str, query: dict[str, str], sent: bytes) -> None:
    seen: list[bytes] = []
    with ScriptedServer(recorded(seen, answer())) as server:
        client().send(HttpRequest("GET", f"{server.url}{url}"), auth=Credentials(query=query))
    assert seen[0].split(b" ")[1] == sent


def test_nothing_that_is_sent_is_written_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    broken = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nno header\r\n\r\n{}"
    with ScriptedServer(recorded([], answer(), broken)) as server:
        same = client()
        assert same.send(request(server.url), auth=AUTH).status == 200
        with pytest.raises(TryAgain):
            same.send(request(server.url), auth=AUTH)
    assert not [secret for secret in SECRETS if secret in caplog.text]


# --- connections -----------------------------------------------------------------------------------------------------


def test_a_connection_is_kept_for_the_next_call() -> None:
    with ScriptedServer(recorded([], answer())) as server:
        same = client()
        for _ in range(3):
            same.send(request(server.url), auth=Credentials())
        assert server.visits == 1


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_S", -1.0)
    with ScriptedServer(recorded([], answer())) as server:
        same = client()
        for _ in range(3):
            same.send(request(server.url), auth=Credentials())
        assert server.visits == 3


def test_a_kept_connection_that_the_partner_closed_is_replaced_before_anything_is_sent() -> None:
    closed = threading.Event()
    seen: list[bytes] = []

    def script(visit: Visit) -> None:
        seen.append(visit.read())
        visit.write(answer())
        visit.connection.close()
        closed.set()

    with ScriptedServer(script) as server:
        same = client()
        for _ in range(2):
            closed.clear()
            assert same.send(request(server.url), auth=Credentials()).status == 200
            closed.wait(10)
    assert len(seen) == 2


# --- no answer -------------------------------------------------------------------------------------------------------


def hangs(visit: Visit) -> None:
    visit.read()
    visit.wait()


def does_not_read(visit: Visit) -> None:
    visit.wait()


def drips_its_head(visit: Visit) -> None:
    visit.read()
    visit.drip(b"HTTP/1.1 200 OK\r\n" + b"X-Slow: yes\r\n" * 200 + b"Content-Length: 2\r\n\r\n{}")


def drips_its_body(visit: Visit) -> None:
    visit.read()
    visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")
    visit.drip(b" " * 1998 + b"{}")


def drips_chunks(visit: Visit) -> None:
    visit.read()
    visit.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    visit.drip(b"1\r\n \r\n" * 500 + b"0\r\n\r\n")


def drips_the_body_of_a_redirect(visit: Visit) -> None:
    visit.read()
    visit.write(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 2000\r\n\r\n")
    visit.drip(b" " * 2000)


SLOW = [hangs, drips_its_head, drips_its_body, drips_chunks, drips_the_body_of_a_redirect]


@pytest.mark.parametrize("script", SLOW, ids=lambda script: script.__name__)
@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
def test_an_answer_that_is_not_complete_in_time_is_cut_off(script: Script, kept: bool) -> None:
    def after_a_first_answer(visit: Visit) -> None:
        if kept and visit.number == 1:
            visit.read()
            visit.write(answer())
        script(visit)

    with ScriptedServer(after_a_first_answer) as server:
        same = client(SHORT)
        if kept:
            same.send(request(server.url), auth=AUTH)
        with pytest.raises(TryAgain) as caught:
            same.send(request(server.url), auth=AUTH)
        assert server.visits == 1
    error = caught.value
    assert (error.code, error.applied_unknown, error.account, error.after_s) == ("timeout", True, True, None)
    assert "0.3 seconds" in error.hint


def test_a_partner_that_does_not_read_is_cut_off_too() -> None:
    with ScriptedServer(does_not_read) as server:
        big = HttpRequest("POST", server.url, raw=b"x" * 30_000_000)
        error = failure(SHORT, big)
    assert isinstance(error, TryAgain)
    assert (error.code, error.applied_unknown) == ("timeout", True)


def breaks_at_once(visit: Visit) -> None:
    visit.read()


def breaks_in_the_head(visit: Visit) -> None:
    visit.read()
    visit.write(b"HTTP/1.1 200 OK\r\nContent-")


def breaks_in_the_body(visit: Visit) -> None:
    visit.read()
    visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


def speaks_no_http(visit: Visit) -> None:
    visit.read()
    visit.write(b"220 mail.example ESMTP\r\n")


def says_two_lengths(visit: Visit) -> None:
    visit.read()
    visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n{}")


def says_wrong_encoding(visit: Visit) -> None:
    visit.read()
    visit.write(answer(b"no gzip", headers="Content-Encoding: gzip\r\n"))


BROKEN = [breaks_at_once, breaks_in_the_head, breaks_in_the_body]
UNREADABLE = [speaks_no_http, says_two_lengths, says_wrong_encoding]


@pytest.mark.parametrize("script", BROKEN + UNREADABLE, ids=lambda script: script.__name__)
def test_a_broken_answer_leaves_open_whether_the_call_was_applied_and_is_not_sent_again(script: Script) -> None:
    with ScriptedServer(script) as server:
        error = failure(AMPLE, request(server.url))
        assert server.visits == 1
    assert isinstance(error, TryAgain)
    code, said = (
        ("not_http", "sent an answer that cannot be read as HTTP")
        if script in UNREADABLE
        else ("connection_broken", "broke the connection before its answer was complete")
    )
    assert (error.code, error.applied_unknown, error.account) == (code, True, True)
    assert f"{said}; whether it did what was asked is unknown." in error.hint


def test_a_refused_connection_means_that_nothing_was_applied() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    error = failure(AMPLE, request(f"http://127.0.0.1:{port}"))
    assert isinstance(error, TryAgain)
    assert (error.code, error.applied_unknown, error.account) == ("connection_refused", False, True)


def test_no_encryption_means_that_nothing_was_sent() -> None:
    def speaks_plainly(visit: Visit) -> None:
        visit.connection.recv(1000)
        visit.write(answer())

    with ScriptedServer(speaks_plainly) as server:
        error = failure(AMPLE, request(server.url.replace("http:", "https:")))
    assert isinstance(error, TryAgain)
    assert (error.code, error.applied_unknown, error.account) == ("tls", False, True)


def test_an_encryption_that_never_comes_about_is_a_connection_that_was_not_accepted() -> None:
    with ScriptedServer(does_not_read) as server:
        error = failure(SHORT, request(server.url.replace("http:", "https:")))
    assert isinstance(error, TryAgain)
    assert (error.code, error.applied_unknown) == ("connect_timeout", False)


@contextmanager
def full_house() -> Iterator[str]:
    """A listening socket that takes no further connection."""
    with ExitStack() as sockets:
        listening = sockets.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(8):
            guest = sockets.enter_context(socket.socket())
            guest.setblocking(False)
            guest.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_connection_that_is_not_accepted_in_time_means_that_nothing_was_applied() -> None:
    with full_house() as url:
        error = failure(SHORT, request(url))
    assert isinstance(error, TryAgain)
    assert (error.code, error.applied_unknown, error.account) == ("connect_timeout", False, True)


@pytest.mark.parametrize("status", [200, 302, 500])
def test_an_endless_answer_is_cut_and_not_read_to_its_end(status: int) -> None:
    read_to_the_end: list[bool] = []

    def endless(visit: Visit) -> None:
        visit.read()
        visit.write(f"HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\n\r\n".encode())
        for _ in range(6 * MAX_ANSWER_BYTES // 65536):
            visit.write(b" " * 65536)
        read_to_the_end.append(True)

    with ScriptedServer(endless) as server:
        got = client().send(request(server.url), auth=AUTH)
    assert (got.status, got.cut, got.content) == (status, True, b" " * MAX_ANSWER_BYTES)
    assert not read_to_the_end


def test_a_cut_answer_leaves_no_connection_on_which_its_rest_could_be_taken_for_the_next_answer() -> None:
    body = b" " * 2 * MAX_ANSWER_BYTES + answer(b"[1]")
    with ScriptedServer(recorded([], answer(body))) as server:
        same = client()
        assert [same.send(request(server.url), auth=AUTH).content for _ in range(2)] == [body[:MAX_ANSWER_BYTES]] * 2
        assert server.visits == 2


@pytest.mark.parametrize(("bytes_more", "cut"), [(0, False), (1, True)])
def test_an_answer_of_1_mb_is_whole_and_a_longer_one_is_cut(bytes_more: int, cut: bool) -> None:
    assert MAX_ANSWER_BYTES == 1024 * 1024
    body = b"x" * (MAX_ANSWER_BYTES + bytes_more)
    with ScriptedServer(recorded([], answer(body, status="500 X"))) as server:
        got = client().send(request(server.url), auth=AUTH)
    assert (len(got.content), got.cut) == (MAX_ANSWER_BYTES, cut)


def test_what_unpacks_to_more_than_1_mb_is_cut() -> None:
    packed = gzip.compress(b" " * 50 * MAX_ANSWER_BYTES)
    assert len(packed) < MAX_ANSWER_BYTES
    with ScriptedServer(recorded([], answer(packed, headers="Content-Encoding: gzip\r\n"))) as server:
        got = client().send(request(server.url), auth=AUTH)
    assert (got.content, got.cut) == (b" " * MAX_ANSWER_BYTES, True)


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("ftp://127.0.0.1/?q=a-secret-query", "fine"),
        ("127.0.0.1:80", "fine"),
        ("http://", "fine"),
        ("http://127.0.0.1:99999/?q=a-secret-query", "fine"),
        ("http://[::1/?q=a-secret-query", "fine"),
        ("ftp://127.0.0.1:99999/?q=a-secret-query", "fine"),
        ("http://someone:a-secret-query@127.0.0.1:1/", "fine"),
        ("http://" + "x" * 64 + ".example/?q=a-secret-query", "fine"),
        ("http://127.0.0.1:1/", "a-secret-token\n"),
        ("http://127.0.0.1:1/", "a-secret-token €"),
        ("http://127.0.0.1:1/", "a-secret-token \x00"),
    ],
)
def test_what_cannot_be_sent_at_all_is_for_someone_to_put_right(url: str, token: str) -> None:
    auth = Credentials({"Authorization": token}, AUTH.query)
    with pytest.raises(PartnerError) as caught:
        client().send(HttpRequest("GET", url), auth=auth)
    assert not [secret for secret in SECRETS if secret in "".join(traceback.format_exception(caught.value))]
    if "\x00" not in token:
        assert isinstance(caught.value, Misconfigured)
        assert caught.value.code == "unusable_request"


# --- how long --------------------------------------------------------------------------------------------------------


def waited(send: Callable[[], HttpAnswer]) -> float:
    began = time.monotonic()
    with pytest.raises(TryAgain):
        send()
    return time.monotonic() - began


def test_connecting_an_answer_and_the_answer_of_a_batch_each_get_their_time() -> None:
    with ScriptedServer(hangs) as server, full_house() as nobody:
        slow = client(SHORT)
        assert 0.3 <= waited(lambda: slow.send(request(nobody), auth=Credentials())) < 10
        assert 0.3 <= waited(lambda: slow.send(request(server.url), auth=Credentials())) < 10
        assert 0.6 <= waited(lambda: slow.send(request(server.url, batch=True), auth=Credentials())) < 10


def test_a_stall_after_some_bytes_gets_only_what_is_left() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(1000)
        call = connection.Call(50, look_up, public_only=False)
        call.connected()
        theirs.sendall(b"x")
        assert connection.Connection(ours)._receive(call) == b"x"
        assert 0 < (ours.gettimeout() or 0) <= 50


def test_a_call_can_bring_a_time_of_its_own_for_its_answer() -> None:
    with ScriptedServer(hangs) as server:
        own = msgspec.structs.replace(request(server.url, batch=True), answer_s=0.3)
        error = failure(AMPLE, own)
    assert (error.code, "0.3 seconds" in error.hint) == ("timeout", True)


@pytest.mark.parametrize(
    ("asked", "needed_s"),
    [
        (HttpRequest("GET", "URL"), 3.0),
        (HttpRequest("GET", "URL", batch=True), 5.0),
        (HttpRequest("GET", "URL", answer_s=10.0), 15.0),
    ],
)
def test_a_call_is_not_begun_unless_there_is_time_for_all_of_it(asked: HttpRequest, needed_s: float) -> None:
    timeouts = Timeouts(connect_s=1, answer_s=2, batch_answer_s=4)
    with ScriptedServer(recorded([], answer())) as server:
        asked = msgspec.structs.replace(asked, url=server.url)
        with leash.within(lambda: needed_s - 0.1), pytest.raises(leash.OutOfTime):
            client(timeouts).send(asked, auth=AUTH)
        assert server.visits == 0
        with leash.within(lambda: needed_s):
            assert client(timeouts).send(asked, auth=AUTH).status == 200


def test_unless_set_they_are_5_5_and_10_seconds() -> None:
    assert Timeouts() == Timeouts(connect_s=5, answer_s=5, batch_answer_s=10)


@pytest.mark.slow
def test_5_5_and_10_seconds_measured_against_a_server_that_hangs() -> None:
    with ScriptedServer(hangs) as server, full_house() as nobody, ThreadPoolExecutor(3) as threads:
        usual = client(Timeouts())
        calls = [request(nobody), request(server.url), request(server.url, batch=True)]
        times = list(threads.map(lambda asked: waited(lambda: usual.send(asked, auth=Credentials())), calls))
    assert [round(one, 3) >= least for one, least in zip(times, (5, 5, 10), strict=True)] == [True, True, True]
    assert [one < least + 4 for one, least in zip(times, (5, 5, 10), strict=True)] == [True, True, True]


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("http://127.0.0.1:9", "127.0.0.1:9"),
        ("http://[::1]:9", "[::1]:9"),
        ("http://no-such-host.invalid", "no-such-host.invalid:80"),
        ("https://no-such-host.invalid", "no-such-host.invalid:443"),
    ],
)
def test_a_partner_that_cannot_be_reached_is_named_with_its_port(url: str, named: str) -> None:
    assert failure(AMPLE, request(url)).hint.startswith(f"The partner ({named}) cannot be reached: ")
