"""What a client reaches that may call public addresses only, and how it connects."""

from __future__ import annotations

import itertools
import socket
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.client import RequestsClient
from adapters.connection import LEAST_ATTEMPT_S
from adapters.contract import Account, Credentials, Description, Field, HttpRequest
from adapters.network import AddressInfo, Network, look_up
from relay.domain.clock import SystemClock
from relay.domain.connector import BatchLimits, Connector, Inbound, Limits, Timeouts
from relay.domain.errors import Misconfigured, PartnerError, TryAgain
from tests.contract.adapters.scripted import ScriptedServer, Visit, answer
from tests.unit.adapters.internet import Authority, EncryptedServer, Internet

AMPLE = Timeouts(connect_s=20, answer_s=20, batch_answer_s=20)
PUBLIC_ONLY = Network(public_only=True)
AUTH = Credentials({"Authorization": "Bearer a-secret-token"}, {"key": "a-secret-key"})
ONE, OTHER = "93.184.215.14", "151.101.1.6"


def answers(visit: Visit) -> None:
    while visit.read():
        visit.write(answer(b'{"fine": true}'))


def client(internet: Internet, network: Network = PUBLIC_ONLY, timeouts: Timeouts = AMPLE) -> RequestsClient:
    return RequestsClient(timeouts, SystemClock(), network, resolver=internet)


def failure(used: RequestsClient, url: str) -> PartnerError:
    with pytest.raises(PartnerError) as caught:
        used.send(HttpRequest("POST", url, body={"id": "a-secret-body"}), auth=AUTH)
    whole = "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in ("a-secret-token", "a-secret-key") if secret in whole or secret in caught.value.hint]
    return caught.value


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "0.0"]
)
def test_a_name_that_stands_for_a_private_address_is_refused_before_any_connection(internet: Internet, address: str) -> None:
    internet.names["partner.example"] = [[address]]
    with ScriptedServer(answers) as server:
        port = server.url.rpartition(":")[2]
        error = failure(client(internet), f"https://partner.example:{port}")
        assert server.visits == 0
    assert isinstance(error, Misconfigured)
    assert (error.code, internet.called) == ("private_address", [])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
def test_so_is_the_address_itself_however_it_is_spelled(internet: Internet, host: str) -> None:
    with ScriptedServer(answers) as server:
        port = server.url.rpartition(":")[2]
        real = RequestsClient(AMPLE, SystemClock(), PUBLIC_ONLY, resolver=look_up)
        error = failure(real, f"https://{host}:{port}")
        assert server.visits == 0
    assert (error.code, internet.called) == ("private_address", [])


def test_the_same_address_is_called_where_it_is_allowed(internet: Internet) -> None:
    internet.names["partner.example"] = [["127.0.0.1"]]
    with ScriptedServer(answers) as server:
        port = server.url.rpartition(":")[2]
        got = client(internet, Network()).send(HttpRequest("GET", f"http://partner.example:{port}"), auth=AUTH)
    assert got.status == 200


def test_plain_http_is_refused_before_any_name_is_looked_up(internet: Internet) -> None:
    internet.names["partner.example"] = [[ONE]]
    error = failure(client(internet), "http://partner.example")
    assert (type(error), error.code, internet.asked) == (Misconfigured, "plain_http", [])


# --- connected to exactly what was checked ---------------------------------------------------------------------------


def test_a_name_that_changes_after_it_was_checked_does_not_lead_elsewhere(internet: Internet, authority: Authority) -> None:
    internet.names["partner.example"] = [[ONE], ["127.0.0.1"]]
    context = authority.context("partner.example")
    with EncryptedServer(answers, context) as partner, EncryptedServer(answers, context) as inside:
        internet.places[ONE] = partner.port
        got = client(internet).send(HttpRequest("GET", f"https://partner.example:{inside.port}"), auth=AUTH)
        assert (got.status, partner.visits, inside.visits) == (200, 1, 0)
        assert internet.asked == ["partner.example"], "asked once for one connection"
        assert internet.called == [(ONE, inside.port)]


def test_every_new_connection_is_checked_again(internet: Internet, authority: Authority) -> None:
    internet.names["partner.example"] = [[ONE], ["127.0.0.1"]]

    def closes(visit: Visit) -> None:
        visit.read()
        visit.write(answer(headers="Connection: close\r\n"))

    with EncryptedServer(closes, authority.context("partner.example")) as partner:
        internet.places[ONE] = partner.port
        same = client(internet)
        same.send(HttpRequest("GET", "https://partner.example"), auth=AUTH)
        assert failure(same, "https://partner.example").code == "private_address"
        assert partner.visits == 1


