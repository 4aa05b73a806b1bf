"""The home page asks the store as often after years as on the first day, however much there is of anything but connectors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.domain.audience import HoldRequest
from relay.domain.message import Message, Mutation
from relay.domain.outcome import Rejection, Report
from tests.clock import TurnedClock
from tests.unit.console.conftest import DOCUMENT, Browser

DAY = 86_400.0
SAME = 12
"""Audiences of each kind on the first day: as many as are looked at by kind, and no more one by one."""


@pytest.fixture
def asked(browser: Browser, backend: EmbeddedBackend) -> Callable[[], int]:
    """How often the store is asked for the page."""

    def count() -> int:
        seen: list[str] = []
        backend.database.connection().set_trace_callback(seen.append)
        try:
            browser.get("/")
        finally:
            backend.database.connection().set_trace_callback(None)
        return len([one for one in seen if one.lstrip().upper().startswith(("SELECT", "WITH"))])

    return count


def many(backend: EmbeddedBackend, clock: TurnedClock, numbers: range) -> None:
    """Audiences that wait, that could not be made, and that are paused."""
    for number in numbers:
        turn = backend.audiences.begin_turn("shop", f"w.{number}", position=1, message_id=f"m{number}")
        users = (Mutation(0, user={"id": "u"}),)
        message = Message(1, "change", "shop", f"w.{number}", f"r{number}", clock.now(), mutations=users)
        backend.audiences.join(turn, message, HoldRequest("partner_unavailable", clock.now() + 60, "No."))
        backend.audiences.claim_creation("shop", f"f.{number}", owner="me", for_s=30, name=None, customer=None)
        backend.audiences.creation_failed("shop", f"f.{number}", owner="me", error="No.", final=True)
        backend.audiences.link("shop", f"p.{number}", partner_id=str(number))
        backend.audiences.set_paused("shop", f"p.{number}", True)


def happened(backend: EmbeddedBackend, clock: TurnedClock, days: range) -> None:
    """An attempt a day, with a rejection."""
    plain = Report(1, "", "shop", 1, "w.1", "change", ("request",), 0, 5.0, {"delivered": 7, "rejected": 1, "skipped": 1})
    for day in days:
        at = clock.now() - day * DAY
        rejection = Rejection(1, "shop", "w.1", f"r{day}", 0, "joined", "hash", "Add", f"code-{day}", "No.", at)
        backend.reports.attempt(replace(plain, attempt_id=f"attempt-{day}", at=at), [rejection])


def test_the_home_page_asks_no_more_often_the_older_the_installation_is_and_the_more_audiences_there_are(
    asked: Callable[[], int], publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    many(backend, clock, range(SAME))
    happened(backend, clock, range(1))
    on_the_first_day = asked()

    happened(backend, clock, range(1, 40))
    many(backend, clock, range(SAME, 5 * SAME))

    assert asked() <= on_the_first_day


def test_each_connector_costs_a_few_questions_and_what_runs_is_read_at_once(
    asked: Callable[[], int], publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    publishing.apply(DOCUMENT.replace("name: shop", "name: another"))
    with_two = asked()

    for number in range(10):
        publishing.apply(DOCUMENT.replace("name: shop", f"name: shop-{number}"))

    assert asked() == with_two, "connectors in which all is well cost nothing more"
    many(backend, clock, range(SAME))
    assert asked() <= with_two + 10
