"""Somebody allows a connector's access in the browser that the console is open in."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters import registry
from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.configuration import Configuration
from relay.connectors.publishing import Publishing
from relay.console import create_app
from relay.console.roles import Role
from relay.domain.clock import SystemClock
from tests.unit.adapters.authentication.server import CLIENT_ID, CLIENT_SECRET, AuthorizationServer, Reply, authorization_server
from tests.unit.cli import consent
from tests.unit.console.conftest import NAME, PASSWORD, Browser

PAGE = "/connectors/acme"
DOCUMENT = """\
name: acme
adapter: consent
inbound: {{hmac_secret: acme-hmac}}
settings: {{base_url: "{url}"}}
actions:
  - {{name: Add, trigger: joined, operation: add, mapping: {{id: user.id}}}}
"""


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with authorization_server() as made:
        yield made


@pytest.fixture
def acme(backend: EmbeddedBackend, server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch) -> Publishing:
    """A connector that nobody has connected yet."""
    monkeypatch.setattr(registry, "ADAPTERS", {**registry.ADAPTERS, "consent": consent.PLACE})
    publishing = Publishing(backend, describe, "tester", SystemClock())
    publishing.set_secret("app-consent-client-id", CLIENT_ID)
    publishing.set_secret("app-consent-client-secret", CLIENT_SECRET)
    publishing.set_secret("acme-hmac", "an-hmac-secret")
    publishing.apply(DOCUMENT.format(url=server.url))
    return publishing


@pytest.fixture
def browser(backend: EmbeddedBackend) -> Browser:
    """On the system's clock, as the partner's tokens are."""
    browser = Browser(create_app(Configuration(console_password=PASSWORD), backend, SystemClock()).test_client())
    browser.log_in()
    return browser


def way(browser: Browser) -> str:
    """The address of the partner's consent page, from the page that leads there."""
    answer = browser.post(f"{PAGE}/connect")
    assert answer.status_code == 200, answer.text[:300]
    start = answer.text.index('href="http://127') + len('href="')
    return answer.text[start : answer.text.index('"', start)].replace("&amp;", "&")


def sent_back(url: str) -> str:
    """Path and query that the partner sends the browser back to."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *arguments: object) -> None:
            return None

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.build_opener(Stay).open(url, timeout=30)
    place = urlsplit(str(caught.value.headers["Location"]))
    return f"{place.path}?{place.query}"


def test_after_consent_the_connector_is_connected_and_its_partner_accepts_it(
    browser: Browser, acme: Publishing, backend: EmbeddedBackend, server: AuthorizationServer
) -> None:
    back = sent_back(way(browser))
    answer = browser.get(back, 302)

    assert answer.location == f"{PAGE}#secrets"
    assert "acme is connected." in browser.text(PAGE)
    entry = backend.audit.newest(limit=1)[0]
    assert (entry.by, entry.what, entry.subject) == (NAME, "connect", "acme")
    browser.post(f"{PAGE}/check")
    assert "The partner accepts the credentials of acme." in browser.text(PAGE)


def test_the_partner_is_told_the_address_of_this_console(browser: Browser, acme: Publishing) -> None:
    query = parse_qs(urlsplit(way(browser)).query)

    assert query["redirect_uri"] == ["http://localhost/connect/callback"]


def test_an_answer_to_another_attempt_changes_nothing_and_the_attempt_goes_on(
    browser: Browser, acme: Publishing, backend: EmbeddedBackend
) -> None:
    back = sent_back(way(browser))

    browser.get("/connect/callback?state=wrong&code=stolen", 302)
    assert "This address does not belong to the attempt that is under way." in browser.text(PAGE)

    browser.get(back, 302)
    assert "acme is connected." in browser.text(PAGE)


def test_an_answer_counts_once(browser: Browser, acme: Publishing) -> None:
    back = sent_back(way(browser))
    browser.get(back, 302)
    browser.text(PAGE)

    browser.get(back, 302)

    assert "Nobody is connecting anything in this browser; begin again." in browser.text("/")


def test_who_does_not_allow_it_is_told_that_nothing_is_connected(browser: Browser, acme: Publishing) -> None:
    state = parse_qs(urlsplit(way(browser)).query)["state"][0]

    browser.get(f"/connect/callback?state={state}&error=access_denied", 302)

    assert "acme is not connected: Access was not allowed at the partner." in browser.text(PAGE)


def test_access_that_cannot_be_renewed_is_not_called_connected(
    browser: Browser, acme: Publishing, server: AuthorizationServer
) -> None:
    server.replies.append(Reply(200, {"access_token": "only", "expires_in": 600}))

    browser.get(sent_back(way(browser)), 302)

    assert "acme has access only until its access token ends" in browser.text(PAGE)


def test_without_the_clients_secret_nobody_is_sent_away(browser: Browser, acme: Publishing, backend: EmbeddedBackend) -> None:
    backend.secrets.delete("app-consent-client-secret")

    assert browser.post(f"{PAGE}/connect").location == f"{PAGE}#secrets"
    assert "acme cannot be connected yet." in browser.text(PAGE)


def test_what_needs_no_consent_has_no_such_button(browser: Browser, publishing: Publishing) -> None:
    assert "/connect\"" not in browser.get("/connectors/shop").text
    browser.post("/connectors/shop/connect")
    assert "Nobody has to allow this connector" in browser.text("/connectors/shop")


def test_only_an_admin_connects(somebody: Callable[[Role], Browser], acme: Publishing) -> None:
    assert somebody("operator").post(f"{PAGE}/connect").status_code == 403
    assert somebody("operator").get("/connect/callback?code=x", 403)
