"""Versions of a document: who, when, why; what changed; and the way back."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.console import versions_reading
from relay.console.roles import Role
from relay.domain.message import Message, Mutation
from tests.clock import TurnedClock
from tests.unit.console.conftest import CANARY, DOCUMENT, NAME, Browser

PAGE = "/connectors/shop/versions"
SECOND = DOCUMENT + "limits: {batch: {max_items: 20}}\n"
JOURNAL = DOCUMENT + "retention: {journal: 7d}\n"


@pytest.fixture
def second(publishing: Publishing, clock: TurnedClock) -> Publishing:
    """A second version runs; a third is a draft."""
    clock.advance(3600)
    publishing.apply(SECOND, note="Smaller <batches>")
    publishing.apply(SECOND.replace("20", "10"), draft=True)
    return publishing


def words(browser: Browser, path: str) -> str:
    text = html.unescape(re.sub(r"<[^>]*>", " ", browser.get(path).text))
    return re.sub(r" ([.,;:])", r"\1", " ".join(text.split()))


def running(backend: EmbeddedBackend) -> int:
    return backend.connectors.state("shop").live


def test_versions_are_listed_with_who_when_and_why_the_newest_first(browser: Browser, second: Publishing) -> None:
    shown = words(browser, PAGE)

    rows = re.findall(r"<tr.*?</tr>", browser.get(PAGE).text, re.DOTALL)[1:]
    numbers = [re.search(r"versions/(\d+)\"", row) for row in rows]
    assert [found and found.group(1) for found in numbers] == ["3", "2", "1"]
    assert "2 runs now tester Smaller <batches>" in shown
    assert "3 now tester – draft Publish… version 3" in shown
    assert "1 1 h ago tester – 1 h ago Roll back… version 1" in shown


def test_an_environment_shows_the_versions_of_its_document(browser: Browser, second: Publishing) -> None:
    assert "Versions of shop" in words(browser, "/connectors/shop@sandbox/versions")


def test_any_two_are_compared_with_signs(browser: Browser, second: Publishing) -> None:
    page = browser.get(f"{PAGE}?from=2&to=3").text

    gone, new = (f'aria-hidden="true">{sign}</span><span class="visually-hidden">' for sign in "−+")
    assert f"{gone}gone: </span><del>limits: {{batch: {{max_items: 20}}}}</del>" in page
    assert f"{new}new: </span><ins>limits: {{batch: {{max_items: 10}}}}</ins>" in page
    assert "Versions 2 and 2 say the same." in words(browser, f"{PAGE}?from=2&to=2")


@pytest.mark.parametrize("query", ["?from=1&to=99", "?from=x&to=1", "?from=-1"])
def test_what_cannot_be_compared_shows_the_list_only(browser: Browser, second: Publishing, query: str) -> None:
    assert "Versions of shop" in words(browser, f"{PAGE}{query}")


def test_rolling_back_shows_what_changes_and_then_does_it(browser: Browser, second: Publishing, backend: EmbeddedBackend) -> None:
    shown = browser.get(f"{PAGE}/1").text
    assert "What would change against version 2, which runs" in shown
    assert "<del>limits: {batch: {max_items: 20}}</del>" in shown
    assert "Roll back to version 1" in shown

    answer = browser.post(f"{PAGE}/1/publish", {"running": "2"})

    assert (answer.status_code, answer.location) == (302, PAGE)
    assert running(backend) == 1
    assert "Version 1 of shop runs now." in words(browser, PAGE)
    entry = backend.audit.newest(limit=1)[0]
    assert (entry.by, entry.what, entry.detail) == (NAME, "rollback", "version 2 to version 1")


def test_a_draft_is_published(browser: Browser, second: Publishing, backend: EmbeddedBackend) -> None:
    assert "It is a draft: it has never run." in words(browser, f"{PAGE}/3")
    assert "Publish version 3" in words(browser, f"{PAGE}/3")

    browser.post(f"{PAGE}/3/publish", {"running": "2"})

    assert running(backend) == 3
    assert backend.audit.newest(limit=1)[0].what == "publish"


def test_what_runs_has_nothing_to_publish(browser: Browser, second: Publishing) -> None:
    assert "/publish" not in browser.get(f"{PAGE}/2").text
    assert "It runs, since now." in words(browser, f"{PAGE}/2")


def test_of_two_who_publish_the_second_is_asked_to_look_again(
    browser: Browser, second: Publishing, backend: EmbeddedBackend
) -> None:
    second.publish("shop", 3)

    answer = browser.post(f"{PAGE}/1/publish", {"running": "2"})

    assert answer.location == f"{PAGE}/1"
    assert running(backend) == 3
    assert "Meanwhile version 3 was published." in words(browser, f"{PAGE}/1")


def test_what_a_journal_loses_is_said_and_has_to_be_agreed_to(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    publishing.apply(JOURNAL)
    mutations = (Mutation(0, user={"id": CANARY}),)
    backend.queue.publish([Message(1, "change", "shop", "a.1", "r", clock.now(), mutations=mutations, journal_days=7)])
    shown = words(browser, f"{PAGE}/1")
    assert "The journal of shop would be switched off: 1 batch with 1 mutation" in shown

    assert browser.post(f"{PAGE}/1/publish", {"running": "2"}).location == f"{PAGE}/1"
    assert running(backend) == 2

    browser.post(f"{PAGE}/1/publish", {"running": "2", "lose": "yes"})
    assert running(backend) == 1


def test_what_would_keep_a_version_from_running_is_said_before(browser: Browser, publishing: Publishing) -> None:
    publishing.apply(DOCUMENT.replace("shop-token", "other-token"), draft=True)

    assert "shop: The secret 'other-token' (Token) is not set." in words(browser, f"{PAGE}/2")


def test_environments_that_a_version_does_not_have_are_named(browser: Browser, publishing: Publishing) -> None:
    publishing.apply(DOCUMENT + "environments: {sandbox: {}}\n")

    assert "It has no shop@sandbox" in words(browser, f"{PAGE}/1")


def test_a_change_that_contradicts_the_audiences_is_refused_in_words(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend
) -> None:
    other = DOCUMENT.replace("{hmac_secret: shop-hmac}", "{hmac_secret: shop-hmac, audience_id: partner}")
    publishing.apply(other, draft=True)
    backend.audiences.begin_turn("shop", "a.1", position=1, message_id="m")

    answer = browser.post(f"{PAGE}/2/publish", {"running": "1"})

    assert answer.location == f"{PAGE}/2"
    assert "already has audiences" in words(browser, f"{PAGE}/2")
    assert running(backend) == 1


def test_an_unknown_version_is_a_page_that_says_so(browser: Browser, publishing: Publishing) -> None:
    assert "has no version 9" in browser.get(f"{PAGE}/9", 404).text
    assert browser.post(f"{PAGE}/9/publish", {"running": "1"}).status_code == 404


def test_a_long_list_is_cut_and_goes_on(browser: Browser, second: Publishing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions_reading, "MOST_VERSIONS", 2)

    assert f'href="{PAGE}?before=2">1 older</a>' in browser.get(PAGE).text
    assert f'href="{PAGE}/3"' not in browser.get(f"{PAGE}?before=2").text


@pytest.mark.parametrize(("role", "sees"), [("viewer", False), ("operator", False), ("admin", True)])
def test_the_secret_address_of_a_webhook_is_shown_to_admins_only(
    somebody: Callable[[Role], Browser], publishing: Publishing, role: Role, sees: bool
) -> None:
    publishing.apply(DOCUMENT + "notify: {webhook: 'https://hooks.example.com/services/canary-path'}\n")
    publishing.apply(DOCUMENT + "notify: {webhook: 'https://hooks.example.com/services/canary-path-2'}\n")

    for page in (f"{PAGE}/1", f"{PAGE}/2", f"{PAGE}/3", f"{PAGE}?from=1&to=2"):
        shown = somebody(role).text(page)
        if page != f"{PAGE}/1" or not sees:
            assert ("canary-path" in shown) is sees, page
        assert ("for admins" in shown) is not sees, page


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_an_admin_publishes(
    somebody: Callable[[Role], Browser], second: Publishing, backend: EmbeddedBackend, role: Role
) -> None:
    visitor = somebody(role)

    assert "An admin can publish it." in words(visitor, f"{PAGE}/1")
    assert visitor.post(f"{PAGE}/1/publish", {"running": "2"}).status_code == 403
    assert running(backend) == 2
