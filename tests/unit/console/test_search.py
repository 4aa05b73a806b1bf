"""The search: straight to the place, with few reads."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.console.search_reading import ConnectorIndex, looks_like_a_person, search
from relay.domain.connector import DocumentVersion
from tests.clock import TurnedClock
from tests.unit.console.conftest import DOCUMENT, Browser

PAGES = {"holds.show": "Holds", "rejections.show": "Rejections"}


def found(backend: EmbeddedBackend, typed: str, limit: int = 50) -> list[tuple[str, str]]:
    results = search(backend, ConnectorIndex(), describe, typed, pages=PAGES, limit=limit)
    return [(one.kind, one.title) for one in results.found]


def suggested(browser: Browser, typed: str) -> dict[str, Any]:
    answer = browser.post("/search", {"q": typed, "part": "1"})
    assert answer.status_code == 200
    told: dict[str, Any] = answer.get_json()
    return told


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("shop", ("connector", "shop")),
        ("SHOP", ("connector", "shop")),
        ("shop's aud", ("connector", "shop")),
        ("hold", ("page", "Holds")),
        ("remove", ("action", "Remove")),
        ("create aud", ("action", "Create audience")),
        ("base_url", ("setting", "base_url")),
        ("127.0.0.1", ("setting", "base_url")),
        ("shop-tok", ("secret", "shop-token")),
        ("spring", ("audience", "Spring sale")),
        ("a.17", ("audience", "Spring sale")),
    ],
)
def test_what_one_types_leads_first_to_what_is_called_so(
    publishing: Publishing, backend: EmbeddedBackend, typed: str, first: tuple[str, str]
) -> None:
    backend.audiences.claim_creation("shop", "a.17", owner="o", for_s=1.0, name="Spring sale", customer=None)

    assert found(backend, typed)[0] == first


def test_every_word_has_to_be_there(publishing: Publishing, backend: EmbeddedBackend) -> None:
    assert ("action", "Add") in found(backend, "shop add")
    assert found(backend, "shop nonsense") == []


@pytest.mark.parametrize("typed", ["", "   ", "no-such-thing"])
def test_nothing_is_found_for_nothing(publishing: Publishing, backend: EmbeddedBackend, typed: str) -> None:
    assert found(backend, typed) == []


def test_secrets_are_found_by_name_and_never_by_value(publishing: Publishing, browser: Browser) -> None:
    assert suggested(browser, "canary-secret")["results"] == []
    assert "canary-secret" not in browser.post("/search", {"q": "shop"}).text


def test_a_connector_that_no_longer_runs_is_not_found(publishing: Publishing, backend: EmbeddedBackend) -> None:
    index = ConnectorIndex()
    assert [one.name for one in index.live(backend.connectors)] == ["shop"]
    publishing.delete("shop")

    assert index.live(backend.connectors) == []


def test_a_new_version_is_found_at_once_and_a_document_that_begins_anew_is_not_taken_for_the_old_one(
    publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    index = ConnectorIndex()
    titles = [index.live(backend.connectors)[0].title]
    clock.advance(1)
    publishing.apply(DOCUMENT.replace("The shop's", "The second"))
    titles.append(index.live(backend.connectors)[0].title)
    publishing.delete("shop")
    clock.advance(1)
    publishing.apply(DOCUMENT.replace("The shop's", "The third"))
    titles.append(index.live(backend.connectors)[0].title)

    assert titles == ["The shop's audiences", "The second audiences", "The third audiences"]


def test_a_search_reads_new_versions_at_once_and_one_page_of_audiences(
    publishing: Publishing, backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[object] = []
    versions_at, page = backend.connectors.versions_at, backend.audiences.page

    def counted_versions(places: Collection[tuple[str, int]]) -> dict[tuple[str, int], DocumentVersion]:
        reads.append(sorted(places))
        return versions_at(places)

    def counted_page(*args: Any, **options: Any) -> Any:
        reads.append(options["limit"])
        return page(*args, **options)

    monkeypatch.setattr(backend.connectors, "versions_at", counted_versions)
    monkeypatch.setattr(backend.audiences, "page", counted_page)
    publishing.apply(DOCUMENT.replace("name: shop", "name: also"))
    index = ConnectorIndex()
    reads.clear()

    for typed in ("s", "sh", "sho"):
        search(backend, index, describe, typed, pages=PAGES, limit=8)
    assert reads == [[("also", 1), ("shop", 1)], 9, 9, 9]

    publishing.apply(DOCUMENT.replace("The shop's", "The second"))
    reads.clear()
    search(backend, index, describe, "sho", pages=PAGES, limit=8)
    assert reads == [[("shop", 2)], 9]


def test_what_is_cut_is_said(publishing: Publishing, backend: EmbeddedBackend, browser: Browser) -> None:
    for number in range(12):
        backend.audiences.claim_creation("shop", f"x.{number}", owner="o", for_s=1.0, name="Summer", customer=None)

    told = suggested(browser, "summer")

    assert len(told["results"]) == 8
    assert told["note"] == "There is more: press Enter for all."
    assert browser.post("/search", {"q": "summer"}).text.count('<span class="kind">audience</span>') == 12


@pytest.mark.parametrize(
    ("typed", "is_one"),
    [
        ("ann@example.com", True),
        (" ann@mail.example.com ", True),
        ("+49 170 1234567", True),
        ("a" * 64, True),
        ("a" * 32, True),
        ("0123456789ABCDEF0123456789abcdef01234567", True),
        ("123E4567-e89b-12d3-a456-426614174000", True),
        ("0170 1234567", True),
        ("(0170) 123-4567", True),
        ("123-4567", True),
        ("ann@localhost", True),
        ("ann@", True),
        ("@example", True),
        ("shop ann@localhost", True),
        ("shop@sandbox", False),
        ("SHOP@", False),
        ("sale 2026-11", False),
        ("123-456", False),
        ("a" * 31, False),
        ("12345678", False),
        ("a.17", False),
        ("10.0.0.1", False),
    ],
)
def test_what_looks_like_a_person_is_not_looked_for(
    publishing: Publishing, browser: Browser, typed: str, is_one: bool
) -> None:
    assert looks_like_a_person(typed, {"shop"}) is is_one
    told = suggested(browser, typed)
    assert ("Find a user" in told["note"]) is is_one
    page = browser.post("/search", {"q": typed}).text
    assert (typed.strip() in page) is not is_one


def test_what_one_types_is_never_in_an_address_and_an_address_is_not_looked_at(
    publishing: Publishing, browser: Browser
) -> None:
    assert "Results for" not in browser.text("/search?q=shop")
    form = browser.get("/").text.partition('class="finder"')[2].partition("</form>")[0]
    assert 'method="post"' in form
    assert 'name="csrf_token"' in form


def test_what_one_types_is_shown_as_text(publishing: Publishing, browser: Browser) -> None:
    shown = browser.post("/search", {"q": '"><script>alert(1)</script>'}).text

    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert(1)" in shown


def test_an_audience_may_be_called_anything(publishing: Publishing, backend: EmbeddedBackend, browser: Browser) -> None:
    strange = "a/b?c&d=é #1"
    backend.audiences.claim_creation("shop", strange, owner="o", for_s=1.0, name="", customer=None)

    url = suggested(browser, "a/b?c")["results"][0]["url"]

    if url:  # the page is there
        answer = browser.client.get(url)
        assert answer.status_code == 200, answer.text


def test_a_place_without_a_page_is_named_and_has_no_link(publishing: Publishing, browser: Browser) -> None:
    results = suggested(browser, "shop")["results"]

    assert results
    assert all(one["url"] == "" or one["url"].startswith("/") for one in results)
