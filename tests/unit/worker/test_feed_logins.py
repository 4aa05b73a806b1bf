"""Feeds with a login of their own at the partner, and what they ask of it before anything is delivered."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from adapters.contract import Adapter
from adapters.registry import describe
from handlers.mediarithmics.destination import Destination
from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Token
from relay.connectors.publishing import Publishing
from relay.domain.connector import Connector
from relay.domain.errors import CredentialsRefused, Misconfigured, TryAgain, Unsupported
from relay.domain.feed import Use
from tests.clock import TurnedClock
from tests.unit.adapters.authentication.server import (
    CLIENT_ID,
    CLIENT_SECRET,
    FIRST_REFRESH,
    AuthorizationServer,
    authorization_server,
)
from tests.unit.adapters.authentication.server import Reply as TokenReply
from tests.unit.adapters.http.conftest import TARGET, users
from tests.unit.adapters.http.partner import Call, Partner, Reply
from worker.catalog import Catalog
from worker.feeds import Feeds
from worker.logins import token_name
from worker.partners import Partners
from worker.tokens import LEASE_S, SharedTokens

REDIRECT_URI = "https://platform.example/back"
VERIFIER = "v" * 64

ACME = """
name: acme
adapter: http
inbound: {source: mediarithmics, feed_settings: [parameters, partner]}
settings:
  base_url: URL
  allow_private_network: true
  auth: {type: oauth2, grant: GRANT token_url: URL/token}
  audiences:
    create: {request: {method: POST, path: /made}, id: to_string(ok)}
    ready: {request: {method: GET, path: /ready}, when: ok}
  operations:
    add: {effect: add, fields: {id: {required: true}}, request: {method: POST, path: /api, body: "{{ rows }}"}}
  check: {request: {method: GET, path: /api}}
secrets: {client_id: acme-id, client_secret: acme-secret}
actions:
  - {name: Add, trigger: joined, operation: add, mapping: {id: user.id}}
"""
BY_CONSENT = "authorization_code, authorize_url: URL/authorize,"
BY_CLIENT = "client_credentials,"

META = """
name: meta
adapter: meta
inbound: {source: mediarithmics, feed_settings: [account_id]}
settings: {base_url: URL, allow_private_network: true}
secrets: {access_token: meta-token}
actions:
  - {name: Create, trigger: created, operation: create_audience}
  - {name: Add, trigger: joined, operation: add, mapping: {email: user.email}}
