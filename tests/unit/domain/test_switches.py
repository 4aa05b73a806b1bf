"""What changes about a connector without a new version, and since when its journal has everything."""

from __future__ import annotations

import pytest

from relay.domain.connector import ConnectorState
from relay.domain.switches import journal_reaches_to, published

DAY = 86_400.0
NOW = 100 * DAY


@pytest.mark.parametrize(
    ("title", "since", "days_before", "days", "expected"),
    [
        ("switched on", 0.0, 0, 7, NOW),
        ("never on", 0.0, 0, 0, 0.0),
        ("switched off", NOW - DAY, 7, 0, 0.0),
        ("goes on", NOW - DAY, 7, 7, NOW - DAY),
        ("shortened", NOW - 20 * DAY, 30, 7, NOW - 20 * DAY),
        ("lengthened when it was full: what was deleted stays so", NOW - 20 * DAY, 7, 30, NOW - 7 * DAY),
        ("lengthened before it was full", NOW - DAY, 7, 30, NOW - DAY),
    ],
)
def test_a_journal_has_everything_since(title: str, since: float, days_before: int, days: int, expected: float) -> None:
    before = ConnectorState(name="c", live=1, journal_since=since)
    after = published(before, 2, days_before=days_before, days=days, now=NOW)
    assert after.journal_since == pytest.approx(expected), title
    assert (after.live, after.live_since) == (2, NOW)


def test_a_connector_that_is_no_longer_in_its_document_has_none() -> None:
    after = published(ConnectorState(name="c", live=1, journal_since=5.0), 0, days_before=0, days=0, now=NOW)
    assert (after.live, after.journal_since) == (0, 0.0)


@pytest.mark.parametrize(
    ("since", "days", "expected"),
    [
        (0.0, 7, None),
        (NOW - DAY, 0, None),
        (NOW - DAY, 7, NOW - DAY + 120),
        (NOW - 20 * DAY, 7, NOW - 7 * DAY),
        (NOW - 10, 7, NOW + 110),
    ],
    ids=["off", "the version without", "since it was on everywhere", "as long as it is kept", "not yet"],
)
def test_it_reaches_back_to(since: float, days: int, expected: float | None) -> None:
    state = ConnectorState(name="c", live=1, journal_since=since)
    assert journal_reaches_to(state, days=days, late_s=120, now=NOW) == expected
