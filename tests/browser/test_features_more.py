"""More of what users of a connector product expect, row by row: what somebody allows at the partner's own page, what waits and
what becomes of it, and what needs the worker to be seen."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from relay.domain.clock import SystemClock
from relay.operating.holding import Holding
from relay.operating.trial_message import TEST_AUDIENCE
from tests.browser.conftest import ConsoleStack, Windows, cookies_of
from tests.browser.test_features import begin_editing, to_page
from tests.end_to_end.stack import HMAC_SECRET, eventually
from tests.unit.adapters.authentication.server import CLIENT_ID, CLIENT_SECRET, AuthorizationServer, authorization_server

pytestmark = pytest.mark.once

ALLOWED = """
name: acme
title: Acme
adapter: http
inbound: {{hmac_secret: acme-hmac}}
settings:
  base_url: "{server.url}"
  allow_private_network: true
  auth: {{type: oauth2, grant: authorization_code, authorize_url: "{consent}", token_url: "{server.token_url}"}}
  operations:
    add:
      effect: add
      fields: {{id: {{required: true}}}}
      request: {{method: POST, path: /api, body: {{users: "{{{{ rows }}}}"}}}}
  check:
    request: {{method: GET, path: /api}}
secrets: {{client_id: acme-client-id, client_secret: acme-client-secret}}
actions:
  - {{name: Add, trigger: joined, operation: add, mapping: {{id: user.id}}}}