def test_addresses_are_tried_one_after_the_other(internet: Internet, authority: Authority) -> None:
    internet.names["partner.example"] = [[OTHER, "2606:4700:4700::1111", ONE]]
    with EncryptedServer(answers, authority.context("partner.example")) as partner:
        internet.places[ONE] = partner.port
        assert client(internet).send(HttpRequest("GET", "https://partner.example"), auth=AUTH).status == 200
    assert [address for address, _ in internet.called] == [OTHER, "2606:4700:4700::1111", ONE]


def test_where_none_can_be_reached_nothing_was_applied(internet: Internet) -> None:
    internet.names["partner.example"] = [[ONE, OTHER]]
    error = failure(client(internet), "https://partner.example")
    assert isinstance(error, TryAgain)
    assert (error.code, error.applied_unknown, error.account) == ("unreachable", False, True)
    assert [address for address, _ in internet.called] == [ONE, OTHER]


def test_a_host_without_an_address_cannot_be_reached(internet: Internet) -> None:
    internet.names["partner.example"] = [[]]
    assert failure(client(internet), "https://partner.example").code == "unreachable"
    assert failure(client(internet), "https://unknown.example").code == "unknown_host"


def test_the_time_for_connecting_is_shared_by_all_addresses(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def never_accepted(self: socket.socket, where: object) -> None:
        given.append(self.gettimeout() or 0.0)
        raise TimeoutError

    monkeypatch.setattr(socket.socket, "connect", never_accepted)
    internet.names["partner.example"] = [[ONE, OTHER, "2606:4700:4700::1111"]]
    error = failure(client(internet), "https://partner.example")
    assert error.code == "connect_timeout"
    assert [share <= most for share, most in zip(given, (20 / 3, 20 / 2, 20), strict=True)] == [True] * 3
    assert given[0] > LEAST_ATTEMPT_S


def test_a_name_that_is_not_looked_up_in_time_is_a_connection_that_did_not_come_about() -> None:
    over = threading.Event()

    def hangs(host: str, port: int) -> list[AddressInfo]:
        over.wait(60)
        return []

    short = Timeouts(connect_s=0.1, answer_s=20, batch_answer_s=20)
    waiting = RequestsClient(short, SystemClock(), PUBLIC_ONLY, resolver=hangs)
    try:
        error = failure(waiting, "https://partner.example")
    finally:
        over.set()
    assert isinstance(error, TryAgain)
    assert (error.code, error.applied_unknown) == ("connect_timeout", False)


# --- encrypted -------------------------------------------------------------------------------------------------------


def test_an_encrypted_call_arrives_and_its_connection_is_kept(internet: Internet, authority: Authority) -> None:
    seen: list[bytes] = []

    def records(visit: Visit) -> None:
        while received := visit.read():
            seen.append(received)
            visit.write(answer(b'{"fine": true}'))

    internet.names["partner.example"] = [[ONE]]
    with EncryptedServer(records, authority.context("partner.example")) as partner:
        internet.places[ONE] = partner.port
        same = client(internet)
        asked = HttpRequest("POST", "https://partner.example/users?a=b", body={"id": 1})
        assert [same.send(asked, auth=AUTH).content for _ in range(2)] == [b'{"fine": true}'] * 2
        assert (partner.visits, internet.asked) == (1, ["partner.example"])
    head, _, body = seen[1].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /users?a=b&key=a-secret-key HTTP/1.1\r\nHost: partner.example\r\n")
    assert b"Authorization: Bearer a-secret-token" in head
    assert body == b'{"id":1}'


@pytest.mark.parametrize(
    ("proves_to_be", "days", "trusted"),
    [("elsewhere.example", 1, True), (ONE, 1, True), ("partner.example", -1, True), ("partner.example", 1, False)],
    ids=["another name", "the address instead of the name", "expired", "by an unknown authority"],
)
def test_a_partner_that_does_not_prove_its_name_is_sent_nothing(
    internet: Internet, authority: Authority, tmp_path: Path, proves_to_be: str, days: int, trusted: bool
) -> None:
    seen: list[bytes] = []
    (tmp_path / "other").mkdir()
    context = (authority if trusted else Authority(tmp_path / "other")).context(proves_to_be, days=days)
    internet.names["partner.example"] = [[ONE]]
    with EncryptedServer(lambda visit: seen.append(visit.read()), context) as partner:
        internet.places[ONE] = partner.port
        error = failure(client(internet), "https://partner.example")
        assert partner.visits == 1
    assert isinstance(error, TryAgain)
    assert (error.code, error.applied_unknown, seen) == ("tls", False, [])


def test_the_certificates_that_are_trusted_are_read_once(internet: Internet, authority: Authority) -> None:
    internet.names["partner.example"] = [[ONE]]

    def closes(visit: Visit) -> None:
        visit.read()
        visit.write(answer(headers="Connection: close\r\n"))

    with EncryptedServer(closes, authority.context("partner.example")) as partner:
        internet.places[ONE] = partner.port
        asked = HttpRequest("GET", f"https://partner.example:{partner.port}")
        assert client(internet).send(asked, auth=AUTH).status == 200
        authority.bundle.write_bytes(b"")
        assert client(internet).send(asked, auth=AUTH).status == 200
        assert partner.visits == 2


def test_the_time_for_the_answer_counts_behind_encryption_too(internet: Internet, authority: Authority) -> None:
    def drips(visit: Visit) -> None:
        visit.read()
        visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")
        visit.drip(b" " * 2000)

    internet.names["partner.example"] = [[ONE]]
    with EncryptedServer(drips, authority.context("partner.example")) as partner:
        internet.places[ONE] = partner.port
        short = Timeouts(connect_s=20, answer_s=0.3, batch_answer_s=20)
        error = failure(client(internet, timeouts=short), "https://partner.example")
    assert isinstance(error, TryAgain)
    assert (error.code, error.applied_unknown) == ("timeout", True)


def test_whatever_is_refused_the_secrets_are_not_shown(internet: Internet) -> None:
    internet.names["partner.example"] = [["10.0.0.1"]]
    networks = (Network(), PUBLIC_ONLY, Network(True, True))
    for network, scheme in itertools.product(networks, ("http", "https")):
        failure(client(internet, network), f"{scheme}://partner.example/?user=a-secret-token")


# --- what a connector says -------------------------------------------------------------------------------------------


class Calling:
    """An adapter that has these two settings, and calls the first."""

    SETTINGS: tuple[Field, ...] = (
        Field("base_url", "Address"),
        Field("allow_private_network", "Private", "boolean", default=False),
    )

    def __init__(self, account: Account) -> None:
        self._account = account

    @classmethod
    def describe(cls, settings: Mapping[str, Any]) -> Description:
        limits = BatchLimits(max_items=1, max_bytes=1)
        return Description("calling", "Calling", "For a test.", cls.SETTINGS, (), (), (), limits)

    def call(self) -> int:
        request = HttpRequest("GET", self._account.settings["base_url"])
        return self._account.client.send(request, auth=Credentials()).status


class CallingAnywhere(Calling):
    """An adapter without a setting about it."""

    SETTINGS = Calling.SETTINGS[:1]


class NoTokens:
    def get(self, name: str, obtain: Callable[[str], tuple[str, float, str]], *, not_token: str = "") -> str:
        raise AssertionError

    def replace(self, name: str, obtain: Callable[[], tuple[str, float, str]]) -> bool:
        raise AssertionError


@pytest.mark.parametrize(
    ("adapter", "settings", "expected"),
    [
        ("Calling", {}, "plain_http"),
        ("Calling", {"allow_private_network": False}, "plain_http"),
        ("Calling", {"allow_private_network": True}, 307),
        ("Calling", {"allow_private_network": True, "follow_redirects": False}, 307),
        ("Calling", {"allow_private_network": True, "follow_redirects": True}, 200),
        ("CallingAnywhere", {}, 307),
    ],
)
def test_a_connector_reaches_what_its_settings_allow(
    monkeypatch: pytest.MonkeyPatch, adapter: str, settings: dict[str, Any], expected: object
) -> None:
    monkeypatch.setattr(registry, "ADAPTERS", {"calling": f"{__name__}:{adapter}"})

    def moves(visit: Visit) -> None:
        while received := visit.read():
            moved = answer(status="307 X", headers="Location: /new\r\n")
            visit.write(answer() if received.startswith(b"GET /new ") else moved)

    with ScriptedServer(moves) as server:
        limits = Limits(batch=BatchLimits(max_items=1, max_bytes=1))
        given = {"base_url": server.url, **settings}
        connector = Connector("c", "c", 1, "calling", Inbound(hmac_secret="x"), (), limits, given)
        opened: Any = registry.open_adapter(connector, {}, clock=SystemClock(), tokens=NoTokens())
        try:
            got: object = opened.call()
        except Misconfigured as error:
            got = error.code
    assert got == expected
