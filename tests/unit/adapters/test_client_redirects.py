"""Redirects: followed only where a connector says so, and never with what was meant for another place."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Mapping

import pytest

from adapters.client import RequestsClient
from adapters.contract import Credentials, HttpAnswer, HttpRequest
from adapters.network import Network
from adapters.redirects import MAX_HOPS, onward
from relay.domain.clock import SystemClock
from relay.domain.connector import Timeouts
from relay.domain.errors import Misconfigured, PartnerError, TryAgain
from tests.contract.adapters.scripted import Script, ScriptedServer, Visit, answer
from tests.unit.adapters.internet import Authority, EncryptedServer, Internet

AMPLE = Timeouts(connect_s=20, answer_s=20, batch_answer_s=20)
FOLLOWS = Network(follow_redirects=True)
AUTH = Credentials({"Authorization": "Bearer a-secret-token"}, {"key": "a-secret-key"})
NOBODY = Credentials()
ONE, OTHER = "93.184.215.14", "151.101.1.6"


def to(location: str, status: int = 307) -> bytes:
    return answer(b"moved", status=f"{status} X", headers=f"Location: {location}\r\n")


def plays(seen: list[bytes], answers: Mapping[str, bytes]) -> Script:
    """Answers by path."""

    def script(visit: Visit) -> None:
        while received := visit.read():
            seen.append(received)
            visit.write(answers[received.split(b" ")[1].partition(b"?")[0].decode()])

    return script


def send(request: HttpRequest, auth: Credentials = NOBODY, network: Network = FOLLOWS) -> HttpAnswer:
    return RequestsClient(AMPLE, SystemClock(), network).send(request, auth=auth)


def failure(request: HttpRequest, auth: Credentials = AUTH, *, used: RequestsClient | None = None) -> PartnerError:
    with pytest.raises(PartnerError) as caught:
        (used or RequestsClient(AMPLE, SystemClock(), FOLLOWS)).send(request, auth=auth)
    whole = "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in ("a-secret-token", "a-secret-key") if secret in whole or secret in caught.value.hint]
    return caught.value


# --- which -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "followed"),
    [
        ({"method": "GET"}, {301, 302, 303, 307, 308}),
        ({"method": "HEAD"}, {301, 302, 303, 307, 308}),
        ({"method": "POST", "body": {"id": 1}}, {307, 308}),
        ({"method": "PUT", "raw": b"1"}, {307, 308}),
        ({"method": "GET", "body": {"id": 1}}, {307, 308}),
        ({"method": "POST"}, {307, 308}),
        ({"method": "DELETE"}, {307, 308}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308])
def test_a_call_is_never_turned_into_another_one(call: dict[str, object], followed: set[int], status: int) -> None:
    seen: list[bytes] = []
    moved = answer(b"", status=f"{status} X", headers="Location: /new\r\n")
    with ScriptedServer(plays(seen, {"/old": moved, "/new": answer(b"")})) as server:
        request = HttpRequest(url=f"{server.url}/old", **call)  # type: ignore[arg-type]
        assert send(request, AUTH).status == (200 if status in followed else status)
    heads = [one.partition(b"\r\n")[0] for one in seen]
    method = str(call["method"]).encode()
    assert heads[1:] == ([method + b" /new?key=a-secret-key HTTP/1.1"] if status in followed else [])
    assert len({one.partition(b"\r\n")[2] for one in seen}) == 1, "headers and body are the same"


@pytest.mark.parametrize(
    "location", ["/b/new?c=d", "new?c=d", "./new?c=d", "../b/new?c=d", "//HERE/b/new?c=d", "http://HERE/b/new?c=d#x"]
)
def test_an_address_can_be_whole_or_relative(location: str) -> None:
    seen: list[bytes] = []
    answers = {"/b/new": answer(b"[1]")}
    with ScriptedServer(plays(seen, answers)) as server:
        answers["/b/old"] = to(location.replace("HERE", server.url.removeprefix("http://")))
        got = send(HttpRequest("GET", f"{server.url}/b/old?a=b"), AUTH)
        assert server.visits == 1, "over the same connection"
    assert got.content == b"[1]"
    assert seen[1].split(b" ")[1] == b"/b/new?c=d&key=a-secret-key"


def test_credentials_that_a_redirect_repeats_are_sent_once() -> None:
    seen: list[bytes] = []
    with ScriptedServer(plays(seen, {"/old": to("/new?key=a-secret-key&a=b"), "/new": answer()})) as server:
        send(HttpRequest("GET", f"{server.url}/old?a=b"), AUTH)
    assert seen[1].split(b" ")[1] == b"/new?a=b&key=a-secret-key"


def test_five_are_followed_and_no_more() -> None:
    assert MAX_HOPS == 5
    steps = {f"/{number}": to(f"/{number - 1}") for number in range(1, 7)}
    seen: list[bytes] = []
    with ScriptedServer(plays(seen, {**steps, "/0": answer(b"[]")})) as server:
        assert send(HttpRequest("GET", f"{server.url}/5"), AUTH).content == b"[]"
        seen.clear()
        error = failure(HttpRequest("GET", f"{server.url}/6"))
    assert (type(error), error.code, len(seen)) == (Misconfigured, "too_many_redirects", 6)


@pytest.mark.parametrize(
    "location",
    [
        "",
        "ftp://partner.example/",
        "javascript:1",
        "https://",
        "http://[::1",
        "http://h:99999/",
        "http://h:x/",
        "//u:p@h/",
        "/\xff",
    ],
)
def test_an_address_that_cannot_be_used_is_for_someone_to_put_right(location: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        onward("http://partner.example/a", 307, location, hops=0, reading=True, confidential=False)
    assert (caught.value.code, caught.value.status) == ("bad_redirect", 307)


def test_so_is_a_redirect_without_an_address() -> None:
    with ScriptedServer(plays([], {"/old": answer(status="302 X", headers="")})) as server:
        assert failure(HttpRequest("GET", f"{server.url}/old")).code == "bad_redirect"


# --- where to --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "headers", "body", "auth"),
    [
        ("GET", {}, None, Credentials({"Authorization": "Bearer a-secret-token"})),
        ("GET", {}, None, Credentials({}, {"key": "a-secret-key"})),
        ("GET", {"X-Tenant": "a-tenant"}, None, NOBODY),
        ("POST", {}, {"id": "a user"}, NOBODY),
    ],
    ids=["credentials in headers", "credentials in the query", "headers of the connector's own", "users in the body"],
)
def test_what_was_meant_for_one_place_is_not_sent_to_another(
    method: str, headers: dict[str, str], body: object, auth: Credentials
) -> None:
    with ScriptedServer(plays([], {"/new": answer()})) as other:
        with ScriptedServer(plays([], {"/old": to(f"{other.url}/new")})) as server:
            error = failure(HttpRequest(method, f"{server.url}/old", headers, body), auth)
        assert other.visits == 0
    assert (type(error), error.code, error.status) == (Misconfigured, "redirect_elsewhere", 307)


def test_what_holds_nothing_of_the_kind_can_be_read_elsewhere() -> None:
    seen: list[bytes] = []
    with ScriptedServer(plays(seen, {"/new": answer(b"[1]")})) as other:
        with ScriptedServer(plays([], {"/old": to(f"{other.url}/new", 303)})) as server:
            assert send(HttpRequest("GET", f"{server.url}/old")).content == b"[1]"
        assert f"Host: {other.url.removeprefix('http://')}".encode() in seen[0]


@pytest.mark.parametrize(
    ("target", "same"),
    [
        ("https://partner.example/b", True),
        ("https://partner.example:443/b", True),
        ("https://PARTNER.example/b", True),
        ("https://partner.example./b", True),
        ("https://partner.example:8443/b", False),
        ("https://www.partner.example/b", False),
        ("https://partner.example.elsewhere.example/b", False),
        ("https://elsewhere.example\\.partner.example/b", False),
        ("//elsewhere.example", False),
    ],
)
def test_a_place_is_scheme_host_and_port(target: str, same: bool) -> None:
    def leads() -> str | None:
        return onward("https://partner.example/a", 308, target, hops=0, reading=False, confidential=True)

    if same:
        assert leads() == target
    else:
        with pytest.raises(Misconfigured) as caught:
            leads()
        assert caught.value.code == "redirect_elsewhere"


@pytest.mark.parametrize("confidential", [True, False])
def test_encryption_is_never_given_up(confidential: bool) -> None:
    with pytest.raises(Misconfigured) as caught:
        onward("https://p.example/a", 302, "http://p.example:443/a", hops=0, reading=True, confidential=confidential)
    assert caught.value.code == "plain_http"


# --- under the policy ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", ["https://inside.example:PORT/new", "https://127.0.0.1:PORT/new", "https://2130706433:PORT/new"]
)
def test_a_redirect_to_a_private_address_is_refused(internet: Internet, authority: Authority, place: str) -> None:
    internet.names.update({"partner.example": [[ONE]], "inside.example": [["127.0.0.1"]]})
    internet.names["2130706433"] = [["127.0.0.1"]]
    internet.names["127.0.0.1"] = [["127.0.0.1"]]
    with ScriptedServer(plays([], {"/new": answer()})) as inside:
        location = place.replace("PORT", inside.url.rpartition(":")[2])
        with EncryptedServer(plays([], {"/old": to(location)}), authority.context("partner.example")) as partner:
            internet.places[ONE] = partner.port
            used = RequestsClient(AMPLE, SystemClock(), Network(public_only=True, follow_redirects=True), resolver=internet)
            error = failure(HttpRequest("GET", "https://partner.example/old"), NOBODY, used=used)
            assert partner.visits == 1
        assert inside.visits == 0
    assert (type(error), error.code) == (Misconfigured, "private_address")


def test_a_redirect_to_another_public_place_is_checked_and_followed(internet: Internet, authority: Authority) -> None:
    internet.names.update({"partner.example": [[ONE]], "files.example": [[OTHER]]})
    seen: list[bytes] = []
    moved = plays([], {"/old": to("https://files.example/new")})
    with (
        EncryptedServer(moved, authority.context("partner.example")) as partner,
        EncryptedServer(plays(seen, {"/new": answer(b"[1]")}), authority.context("files.example")) as files,
    ):
        internet.places.update({ONE: partner.port, OTHER: files.port})
        used = RequestsClient(AMPLE, SystemClock(), Network(public_only=True, follow_redirects=True), resolver=internet)
        assert used.send(HttpRequest("GET", "https://partner.example/old"), auth=NOBODY).content == b"[1]"
    assert internet.asked == ["partner.example", "files.example"]
    assert b"Host: files.example\r\n" in seen[0]


# --- how long --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("same_place", [True, False])
def test_the_time_for_the_answer_counts_over_all_of_them(same_place: bool) -> None:
    over_all = 0.4

    def slow(visit: Visit) -> None:
        while received := visit.read():
            left = int(received.split(b" ")[1].strip(b"/"))
            if visit.over.wait(0.15):
                return
            visit.write(to(f"{base[left % 2]}/{left - 1}") if left else answer())

    base: list[str] = ["", ""]
    with ScriptedServer(slow) as server, ScriptedServer(slow) as other:
        if not same_place:
            base[:] = [server.url, other.url]
        used = RequestsClient(Timeouts(20, over_all, 20), SystemClock(), FOLLOWS)
        error = failure(HttpRequest("GET", f"{server.url}/5"), NOBODY, used=used)
    assert isinstance(error, TryAgain)
    assert error.code == "timeout"


def test_connecting_to_the_next_place_gets_what_is_left_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    connect = socket.socket.connect

    def noted(self: socket.socket, where: tuple[str, int]) -> None:
        given.append(self.gettimeout() or 0.0)
        connect(self, where)

    monkeypatch.setattr(socket.socket, "connect", noted)
    with (
        ScriptedServer(plays([], {"/new": answer()})) as other,
        ScriptedServer(plays([], {"/old": to(f"{other.url}/new")})) as server,
    ):
        used = RequestsClient(Timeouts(connect_s=60, answer_s=30, batch_answer_s=30), SystemClock(), FOLLOWS)
        used.send(HttpRequest("GET", f"{server.url}/old"), auth=NOBODY)
    assert [30 < given[0] <= 60, 0 < given[1] <= 30] == [True, True]


def test_a_redirected_call_whose_new_place_cannot_be_reached_was_not_applied() -> None:
    with ScriptedServer(plays([], {})) as gone:
        nowhere = gone.url
    with ScriptedServer(plays([], {"/old": to(f"{nowhere}/new")})) as server:
        error = failure(HttpRequest("DELETE", f"{server.url}/old"), NOBODY)
    assert isinstance(error, TryAgain)
    assert (error.code, error.applied_unknown) == ("connection_refused", False)
    assert nowhere.removeprefix("http://") in error.hint
