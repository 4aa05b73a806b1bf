"""The home page: how every connector stands, and the switches, on a real store."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.configuration import Configuration
from relay.connectors.publishing import Publishing
from relay.console import create_app, overview
from relay.console.roles import Role
from relay.domain.audience import HoldRequest
from relay.domain.connector import ConnectorState
from relay.domain.errors import StoreUnavailable
from relay.domain.message import Message, Mutation
from relay.domain.outcome import Report
from tests.clock import TurnedClock
from tests.unit.console.conftest import CANARY, DOCUMENT, NAME, PASSWORD, Browser

ENVIRONMENTS = "environments: {sandbox: {settings: {base_url: 'http://127.0.0.1:2'}}}\n"


def another(name: str, title: str = "") -> str:
    """The document under another name."""
    return DOCUMENT.replace("name: shop", f"name: {name}").replace("The shop's audiences", title or name)


def card(browser: Browser, document: str, path: str = "/") -> str:
    """The card of a document, as HTML."""
    articles: list[str] = re.findall(r"<article.*?</article>", browser.get(path).text, re.DOTALL)
    found = [article for article in articles if f'id="card-{document}"' in article]
    assert len(found) == 1, f"{len(found)} cards for {document}"
    return found[0]


def words(of: str) -> str:
    """What one reads of it."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", of)).split()).replace(" .", ".")


def cards(browser: Browser, path: str = "/") -> list[str]:
    """The documents that the page shows, in order."""
    found: list[str] = re.findall(r'<h2[^>]* id="card-([^"]+)"', browser.get(path).text)
    return found


def message(clock: TurnedClock, audience: str = "a.1") -> Message:
    mutations = (Mutation(0, user={"id": CANARY}), Mutation(1, user={"id": CANARY + "2"}))
    return Message(1, "change", "shop", audience, "request", clock.now(), mutations=mutations)


def hold(backend: EmbeddedBackend, clock: TurnedClock, request: HoldRequest, audience: str = "a.1") -> None:
    turn = backend.audiences.begin_turn("shop", audience, position=1, message_id=f"m{audience}")
    backend.audiences.join(turn, message(clock, audience), request)


def report(clock: TurnedClock, number: int, **changes: object) -> Report:
    plain = Report(1, f"attempt {number}", "shop", 1, "a.1", "change", ("request",), clock.now(), 5.0, {"delivered": 7})
    return replace(plain, **changes)


def test_without_a_connector_it_says_how_to_begin(browser: Browser) -> None:
    shown = browser.text("/")

    assert "There is no connector yet" in shown
    assert "<code>diy connectors apply FILE</code>" in shown


def test_a_complete_connector_runs_and_needs_nobody(browser: Browser, publishing: Publishing) -> None:
    shown = words(card(browser, "shop"))

    assert "The shop's audiences shop Pangolin · version 1 · edit shop running" in shown
    assert "Nothing needs anybody." in browser.text("/")


