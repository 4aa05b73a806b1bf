"""What is kept is counted exactly here, where counting costs nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from relay.backends.embedded import EmbeddedBackend, reports
from relay.backends.interfaces import ATTEMPTS_KEPT, FAILED_ATTEMPTS_KEPT_S
from relay.domain.clock import SystemClock
from relay.domain.exchange import Exchange, Exchanges
from tests.contract.backends.given import report


def test_the_last_attempts_of_each_connector_are_kept_and_failed_ones_for_some_days(backend: EmbeddedBackend) -> None:
    now = SystemClock().now()
    backend.reports.attempt(report("quiet", number=0, at=now, delivered=1), [])
    for number in range(ATTEMPTS_KEPT + 10):
        outcome = "retry" if number in (2, 3) else "delivered"
        at = now - FAILED_ATTEMPTS_KEPT_S - 1 if number == 2 else now
        backend.reports.attempt(replace(report(number=number, at=at), counts={outcome: 1}), [])
    backend.tidy()
    kept = [one.attempt_id for one in backend.reports.attempts("pangolin", limit=10_000)]
    assert kept == [f"attempt-{number}" for number in (*range(ATTEMPTS_KEPT + 9, 9, -1), 3)]
    assert len(backend.reports.attempts("quiet")) == 1


def test_of_failed_attempts_the_last_keep_what_was_exchanged_in_them(backend: EmbeddedBackend) -> None:
    now = SystemClock().now()
    exchanged = Exchanges(1, (Exchange("POST", "https://p.example", 500, 1.0),))
    for number in range(ATTEMPTS_KEPT + 10):
        backend.reports.attempt(replace(report(number=number, at=now), counts={"retry": 1}), [], exchanged)
    kept = [number for number in range(ATTEMPTS_KEPT + 10) if backend.reports.exchanges(f"attempt-{number}")]
    assert kept == list(range(10, ATTEMPTS_KEPT + 10))


def test_of_failed_attempts_only_the_last_are_kept_however_many_come_within_days(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MOST_ATTEMPTS_KEPT", ATTEMPTS_KEPT + 5)
    now = SystemClock().now()
    for number in range(ATTEMPTS_KEPT + 20):
        backend.reports.attempt(replace(report(number=number, at=now), counts={"retry": 1}), [])
    kept = [one.attempt_id for one in backend.reports.attempts("pangolin", limit=10_000)]
    assert kept == [f"attempt-{number}" for number in range(ATTEMPTS_KEPT + 19, 14, -1)]
