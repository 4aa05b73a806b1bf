"""The page of one connector: what it says, its switches, and its end, on a real store."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.configuration import Configuration
from relay.connectors.publishing import Publishing
from relay.console import create_app
from relay.console.roles import Role
from relay.domain.audience import HoldRequest
from relay.domain.errors import NotFound
from relay.domain.message import Message, Mutation
from relay.pangolin.server import InThread
from tests.clock import TurnedClock
from tests.unit.console.conftest import CANARY, DOCUMENT, NAME, PASSWORD, Browser

PAGE = "/connectors/shop"


def words(browser: Browser, path: str = PAGE) -> str:
    """What one reads on the page."""
    text = html.unescape(re.sub(r"<[^>]*>", " ", browser.get(path).text))
    return re.sub(r" ([.,;:])", r"\1", " ".join(text.split()))


def test_it_says_what_it_is_and_how_it_stands(browser: Browser, publishing: Publishing) -> None:
    shown = words(browser)

    assert "The shop's audiences running shop · Pangolin · version 1" in shown
    assert "It is on." in shown


def test_what_is_missing_comes_with_the_place_where_it_is_mended(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    without_removal = DOCUMENT.replace("operation: remove,", "enabled: false, operation: remove,")
    Publishing(backend, describe, "tester", clock).apply(without_removal)

    shown = words(browser)

    assert "The secret 'shop-hmac' (signature of the DMP, X-HMAC) is not set. → set it below" in shown
    assert "No action is enabled for when a user leaves an audience (trigger `left`)." in shown
    assert "COMPLETED when a user joins an audience" in shown
    assert "INCOMPLETE when a user leaves an audience" in shown


def test_a_draft_is_shown_as_one_and_has_no_switches(browser: Browser, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    Publishing(backend, describe, "tester", clock).apply(DOCUMENT, draft=True)

    shown = words(browser)

    assert "not published" in shown
    assert "No version of it runs: this is the newest draft." in shown
    assert "Switch off" not in shown


def test_an_unknown_connector_is_a_page_that_says_so(browser: Browser, publishing: Publishing) -> None:
    assert "There is no such thing" in browser.get("/connectors/shup", 404).text
    assert "There is no such thing" in browser.get("/connectors/shop@nowhere", 404).text


def test_an_environment_has_a_page_with_its_own_settings(browser: Browser, publishing: Publishing) -> None:
    publishing.apply(DOCUMENT + "environments: {sandbox: {settings: {base_url: 'http://127.0.0.1:2'}}}\n")

    shown = words(browser, "/connectors/shop@sandbox")

    assert "http://127.0.0.1:2" in shown
    assert "http://127.0.0.1:1" not in shown
    assert "environments: none, sandbox" in words(browser)


def test_an_action_shows_its_mapping_its_audiences_and_its_consent(browser: Browser, publishing: Publishing) -> None:
    action = 'mapping: {id: user.id}, audiences: ["spring*"], consent: [display_ads, mail]}\n  - {name: Remove'
    publishing.apply(DOCUMENT.replace("mapping: {id: user.id}}\n  - {name: Remove", action))

    shown = words(browser)

    assert "User ID id user.id" in shown
    assert "Only for audiences whose name or ID is like: spring*" in shown
    assert "The users' consent to: display_ads, mail." in shown


def test_limits_times_and_what_is_kept_are_sentences(browser: Browser, publishing: Publishing) -> None:
    limits = "limits: {batch: {max_items: 20, max_bytes: 512KB, max_age: 5m}, rate: {calls: 10, items: 1000, per: 1m}}\n"
    publishing.apply(f"{DOCUMENT}{limits}retention: {{journal: 7d}}\nnotify: {{email: ops@example.com}}\n")

    shown = words(browser)

    assert "One call to the partner carries at most 20 users and 512 KB." in shown
    assert "Changes are gathered for up to 5 minutes, to be sent in larger calls." in shown
    assert "At most 10 calls and 1,000 users in any 1 minute." in shown
    assert "Accepted changes are kept in the journal for 7 days" in shown
    assert "By mail: ops@example.com." in shown


def test_of_a_webhook_only_the_host_is_shown(browser: Browser, publishing: Publishing) -> None:
    publishing.apply(f"{DOCUMENT}notify: {{webhook: 'https://hooks.example.com/services/canary-path'}}\n")

    assert "A webhook at hooks.example.com." in words(browser)
    assert "canary-path" not in browser.get(PAGE).text


def test_the_source_has_each_field_of_the_dmps_form_to_copy_and_no_secret(
    backend: EmbeddedBackend, publishing: Publishing, clock: TurnedClock
) -> None:
    publishing.set_secret("shop-basic", "mapp:canary-secret")
    publishing.apply(DOCUMENT.replace("{hmac_secret: shop-hmac}", "{hmac_secret: shop-hmac, basic_auth: shop-basic}"))
    configuration = Configuration(console_password=PASSWORD, public_url="https://relay.example.com/")
    browser = Browser(create_app(configuration, backend, clock).test_client())
    browser.log_in()

    page = browser.get(PAGE).text

    assert re.search(r'<code id="([^"]+)">https://relay.example.com/shop</code> <button[^>]+data-copy="#\1"', page)
    assert re.search(r'<code id="([^"]+)">mapp</code> <button[^>]+data-copy="#\1"', page)
    assert "canary-secret" not in page


def test_switching_off_says_what_becomes_of_what_arrives_and_is_in_the_audit(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend
) -> None:
    answer = browser.post(f"{PAGE}/switch", {"to": "off"})

    assert (answer.status_code, answer.location) == (302, f"{PAGE}#switches")
    assert "shop is off; what arrives waits in order, and nothing is lost." in words(browser)
    assert not backend.connectors.state("shop").enabled
    entry = backend.audit.newest(limit=1)[0]
    assert (entry.by, entry.what, entry.subject) == (NAME, "disable", "shop")
    browser.post(f"{PAGE}/switch", {"to": "on"})
    assert backend.connectors.state("shop").enabled


def test_a_pause_ends_with_what_waits_being_tried_at_once(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    browser.post(f"{PAGE}/pause", {"to": "pause"})
    assert backend.connectors.state("shop").paused
    assert "It is paused; what arrives waits." in words(browser)
    message = Message(1, "change", "shop", "a.1", "request", clock.now(), mutations=(Mutation(0, user={"id": CANARY}),))
    turn = backend.audiences.begin_turn("shop", "a.1", position=1, message_id="m")
    backend.audiences.join(turn, message, HoldRequest("paused", None))

    browser.post(f"{PAGE}/pause", {"to": "resume"})

    assert "shop goes on; 1 hold is tried now." in words(browser)
    assert not backend.connectors.state("shop").paused
    [held] = backend.audiences.held("shop")
    assert held.hold is not None
    assert held.hold.due_at == clock.now()
    assert [(entry.by, entry.what) for entry in backend.audit.newest(limit=2)] == [(NAME, "resume"), (NAME, "pause")]


def test_pausing_an_unknown_connector_leaves_nothing_in_the_audit(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend
) -> None:
    before = len(backend.audit.newest(limit=100))

    assert browser.post("/connectors/shup/pause", {"to": "pause"}).status_code == 404
    assert len(backend.audit.newest(limit=100)) == before


@pytest.mark.parametrize(("path", "to"), [("switch", "On"), ("switch", ""), ("pause", "on"), ("pause", "")])
def test_a_switch_that_is_told_neither_of_its_words_changes_nothing(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing, path: str, to: str
) -> None:
    before = backend.connectors.state("shop")

    answer = browser.post(f"{PAGE}/{path}", {"to": to})

    assert answer.status_code == 400
    assert "Nothing was changed." in answer.text
    assert backend.connectors.state("shop") == before


@pytest.mark.parametrize(("to", "said"), [("paused", "off; what comes in waits"), ("skipped", "off; its mutations are skipped")])
def test_an_action_that_is_switched_off_waits_or_skips_as_one_says(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, to: str, said: str
) -> None:
    browser.post(f"{PAGE}/action", {"action": "Remove", "to": to})

    assert f"The action 'Remove' is {said}." in words(browser)
    assert backend.connectors.state("shop").actions == {"Remove": to}
    browser.post(f"{PAGE}/action", {"action": "Remove", "to": "on"})
    assert backend.connectors.state("shop").actions == {}
    assert backend.audit.newest(limit=1)[0].by == NAME


@pytest.mark.parametrize(("form", "status"), [({"action": "Remove", "to": ""}, 302), ({"action": "Remuve", "to": "paused"}, 404)])
def test_without_saying_which_no_action_is_switched(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, form: dict[str, str], status: int
) -> None:
    assert browser.post(f"{PAGE}/action", form).status_code == status
    assert backend.connectors.state("shop").actions == {}


def test_the_default_connector_is_chosen(browser: Browser, publishing: Publishing, backend: EmbeddedBackend) -> None:
    publishing.apply(DOCUMENT.replace("name: shop", "name: also"))
    assert "Another connector answers at the address without a name" in words(browser, "/connectors/also")

    browser.post("/connectors/also/default")

    assert backend.connectors.default() == "also"
    assert "is answered by this connector as well" in words(browser, "/connectors/also")


def test_the_credentials_are_checked_with_the_partner(browser: Browser, publishing: Publishing, tmp_path: Path) -> None:
    with InThread(tmp_path / "pangolin.db", "right-token") as pangolin:
        publishing.apply(DOCUMENT.replace("http://127.0.0.1:1", pangolin.url))
        browser.post(f"{PAGE}/check")
        assert "The partner does not accept us:" in words(browser)

        publishing.set_secret("shop-token", "right-token")
        browser.post(f"{PAGE}/check")
        assert "The partner accepts the credentials of shop." in words(browser)


def test_a_partner_that_does_not_answer_has_not_refused_the_credentials(browser: Browser, publishing: Publishing) -> None:
    browser.post(f"{PAGE}/check")

    shown = words(browser)
    assert "The partner could not tell:" in shown
    assert "does not accept us" not in shown


def test_a_partner_that_asked_for_quiet_is_not_asked(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    backend.connectors.not_before("shop", clock.now() + 90, reason="come_back_later", detail="")

    browser.post(f"{PAGE}/check")

    assert "asked not to be called before" in words(browser)


def test_deleting_asks_twice_and_says_what_goes(browser: Browser, publishing: Publishing, backend: EmbeddedBackend) -> None:
    publishing.apply(DOCUMENT + "environments: {sandbox: {}}\n")
    asked = words(browser, f"{PAGE}/delete")
    assert "the document with 2 versions" in asked
    assert "the connectors shop, shop@sandbox" in asked

    assert browser.post(f"{PAGE}/delete", {"typed": "shup"}).status_code == 409
    assert backend.connectors.documents() == ["shop"]

    assert browser.post(f"{PAGE}/delete", {"typed": "shop"}).status_code == 302
    assert backend.connectors.documents() == []
    assert "shop is deleted." in words(browser, "/")
    with pytest.raises(NotFound):
        backend.connectors.state("shop")
    assert (backend.audit.newest(limit=1)[0].by, backend.audit.newest(limit=1)[0].what) == (NAME, "delete")


def test_what_waits_is_not_deleted_and_the_page_says_why(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    message = Message(1, "change", "shop", "a.1", "request", clock.now(), mutations=(Mutation(0, user={"id": CANARY}),))
    turn = backend.audiences.begin_turn("shop", "a.1", position=1, message_id="m")
    backend.audiences.join(turn, message, HoldRequest("audience_gone", None))

    answer = browser.post(f"{PAGE}/delete", {"typed": "shop"})

    assert answer.status_code == 409
    assert 'role="alert"' in answer.text
    assert backend.connectors.documents() == ["shop"]


def test_an_environment_goes_with_its_document(browser: Browser, publishing: Publishing) -> None:
    publishing.apply(DOCUMENT + "environments: {sandbox: {}}\n")

    assert browser.get("/connectors/shop@sandbox/delete", 302).location == f"{PAGE}/delete"


@pytest.mark.parametrize(
    ("role", "sees"),
    [
        ("viewer", set()),
        ("operator", {"Switch off", "Pause", "Switch off… Remove", "Check the credentials"}),
        ("admin", {"Switch off", "Pause", "Switch off… Remove", "Check the credentials", "Make a new one", "Delete shop…"}),
    ],
)
def test_a_visitor_sees_the_buttons_of_their_role(
    somebody: Callable[[Role], Browser], publishing: Publishing, role: Role, sees: set[str]
) -> None:
    shown = words(somebody(role))

    possible = ("Switch off", "Pause", "Switch off… Remove", "Check the credentials", "Make a new one", "Delete shop…")
    assert {label for label in possible if label in shown} == sees
