"""`/audit`: who changed what."""

from __future__ import annotations

import re

from relay.backends.embedded import EmbeddedBackend
from relay.console.pages.audit import LIMITS
from tests.clock import TurnedClock
from tests.unit.console.conftest import Browser


def add(backend: EmbeddedBackend, number: int) -> None:
    for one in range(number):
        backend.audit.add(by="bob@example.com", what="pause", subject=f"shop/a.{one}", detail=f"detail {one}")


def subjects(shown: str) -> list[str]:
    return re.findall(r'<td data-is="Which" class="id">([^<]*)</td>', shown)


def test_where_nothing_was_changed_it_says_so(browser: Browser) -> None:
    assert "Nobody has changed anything yet." in browser.text("/audit")


def test_each_change_is_shown_with_who_what_which_and_when_newest_first(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    backend.audit.add(by="<bob>", what="pause", subject="shop", detail="")
    clock.advance(3600)
    backend.audit.add(by="ann", what="link audience", subject="shop/a.1", detail="p-1")

    shown = browser.text("/audit")

    assert subjects(shown) == ["shop/a.1", "shop"]
    assert "&lt;bob&gt;" in shown
    assert "1 h ago" in shown


def test_every_word_must_be_somewhere_in_an_entry(browser: Browser, backend: EmbeddedBackend) -> None:
    add(backend, 3)
    backend.audit.add(by="ann", what="resume", subject="shop", detail="3 holds")

    assert subjects(browser.text("/audit?like=ANN")) == ["shop"]
    assert subjects(browser.text("/audit?like=bob+detail+2")) == ["shop/a.2"]
    assert "None of the newest 4 changes is like that." in browser.text("/audit?like=nothing")


def test_a_long_log_is_cut_and_says_so(browser: Browser, backend: EmbeddedBackend) -> None:
    add(backend, LIMITS[0] + 1)

    shown = browser.text("/audit")

    assert len(subjects(shown)) == LIMITS[0]
    assert f"Look at the newest {LIMITS[1]}" in shown
    assert len(subjects(browser.text(f"/audit?limit={LIMITS[1]}"))) == LIMITS[0] + 1


def test_a_limit_that_nobody_offered_is_none(browser: Browser, backend: EmbeddedBackend) -> None:
    for limit in ("x", "-1", "0", "99999999"):
        browser.get(f"/audit?limit={limit}")
