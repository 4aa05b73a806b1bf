"""What is kept is counted exactly here, where counting costs nothing."""

from __future__ import annotations

from msgspec.structs import replace

from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import ATTEMPTS_KEPT, FAILED_ATTEMPTS_KEPT_S
from relay.domain.clock import SystemClock
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