def test_an_incomplete_connector_says_how_much_is_missing_and_where_it_is_mended(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    Publishing(backend, describe, "tester", clock).apply(DOCUMENT)

    shown = card(browser, "shop")

    assert "incomplete 2 things missing Someone must act: It does not run: The secret 'shop-hmac'" in words(shown)
    assert 'href="/connectors/shop#needs"' in shown
    assert "1 of 1 connector needs somebody." in browser.text("/")


def test_a_document_that_was_never_published_is_there_and_leads_to_its_versions(browser: Browser, publishing: Publishing) -> None:
    publishing.apply(another("later"), draft=True)

    shown = card(browser, "later")

    assert "not published No version of it is published." in words(shown)
    assert 'href="/connectors/later/versions"' in shown
    assert "<button" not in shown, "what does not run has no switch"


def test_the_environments_of_a_document_are_on_its_card(browser: Browser, publishing: Publishing) -> None:
    publishing.apply(DOCUMENT + ENVIRONMENTS)
    publishing.set_enabled("shop@sandbox", False)

    shown = card(browser, "shop")

    rows = [words(row) for row in re.findall(r"<li.*?</li>", shown, re.DOTALL)]
    assert len(rows) == 2
    assert rows[0].startswith("no environment running")
    assert rows[1].startswith("sandbox off It is off; what comes in waits.")
    assert cards(browser) == ["shop"]


def test_delivered_and_rejected_are_counted_for_the_hour_the_day_and_the_week(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    backend.reports.attempt(report(clock, 1, counts={"delivered": 1_000, "rejected": 30}), [])
    clock.advance(3 * 86_400)
    backend.reports.attempt(report(clock, 2, counts={"delivered": 200, "rejected": 4}), [])
    clock.advance(3 * 3600)
    backend.reports.attempt(report(clock, 3, counts={"delivered": 50}), [])
    browser.log_in()

    shown = card(browser, "shop")

    assert "hour day week delivered 50 250 1,250 rejected 0 4 34" in words(shown)
    assert 'aria-label="In the last 24 hours 250 mutations delivered, 4 rejected; at most 204 in one bar."' in shown


def test_what_needs_someone_is_said_first_and_its_card_comes_first(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    publishing.apply(another("also", "A first one by name"))
    assert cards(browser) == ["also", "shop"]

    hold(backend, clock, HoldRequest("credentials_refused", clock.now() + 60, "<Bad> token."))

    assert cards(browser) == ["shop", "also"]
    shown = words(card(browser, "shop"))
    assert "Someone must act: 1 batch of audience a.1 waits: the partner refuses the credentials (<Bad> token)." in shown
    assert "1 batch waits, with 2 mutations; the oldest for 0 s." in shown
    assert "<Bad>" not in browser.get("/").text
    assert CANARY not in browser.get("/").text


def test_what_concerns_everything_is_said_before_the_connectors(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    backend.queue.publish([message(clock)])
    clock.advance(60)

    shown = browser.text("/")

    assert "No worker takes what waits: 1 message in the queue, the oldest for 1 min." in shown
    assert shown.index("No worker takes") < shown.index("The shop&#39;s audiences")
    assert "Nothing needs anybody" not in shown


def test_a_connector_on_hold_says_why_and_for_how_long(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    backend.connectors.not_before("shop", clock.now() + 90, reason="come_back_later", detail="Too many requests.")

    shown = words(card(browser, "shop"))

    assert "on hold The partner is left alone for 1 min (come back later: Too many requests)." in shown
    clock.advance(91)
    assert "left alone" not in words(card(browser, "shop"))


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ["also", "shop"]),
        ("?state=off", ["shop"]),
        ("?state=running", ["also", "shop"]),
        ("?state=needs+somebody", []),
        ("?environment=sandbox", ["shop"]),
        ("?environment=none", ["also", "shop"]),
        ("?environment=sandbox&state=running", []),
        ("?adapter=pangolin", ["also", "shop"]),
        ("?adapter=meta", []),
    ],
)
def test_the_page_is_narrowed_by_state_environment_and_adapter(
    browser: Browser, publishing: Publishing, query: str, shown: list[str]
) -> None:
    publishing.apply(DOCUMENT + ENVIRONMENTS)
    publishing.apply(another("also"))
    publishing.set_enabled("shop@sandbox", False)

    assert cards(browser, f"/{query}") == shown
    if not shown:
        assert "No connector is like that." in browser.text(f"/{query}")


def test_a_partner_that_is_described_as_an_http_api_has_its_own_name(browser: Browser, publishing: Publishing) -> None:
    example = (Path(__file__).parents[3] / "docs/examples/pangolin-over-http.yaml").read_text()
    publishing.apply(re.sub(r"(?m)^name: .*", "name: over-http", example))

    assert "Pangolin · version 1" in words(card(browser, "over-http"))
    assert '<option value="http">HTTP</option>' in browser.text("/"), "one adapter, whatever partners there are"


def test_a_switch_says_what_happens_and_keeps_the_filter(browser: Browser, publishing: Publishing) -> None:
    answer = browser.post("/switch?state=running", {"connector": "shop", "to": "off"})

    assert (answer.status_code, answer.location) == (302, "/?state=running")
    said = "What arrives meanwhile waits in order and is sent when it is on again; nothing is lost."
    assert f"shop is off. {said}" in browser.text("/")
    assert "off It is off; what comes in waits." in words(card(browser, "shop"))
    browser.post("/switch", {"connector": "shop", "to": "on"})
    assert "shop is on; what waited is sent." in browser.text("/")


def test_many_are_switched_at_once_each_in_the_visitors_name(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend
) -> None:
    publishing.apply(another("also"))

    browser.post("/switch", {"connector": ["shop", "also"], "to": "off"})

    assert [state.enabled for state in backend.connectors.states()] == [False, False]
    newest = backend.audit.newest(limit=2)
    assert {(entry.by, entry.what, entry.subject) for entry in newest} == {(NAME, "disable", "also"), (NAME, "disable", "shop")}


def test_with_an_unknown_one_among_them_none_is_switched(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend
) -> None:
    answer = browser.post("/switch", {"connector": ["shop", "shup"], "to": "off"})

    assert answer.status_code == 404
    assert backend.connectors.state("shop").enabled


@pytest.mark.parametrize("to", ["", "On", "of"])
def test_a_switch_that_is_told_neither_on_nor_off_switches_nothing(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, to: str
) -> None:
    answer = browser.post("/switch", {"connector": "shop", "to": to})

    assert answer.status_code == 400
    assert "Nothing was changed." in answer.text
    assert backend.connectors.state("shop").enabled


def test_where_switching_many_fails_on_the_way_it_is_said_how_far_it_went(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("also", "third"):
        publishing.apply(another(name))
    switch = backend.connectors.set_enabled

    def failing(name: str, enabled: bool) -> ConnectorState:
        if name == "also":
            raise StoreUnavailable("The store is busy.")
        return switch(name, enabled)

    monkeypatch.setattr(backend.connectors, "set_enabled", failing)

    answer = browser.post("/switch", {"connector": ["shop", "also", "third"], "to": "off"})

    assert answer.status_code == 302
    shown = browser.text("/")
    assert "Switching off failed at also, which may be off or not: The store is busy." in shown
    assert "Switched off before it: shop. Not switched: third." in shown
    assert not backend.connectors.state("shop").enabled


def test_with_none_chosen_nothing_is_switched(browser: Browser, publishing: Publishing, backend: EmbeddedBackend) -> None:
    browser.post("/switch", {"to": "off"})

    assert backend.connectors.state("shop").enabled
    assert "No connector was chosen" in browser.text("/")


@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("operator", True), ("admin", True)])
def test_only_who_may_switch_sees_a_switch(
    somebody: Callable[[Role], Browser], publishing: Publishing, backend: EmbeddedBackend, role: Role, may: bool
) -> None:
    visitor = somebody(role)

    assert ("<button" in card(visitor, "shop")) is may
    assert visitor.post("/switch", {"connector": "shop", "to": "off"}).status_code == (302 if may else 403)
    assert backend.connectors.state("shop").enabled is not may


def test_a_long_list_is_cut_and_says_so(
    browser: Browser, publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        publishing.apply(another(f"c{number}"))
    monkeypatch.setattr(overview, "CARDS", 3)

    assert cards(browser) == ["c0", "c1", "c2"]
    assert ">2 more</a>" in browser.get("/").text
    assert cards(browser, "/?skip=3") == ["c3", "shop"]


@pytest.mark.parametrize(("kind", "seconds"), [("embedded", 10), ("google", 60)])
def test_an_open_page_looks_again_by_itself_less_often_where_each_look_is_billed(
    kind: str, seconds: int, backend: EmbeddedBackend, publishing: Publishing, clock: TurnedClock
) -> None:
    browser = Browser(create_app(Configuration(backend=kind, console_password=PASSWORD), backend, clock).test_client())
    browser.log_in()

    assert f'id="vitals-shop" data-live="{seconds}"' in browser.get("/").text
