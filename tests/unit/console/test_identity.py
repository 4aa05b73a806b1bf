"""Behind Identity-Aware Proxy: who is let into the console."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.configuration import Configuration
from relay.console import create_app
from relay.console.guard import PROXY_HEADER
from relay.console.identity import ProxyIdentity
from relay.domain.errors import StoreUnavailable
from tests.clock import TurnedClock
from tests.unit.console.signing_proxy import AUDIENCE, Proxy


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def identity(proxy: Proxy, clock: TurnedClock) -> ProxyIdentity:
    return ProxyIdentity(AUDIENCE, clock, keys_url=proxy.url)


def test_who_the_proxy_let_in_is_known(identity: ProxyIdentity, proxy: Proxy) -> None:
    assert identity.email(proxy.assertion()) == "op@example.org"


@pytest.mark.parametrize(
    "forged",
    [
        lambda proxy: "",
        lambda proxy: "no assertion",
        lambda proxy: proxy.assertion(aud="/projects/1/locations/europe-west1/services/another"),
        lambda proxy: proxy.assertion(iss="https://example.org"),
        lambda proxy: proxy.assertion(iat=int(time.time()) - 1_200, exp=int(time.time()) - 600),
        lambda proxy: proxy.assertion(email=""),
        lambda proxy: proxy.assertion(email=None),
        lambda proxy: proxy.assertion("unpublished"),
        lambda proxy: proxy.assertion()[:-8] + "AAAAAAAA",
        lambda proxy: ".".join((proxy.assertion().split(".")[0], proxy.assertion(email="x@y.z").split(".")[1], "")),
    ],
    ids=["none", "noise", "audience", "issuer", "expired", "no address", "other address", "key", "signature", "unsigned"],
)
def test_anything_else_is_nobody(identity: ProxyIdentity, proxy: Proxy, forged: Callable[[Proxy], str]) -> None:
    proxy.new_key("unpublished", published=False)
    assert identity.email(forged(proxy)) is None


def test_a_new_key_of_the_proxy_is_learned_and_keys_are_not_asked_for_at_every_request(
    identity: ProxyIdentity, proxy: Proxy, clock: TurnedClock
) -> None:
    for _ in range(5):
        assert identity.email(proxy.assertion())
    assert proxy.asked == 1
    proxy.new_key("k2")
    clock.advance(60)
    assert identity.email(proxy.assertion("k2"))
    assert proxy.asked == 2
    proxy.new_key("unpublished", published=False)
    for _ in range(5):
        assert identity.email(proxy.assertion("unpublished")) is None
    assert proxy.asked == 2, "whoever makes up keys does not have us ask for them all the time"


def test_keys_that_are_known_go_on_while_no_new_ones_can_be_had(
    identity: ProxyIdentity, proxy: Proxy, clock: TurnedClock, capfd: pytest.CaptureFixture[str]
) -> None:
    assert identity.email(proxy.assertion())
    proxy.server.shutdown()
    proxy.server.server_close()
    clock.advance(3_600)
    assert identity.email(proxy.assertion()) == "op@example.org"
    assert "proxy_keys_unreadable" in capfd.readouterr().err


def test_without_any_keys_nobody_is_let_in(clock: TurnedClock) -> None:
    with pytest.raises(StoreUnavailable):
        ProxyIdentity(AUDIENCE, clock, keys_url="http://127.0.0.1:9/").email(Proxy().assertion())


def test_the_console_shows_itself_to_those_whom_the_proxy_let_in_and_asks_for_no_password(
    identity: ProxyIdentity, proxy: Proxy, clock: TurnedClock, tmp_path: Path
) -> None:
    backend = EmbeddedBackend.open(tmp_path / "state", clock)
    app = create_app(Configuration(console_password="a-password", iap_audience=AUDIENCE), backend, clock, proxy=identity)
    with app.test_client() as client:
        assert client.get("/search", headers={PROXY_HEADER: proxy.assertion()}).status_code == 200
        assert client.get("/search").status_code == 401
        assert client.get("/search", headers={PROXY_HEADER: proxy.assertion(aud="another")}).status_code == 401
        assert client.get("/search", auth=("op", "a-password")).status_code == 401, "the proxy is not to be gone around"
    backend.close()