"""


class Features(ConsoleStack):
    """The processes, and what the tests do to them beside the clicks."""

    @property
    def holding(self) -> Holding:
        return Holding(self.backend, "test", SystemClock())

    def announce(self, audience: str, name: str) -> None:
        assert self.post("CREATE_AUDIENCE", {"Name": name, "Audience": audience}).status_code == 200

    def held(self) -> int:
        """Batches in holds, as the store knows them."""
        return sum(one.hold.batches for one in self.backend.audiences.held() if one.hold)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Features]:
    made = Features(tmp_path_factory.mktemp("more"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def cookies(own: Features, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> str:
    return cookies_of(own, chromium, tmp_path_factory.mktemp("browser"))


@pytest.fixture
def windows(own: Features, chromium: Browser) -> Iterator[Windows]:
    """At the end nothing may have been complained of. Nothing is left waiting for another test."""
    made = Windows(chromium, own.console)
    yield made
    made.close()
    if "worker" not in own.processes:
        own.start("worker")
    own.holding.resume("pangolin")
    eventually(lambda: own.held() == 0)
    assert made.complaints == []


@pytest.fixture
def page(windows: Windows, cookies: str) -> Page:
    """The home page."""
    made = windows.open(state=cookies)
    made.goto("/")
    return made


@pytest.fixture
def partner() -> Iterator[AuthorizationServer]:
    with authorization_server() as made:
        yield made


@pytest.fixture
def consent(partner: AuthorizationServer) -> Iterator[str]:
    """The address of the page on which somebody allows the access: to a browser on another site than the console."""

    class Asks(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            further = escape(f"{partner.authorize_url}?{urlsplit(self.path).query}")
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(f'<!doctype html><title>Acme</title><a href="{further}">Allow</a>'.encode())

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Asks) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://localhost:{server.server_address[1]}/consent"
        server.shutdown()
        thread.join()


# credentials


def test_a_connector_is_connected_at_the_partners_consent_page(
    own: Features, page: Page, partner: AuthorizationServer, consent: str
) -> None:
    for name, value in {"acme-hmac": HMAC_SECRET, "acme-client-id": CLIENT_ID, "acme-client-secret": CLIENT_SECRET}.items():
        own.publishing.set_secret(name, value)
    own.publishing.apply(ALLOWED.format(server=partner, consent=consent))
    page.reload()
    page.get_by_role("link", name="Acme", exact=True).click()
    page.get_by_role("button", name="Connect", exact=True).click()
    page.get_by_role("link", name="Go to the partner").click()
    expect(page).to_have_url(re.compile(f"^{re.escape(consent)}"))
    page.get_by_role("link", name="Allow").click()

    expect(page).to_have_url(f"{own.console}/connectors/acme#secrets")
    expect(page.get_by_text("acme is connected.")).to_be_visible()
    assert [one["redirect_uri"] for one in partner.consents] == [f"{own.console}/connect/callback"]
    page.get_by_role("button", name="Check the credentials").click()
    expect(page.get_by_text("The partner accepts the credentials of acme.")).to_be_visible()
    assert [one.headers["authorization"] for one in partner.called] == ["Bearer access-1"]
    for secret in ("access-1", "refresh-1", CLIENT_SECRET):
        expect(page.locator("body")).not_to_contain_text(secret)


# holds


def test_a_hold_is_discarded_only_after_it_was_asked_twice(own: Features, windows: Windows, page: Page) -> None:
    own.announce("dropped.1", "Dropped")
    own.holding.pause("pangolin", "dropped.1")
    assert own.change("dropped.1", ["dropped-1", "dropped-2"]).status_code == 200
    eventually(lambda: own.held() == 1)
    to_page(page, "Holds")
    page.get_by_role("region", name="Audiences that wait").get_by_role("link", name="Dropped").click()
    page.get_by_role("link", name="Discard …").click()
    expect(page.get_by_role("note")).to_contain_text("1 batch with 2 mutations")
    assert own.held() == 1

    drop = page.get_by_role("button", name="Discard 1 batch for good")
    typed = page.get_by_label("To go on, type the audience's ID")
    typed.fill("Dropped")
    drop.click()
    expect(page.get_by_role("alert")).to_have_text("That is not its ID. Nothing was discarded.")
    assert own.held() == 1
    assert len(windows.complaints) == 1, windows.complaints
    assert "status of 400" in windows.complaints.pop()

    typed.fill("dropped.1")
    drop.click()
    expect(page.get_by_text("1 batch discarded.")).to_be_visible()
    rows = page.get_by_role("region", name="Rejections, newest first").get_by_role("row").filter(has_text="discarded")
    expect(rows).to_have_count(2)
    own.holding.resume("pangolin")
    assert own.change("dropped.1", ["after"]).status_code == 200
    eventually(lambda: own.members("dropped.1") == {"after"})


def test_what_arrives_while_a_connector_is_paused_is_delivered_when_the_pause_ends(own: Features, page: Page) -> None:
    own.announce("paused.1", "Paused")
    assert own.change("paused.1", ["before", "leaves"]).status_code == 200
    eventually(lambda: own.members("paused.1") == {"before", "leaves"})
    page.get_by_role("link", name="pangolin", exact=True).click()
    switches = page.get_by_role("region", name="Switches")
    switches.get_by_role("button", name="Pause", exact=True).click()
    expect(switches).to_contain_text("It is paused; what arrives waits.")
    assert own.change("paused.1", ["joins"]).status_code == 200
    assert own.change("paused.1", ["leaves"], kind="REMOVE_FROM_AUDIENCE").status_code == 200
    eventually(lambda: own.held() == 2)
    assert own.members("paused.1") == {"before", "leaves"}

    switches.get_by_role("button", name="End the pause").click()
    expect(switches).to_contain_text("It is not paused.")
    eventually(lambda: own.members("paused.1") == {"before", "joins"})


# actions


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_actions_are_put_in_another_order(windows: Windows, cookies: str, javascript: bool) -> None:
    page = windows.open(state=cookies, javascript=javascript)
    page.goto("/")
    begin_editing(page, "pangolin", "Actions")
    expect(order(page)).to_have_text([re.compile("^Create audience"), re.compile("^Add"), re.compile("^Remove")])

    page.get_by_role("button", name=re.compile("^Up.*: Remove before")).click()
    expect(order(page)).to_have_text([re.compile("^Create audience"), re.compile("^Remove"), re.compile("^Add")])
    page.get_by_role("button", name=re.compile("^Down.*: Create audience behind")).click()
    expect(order(page)).to_have_text([re.compile("^Remove"), re.compile("^Create audience"), re.compile("^Add")])
    page.reload()
    expect(order(page)).to_have_text([re.compile("^Remove"), re.compile("^Create audience"), re.compile("^Add")])
    expect(page.get_by_role("button", name=re.compile("^Up.*: Remove"))).to_have_count(0)
    expect(page.get_by_role("button", name=re.compile("^Down.*: Add"))).to_have_count(0)


# test


def test_a_test_through_the_queue_shows_its_result_by_itself_and_nobody_stays(own: Features, page: Page) -> None:
    begin_editing(page, "pangolin", "Test")
    own.kill("worker")
    page.get_by_label(re.compile("A user as the DMP sends it")).fill('{"User": "only-a-test"}')
    page.get_by_role("button", name="…through the queue and the worker").click()
    came = page.get_by_role("region", name="What came of the test through the queue")
    expect(came.get_by_text("no worker has taken it yet")).to_have_count(2)
    page.evaluate("window.stays = true")

    own.start("worker")
    expect(came.get_by_role("listitem")).to_have_text(
        [re.compile("^The user joined: delivered"), re.compile("^The user left: delivered")]
    )
    assert page.evaluate("window.stays")
    partner_id = own.backend.audiences.get("pangolin", TEST_AUDIENCE).partner_id
    path = f"/api/audiences/{partner_id}/users"
    calls = [one for one in own.pangolin("GET", "/api/calls?limit=1000") if one["path"] == path]
    assert sorted((one["method"], one["count"], one["status"]) for one in calls) == [("DELETE", 1, 200), ("POST", 1, 200)]
    assert own.members(TEST_AUDIENCE) == set()


def test_a_recent_change_is_a_sample_and_shown_masked(own: Features, page: Page) -> None:
    somebody = "Ann.Canary-77"
    own.announce("masked.1", "Masked")
    own.holding.pause("pangolin", "masked.1")
    assert own.change("masked.1", [somebody]).status_code == 200
    eventually(lambda: own.held() == 1)

    begin_editing(page, "pangolin", "Mapping")
    page.get_by_role("button", name="Save, and try a recent change, masked").click()
    expect(page.locator("#about-sample")).to_contain_text("the change waits in a hold")
    expect(page.get_by_label("Row of Add")).to_contain_text("Xxx.Xxxxxx-99")
    shows_nothing_of(page, somebody)
    page.get_by_label("User ID: expression or value").first.fill("upper(user.id)")
    expect(page.get_by_label("Row of Add")).to_contain_text("XXX.XXXXXX-99")
    shows_nothing_of(page, somebody)

    page.get_by_role("navigation", name="Steps").get_by_role("link", name="Test").click()
    page.get_by_role("button", name="…of a recent change, masked").click()
    expect(page.get_by_label("Request of Add")).to_contain_text("Xxx.Xxxxxx-99")
    shows_nothing_of(page, somebody)


def order(page: Page) -> Locator:
    """The headings of the draft's actions."""
    return page.locator("fieldset > legend")


def shows_nothing_of(page: Page, somebody: str) -> None:
    """Neither to be read nor in what the page is made of, nor in its address."""
    assert somebody.lower() not in page.content().lower()
    assert somebody.lower() not in page.url.lower()