"""


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def backend(tmp_path: Path, clock: TurnedClock) -> Iterator[EmbeddedBackend]:
    opened = EmbeddedBackend.open(tmp_path / "state", clock)
    yield opened
    opened.close()


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with authorization_server() as made:
        yield made


@pytest.fixture
def partner() -> Iterator[Partner]:
    with Partner() as started:
        yield started


@pytest.fixture
def feeds(backend: EmbeddedBackend, clock: TurnedClock, server: AuthorizationServer) -> Feeds:
    apply(backend, ACME.replace("GRANT", BY_CONSENT), server.url, **{"acme-id": CLIENT_ID, "acme-secret": CLIENT_SECRET})
    return Feeds(backend, clock)


def apply(backend: EmbeddedBackend, text: str, url: str, **secrets: str) -> Connector:
    publishing = Publishing(backend, describe, "test")
    for name, value in secrets.items():
        publishing.set_secret(name, value)
    publishing.apply(text.replace("URL", url))
    return publishing.all_live()[-1]


def log_in(feeds: Feeds, login: str) -> str:
    """Somebody allows the access in a browser; the refresh token."""
    address = feeds.login_address("acme", redirect_uri=REDIRECT_URI, state="s t a t e", verifier=VERIFIER)

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *arguments: object) -> None:
            return None

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.build_opener(Stay).open(address, timeout=30)
    query = dict(parse_qsl(urlsplit(caught.value.headers["Location"]).query))
    assert query["state"] == "s t a t e"
    return feeds.connect("acme", login, code=query["code"], redirect_uri=REDIRECT_URI, verifier=VERIFIER)


def name_of_tokens(feeds: Feeds, login: str = "destination.1") -> str:
    return token_name("acme", login, feeds._authorization("acme", login).token_name())


def sent_as(server: AuthorizationServer, adapter: Adapter) -> str:
    """The token that a call with this adapter carries."""
    adapter.send("add", TARGET, users(["u"]))
    return server.called[-1].headers["authorization"].removeprefix("Bearer ")


def test_it_is_what_the_feeds_function_asks_for(feeds: Feeds) -> None:
    destination: Destination = feeds
    assert destination.offered("acme").connectable
    assert [one.name for one in destination.offered("acme").settings] == ["partner", "parameters"]


def test_each_login_calls_the_partner_with_its_own_token_and_renews_it(
    feeds: Feeds, backend: EmbeddedBackend, clock: TurnedClock, server: AuthorizationServer
) -> None:
    assert log_in(feeds, "destination.1") == "refresh-1"
    assert log_in(feeds, "user.2.3") == "refresh-2"
    assert log_in(feeds, "") == "refresh-3"
    connector, partners = Publishing(backend, describe, "test").live("acme"), Partners(backend, clock)
    opened = {login: partners.open(connector, login) for login in ("destination.1", "user.2.3", "")}
    assert [sent_as(server, adapter) for adapter in opened.values()] == ["access-1", "access-2", "access-3"]
    assert partners.open(connector, "user.2.3") is opened["user.2.3"], "it was not thrown out by the others"
    clock.advance(3_600)
    assert sent_as(server, opened["user.2.3"]) == "access-4"
    assert server.asked[-1].form["refresh_token"] == "refresh-2"
    assert server.reused == 0


def test_a_login_that_is_not_there_is_not_the_connectors(
    feeds: Feeds, backend: EmbeddedBackend, clock: TurnedClock, server: AuthorizationServer
) -> None:
    log_in(feeds, "")
    connector = Publishing(backend, describe, "test").live("acme")
    with pytest.raises(CredentialsRefused, match="log in again") as caught:
        Partners(backend, clock).open(connector, "destination.1").send("add", TARGET, users(["u"]))
    assert caught.value.code == "not_connected"
    assert not server.called


def test_an_audience_is_made_and_awaited_with_its_feeds_login(feeds: Feeds, server: AuthorizationServer) -> None:
    log_in(feeds, "")
    log_in(feeds, "destination.1")
    feeds.create("acme", "mics.1.2", Use("1", login="destination.1"), name="Spring", request_id="r")
    feeds.require_ready("acme", "mics.1.2", Use("1", login="destination.1"))
    assert [(call.path, call.headers["authorization"]) for call in server.called] == [
        ("/made", "Bearer access-2"),
        ("/ready", "Bearer access-2"),
    ]


def test_a_login_that_is_refused_keeps_nobody_else_from_calling(
    feeds: Feeds, backend: EmbeddedBackend, server: AuthorizationServer
) -> None:
    log_in(feeds, "")
    feeds.adopt("acme", "destination.1", "revoked")
    with pytest.raises(CredentialsRefused):
        feeds.create("acme", "mics.1.2", Use("1", login="destination.1"), name="Spring", request_id="r")
    feeds.create("acme", "mics.1.3", Use("2"), name="Summer", request_id="r")
    assert backend.connectors.state("acme").not_before == 0


def test_tokens_of_another_kind_are_shared_whatever_the_login(
    backend: EmbeddedBackend, clock: TurnedClock, server: AuthorizationServer
) -> None:
    text = ACME.replace("GRANT", BY_CLIENT)
    connector = apply(backend, text, server.url, **{"acme-id": CLIENT_ID, "acme-secret": CLIENT_SECRET})
    partners = Partners(backend, clock)
    assert {sent_as(server, partners.open(connector, login)) for login in ("", "destination.1", "user.2.3")} == {"access-1"}
    assert len(server.asked) == 1
    with pytest.raises(Unsupported):
        Feeds(backend, clock).login_address("acme", redirect_uri=REDIRECT_URI, state="s", verifier=VERIFIER)


def test_one_login_is_known_and_forgotten_for_all_connectors(
    feeds: Feeds, backend: EmbeddedBackend, server: AuthorizationServer
) -> None:
    other = ACME.replace("GRANT", BY_CONSENT).replace("name: acme", "name: other")
    apply(backend, other, server.url)
    feeds.adopt("other", "destination.1", "a-refresh-token")
    log_in(feeds, "destination.1")
    log_in(feeds, "destination.2")
    log_in(feeds, "")
    assert feeds.is_connected("acme", "destination.1")
    assert feeds.is_connected("other", "destination.1")
    assert not feeds.is_connected("other", "destination.2")
    assert not feeds.is_connected("other", "")
    feeds.disconnect("destination.1")
    assert not feeds.is_connected("acme", "destination.1")
    assert not feeds.is_connected("other", "destination.1")
    assert feeds.is_connected("acme", "destination.2")
    assert feeds.is_connected("acme", "")


def test_what_was_allowed_for_another_client_is_not_used_and_goes_with_the_next_login(
    feeds: Feeds, backend: EmbeddedBackend, server: AuthorizationServer
) -> None:
    log_in(feeds, "destination.1")
    before = name_of_tokens(feeds)
    publishing = Publishing(backend, describe, "test")
    publishing.set_secret("acme-id", "another-client")
    assert not feeds.is_connected("acme", "destination.1")
    with pytest.raises(CredentialsRefused) as caught:
        feeds.check_credentials("acme", Use("1", login="destination.1"), {})
    assert caught.value.code == "not_connected"
    assert len(server.asked) == 1, "no token of another client's was sent anywhere"
    feeds.adopt("acme", "destination.1", "for-another-client")
    assert feeds.is_connected("acme", "destination.1")
    assert backend.tokens.get(before) is None
    now = name_of_tokens(feeds)
    publishing.set_secret("acme-id", CLIENT_ID)
    feeds.disconnect("destination.1")
    assert backend.tokens.get(now) is None, "it is found whatever the connector says by now"


def test_what_was_allowed_is_forgotten_when_its_connector_is_deleted(feeds: Feeds, backend: EmbeddedBackend) -> None:
    log_in(feeds, "destination.1")
    log_in(feeds, "user.1.2")
    assert len(backend.tokens.names("login.")) == 4, "the tokens of each, and where they are"
    Publishing(backend, describe, "test").delete("acme")
    assert backend.tokens.names("login.") == []


def test_a_logout_finds_what_outlived_its_connector(feeds: Feeds, backend: EmbeddedBackend) -> None:
    log_in(feeds, "destination.1")
    log_in(feeds, "destination.12")
    left = {name: backend.tokens.get(name) for name in backend.tokens.names("login.")}
    Publishing(backend, describe, "test").delete("acme")
    for name, token in left.items():
        assert token is not None
        backend.tokens.lease(name, owner="another", for_s=60)
        backend.tokens.put(name, token, owner="another")
    feeds.disconnect("destination.1")
    gone = left.keys() - set(backend.tokens.names("login."))
    assert [name.rpartition(".")[0] for name in gone] == ["login.acme.destination.1"]


def test_what_the_platform_keeps_is_used_until_the_partner_gives_another(
    feeds: Feeds, backend: EmbeddedBackend, clock: TurnedClock, server: AuthorizationServer
) -> None:
    given = log_in(feeds, "destination.1")
    feeds.disconnect("destination.1")
    feeds.adopt("acme", "destination.1", given)
    feeds.check_credentials("acme", Use("1", login="destination.1"), {})
    assert server.asked[-1].form["refresh_token"] == given
    stored = backend.tokens.get(name_of_tokens(feeds))
    assert stored is not None
    assert stored.refresh not in ("", given), "it is good for one use"
    feeds.adopt("acme", "destination.1", given)
    assert backend.tokens.get(name_of_tokens(feeds)) == stored
    clock.advance(3_600)
    feeds.check_credentials("acme", Use("1", login="destination.1"), {})
    assert server.reused == 0


def test_a_login_that_the_partner_has_ended_is_none_and_a_newer_token_takes_its_place(
    feeds: Feeds, backend: EmbeddedBackend, server: AuthorizationServer
) -> None:
    feeds.adopt("acme", "destination.1", "revoked")
    use = Use("1", login="destination.1")
    assert feeds.is_connected("acme", "destination.1")
    for code in ("invalid_grant", "not_connected"):
        with pytest.raises(CredentialsRefused) as caught:
            feeds.check_credentials("acme", use, {})
        assert caught.value.code == code
        assert not feeds.is_connected("acme", "destination.1")
    assert len(server.asked) == 1, "it is not tried again"
    feeds.adopt("acme", "destination.1", "revoked")
    assert not feeds.is_connected("acme", "destination.1"), "the platform's copy of it does not bring it back"
    feeds.adopt("acme", "destination.1", FIRST_REFRESH)
    feeds.check_credentials("acme", use, {})
    assert feeds.is_connected("acme", "destination.1")


def test_the_connectors_own_access_says_why_it_was_refused_each_time(feeds: Feeds, server: AuthorizationServer) -> None:
    log_in(feeds, "")
    server.replies.extend([TokenReply(400, {"error": "invalid_grant"})] * 2)
    feeds._clock.advance(3_600)  # type: ignore[attr-defined]
    for _ in range(2):
        with pytest.raises(CredentialsRefused) as caught:
            feeds.check_credentials("acme", Use("1"), {})
        assert caught.value.code == "invalid_grant"
    assert feeds.is_connected("acme", "")


def test_a_login_that_somebody_gave_anew_meanwhile_is_kept(feeds: Feeds, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    feeds.adopt("acme", "destination.1", "revoked")
    name = name_of_tokens(feeds)

    def obtain(refresh: str) -> tuple[str, float, str]:
        if refresh == "revoked":
            clock.advance(LEASE_S + 1)
            assert backend.tokens.lease(name, owner="another", for_s=LEASE_S)
            backend.tokens.put(name, Token("", 0.0, "new"), owner="another")
            raise CredentialsRefused("It is revoked.", code="invalid_grant")
        return "access", 600.0, ""

    with pytest.raises(TryAgain):  # its lease is another's
        SharedTokens(backend.tokens, clock).get(name, obtain, forget_dead=True)
    stored = backend.tokens.get(name)
    assert stored is not None
    assert stored.refresh == "new"


def test_nothing_is_adopted_while_somebody_fetches_a_token(feeds: Feeds, backend: EmbeddedBackend) -> None:
    assert backend.tokens.lease(name_of_tokens(feeds), owner="another", for_s=60)
    feeds.adopt("acme", "destination.1", "old")
    feeds.adopt("acme", "destination.2", "")
    assert not feeds.is_connected("acme", "destination.1")
    assert not feeds.is_connected("acme", "destination.2")
    assert backend.tokens.get(name_of_tokens(feeds, "destination.2")) is None


def test_access_without_a_refresh_token_is_there_until_it_ends(
    feeds: Feeds, clock: TurnedClock, server: AuthorizationServer
) -> None:
    address = feeds.login_address("acme", redirect_uri=REDIRECT_URI, state="s", verifier=VERIFIER)
    assert dict(parse_qsl(urlsplit(address).query))["redirect_uri"] == REDIRECT_URI
    server.replies.append(TokenReply(200, {"access_token": "only", "expires_in": 600}))
    assert feeds.connect("acme", "destination.1", code="c", redirect_uri=REDIRECT_URI, verifier=VERIFIER) == ""
    assert feeds.is_connected("acme", "destination.1")
    clock.advance(600)
    assert not feeds.is_connected("acme", "destination.1")


def test_given_credentials_are_checked_in_place_of_the_connectors(
    feeds: Feeds, backend: EmbeddedBackend, partner: Partner
) -> None:
    apply(backend, META, partner.url, **{"meta-token": "of-the-connector"})
    seen: list[str] = []

    def answer(call: Call) -> Reply:
        seen.append(call.headers["authorization"])
        good = call.headers["authorization"] == "Bearer of-the-feed"
        return Reply(200, {"id": "1"}) if good else Reply(401, {"error": {"code": 190, "message": "x", "type": "OAuthException"}})

    partner.answer = answer
    use = Use("1", {"account_id": "42"})
    feeds.check_credentials("meta", use, {"access_token": "of-the-feed"})
    with pytest.raises(CredentialsRefused):
        feeds.check_credentials("meta", use, {})
    assert seen == ["Bearer of-the-feed", "Bearer of-the-connector"]
    with pytest.raises(Misconfigured, match=r"'password'.*access_token"):
        feeds.check_credentials("meta", use, {"password": "p"})
    with pytest.raises(Misconfigured, match="Ad account"):
        feeds.check_credentials("meta", Use("1"), {"access_token": "of-the-feed"})


def test_what_a_setting_can_be_is_asked_of_the_partner_with_what_is_set(
    feeds: Feeds, backend: EmbeddedBackend, partner: Partner, clock: TurnedClock
) -> None:
    apply(backend, META, partner.url, **{"meta-token": "t"})
    partner.answer = [Reply(200, {"data": [{"id": "act_42", "account_id": "42", "name": "Shop"}]})]
    assert feeds.options("meta", Use("1", {"account_id": "no number"}), "account_id") == [("42", "Shop")]
    for field in ("base_url", "nothing"):
        with pytest.raises(Unsupported):
            feeds.options("meta", Use("1"), field)
    assert feeds.options("acme", Use("1"), "partner") == []
    backend.connectors.not_before("meta", clock.now() + 60, reason="come_back_later", detail="")
    with pytest.raises(TryAgain) as caught:
        feeds.options("meta", Use("1"), "account_id")
    assert caught.value.after_s == 60
    assert len(partner.calls) == 1


def test_no_token_is_told_by_what_goes_wrong(feeds: Feeds, server: AuthorizationServer) -> None:
    feeds.adopt("acme", "destination.1", "a-stale-refresh-token")
    with pytest.raises(CredentialsRefused) as caught:
        feeds.check_credentials("acme", Use("1", login="destination.1"), {})
    with pytest.raises(CredentialsRefused) as refused:
        feeds.connect("acme", "destination.1", code="a-wrong-code", redirect_uri=REDIRECT_URI, verifier=VERIFIER)
    told: list[Any] = [str(caught.value), repr(caught.value), str(refused.value)]
    assert not any(word in text for text in told for word in ("a-stale-refresh-token", "a-wrong-code", CLIENT_SECRET))


def test_feeds_with_settings_of_their_own_do_not_throw_out_each_others_connections(
    feeds: Feeds, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    catalog, partners = Catalog(backend, clock), Partners(backend, clock)
    running = catalog.get(backend.connectors.state("acme"))
    uses = [Use(str(number), {"parameters": {"list": number}}) for number in range(3)]
    connectors = [catalog.used(running, use).connector for use in uses]
    opened = [partners.open(one) for one in connectors]
    assert [partners.open(one) for one in connectors] == opened
    assert len(set(map(id, opened))) == 3
    assert catalog.used(running, uses[0]).connector is connectors[0], "it is made ready once"
    assert catalog.used(catalog.used(running, uses[0]), uses[1]).connector is connectors[1]
    assert catalog.used(catalog.used(running, uses[0]), None) is running
    partners.forget(running.connector)
    assert not set(map(id, opened)) & {id(partners.open(one)) for one in connectors}
