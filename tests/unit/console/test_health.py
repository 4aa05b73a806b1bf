"""`/health`: whether the relay itself is well."""

from __future__ import annotations

import pytest

from adapters.meta import API_VERSION
from relay import __version__
from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import QueueDepth
from relay.configuration import Configuration
from relay.connectors.publishing import Publishing
from relay.console.health_reading import CLOCK_S, health_page
from relay.domain.message import VERSION, Message, Mutation
from relay.domain.outcome import Report
from tests.clock import TurnedClock
from tests.unit.console.conftest import CANARY, DOCUMENT, Browser
from tests.unit.console.waiting import hold


def attempt(backend: EmbeddedBackend, at: float, problem: str = "", name: str = "attempt-1") -> None:
    hint = f"The hint of {problem}." if problem else ""
    counts = {"retry" if problem else "delivered": 1}
    backend.reports.attempt(
        Report(1, name, "shop", 1, "a.1", "change", ("r",), at, 1.0, counts, problem=problem, hint=hint), []
    )


def test_where_nothing_is_wrong_it_says_so(browser: Browser, publishing: Publishing) -> None:
    shown = browser.text("/health")

    assert "Nothing is wrong with the relay itself." in shown
    assert "It is empty" in shown
    assert "None: no attempt has failed in the last 7 days." in shown


def test_the_queue_is_shown_with_its_age_and_that_nobody_takes_from_it(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    users = (Mutation(0, "joined", {"id": CANARY}),)
    backend.queue.publish([Message(VERSION, "change", "shop", "a.1", "r", clock.now(), mutations=users)])
    clock.advance(300)

    shown = browser.text("/health")

    assert "0 being handled; the oldest came in 5 min ago." in shown
    assert "No worker takes what waits" in shown
    assert CANARY not in shown


def test_that_nobody_tries_again_what_is_due_is_said(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock, "a.1", due_in=10)
    clock.advance(100)
    assert "No worker tries again" not in browser.text("/health")

    clock.advance(300)
    assert "No worker tries again what is due, the longest since 6 min." in browser.text("/health")


@pytest.mark.parametrize("stopped", ["off", "paused", "left alone"])
def test_what_is_due_of_a_connector_that_does_not_run_is_nobodys_fault(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock, stopped: str
) -> None:
    hold(backend, clock, "a.1", due_in=10)
    clock.advance(400)
    if stopped == "off":
        publishing.set_enabled("shop", False)
        backend.audiences.make_due("shop")
        clock.advance(400)
    elif stopped == "paused":
        backend.connectors.set_paused("shop", True)
    else:
        backend.connectors.not_before("shop", clock.now() + 60, reason="come_back_later", detail="")

    assert "No worker tries again" not in browser.text("/health")


def test_errors_of_our_own_are_told_from_the_partners(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    attempt(backend, clock.now(), "timeout", "attempt-1")
    attempt(backend, clock.now(), "setting_missing", "attempt-2")

    shown = browser.text("/health")

    assert "The hint of setting_missing." in shown
    assert "The hint of timeout." not in shown


def test_what_ended_the_worker_needs_somebody(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock, "a.1", "crashed")

    assert "1 audience waits, since handling a batch ended the worker several times." in browser.text("/health")


def test_clocks_that_differ_are_said(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    attempt(backend, clock.now() + CLOCK_S - 1)
    assert "clock is" not in browser.text("/health")

    attempt(backend, clock.now() + 600, name="attempt-2")
    assert "The worker&#39;s clock is 10 min ahead of this machine&#39;s." in browser.text("/health")


def test_the_versions_of_everything_are_shown(browser: Browser, publishing: Publishing) -> None:
    shown = browser.text("/health")

    assert __version__ in shown
    assert API_VERSION in shown
    assert "embedded" in shown


def test_connectors_that_keep_a_journal_are_named(browser: Browser, publishing: Publishing, clock: TurnedClock) -> None:
    assert "No connector keeps one." in browser.text("/health")

    publishing.apply(f"{DOCUMENT}\nretention: {{journal: 7d}}\n")
    clock.advance(3600)

    assert "begun <time" in browser.text("/health")


def test_the_room_on_the_disk_is_that_of_the_state(
    publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    state = tmp_path_factory.mktemp("state")

    page = health_page(backend, Configuration(state_dir=state), clock.now())
    elsewhere = health_page(backend, Configuration(state_dir=state / "nothing"), clock.now())

    assert page.room is not None
    assert 0 <= page.room.percent <= 100
    assert 0 < page.room.free <= page.room.total
    assert elsewhere.room is None


def test_a_disk_that_is_full_is_said(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(backend.queue), "depth", lambda _: QueueDepth(1, 1, 0.0, full=True))

    assert "The disk is nearly full: requests are refused (503)" in browser.text("/health")


def test_where_the_queue_cannot_tell_it_says_where_to_look(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(backend.queue), "depth", lambda _: None)

    assert "Cloud Monitoring does" in browser.text("/health")
