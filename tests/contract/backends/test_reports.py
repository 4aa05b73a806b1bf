"""What happened: attempts, rejections, counters, latencies; and how long they are kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from relay.backends.interfaces import (
    ATTEMPTS_KEPT,
    COUNTERS_KEPT_S,
    DRAFTS_KEPT_S,
    FAILED_ATTEMPTS_KEPT_S,
    LATENCY_CLASSES_MS,
    Backend,
    latency_class,
)
from relay.domain.connector import Retention
from relay.domain.exchange import Content, Exchange, Exchanges
from relay.domain.outcome import CallReport, Result
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, DAY, MINUTE, connector, document, published, rejection, report


def exchanged(masked: str) -> Exchanges:
    one = Exchange("POST", "https://p.example", 200, 1.5, "add", 1, (("request-1", 0),), sent=Content("json", 0, masked))
    return Exchanges(1, (one,), left_out=3)


# attempts
def test_attempts_are_read_newest_first(backend: Backend) -> None:
    reports = [report(number=number, delivered=1) for number in range(3)]
    for one in reports:
        backend.reports.attempt(one, [])
    assert backend.reports.attempts("pangolin") == reports[::-1]
    assert backend.reports.attempts(limit=2) == reports[:0:-1]
    assert backend.reports.attempts("other") == []


def test_attempts_of_all_connectors_are_read_together(backend: Backend) -> None:
    for number, name in enumerate(["one", "two", "one"]):
        backend.reports.attempt(report(name, number=number, delivered=1), [])
    assert [(one.connector, one.attempt_id) for one in backend.reports.attempts()] == [
        ("one", "attempt-2"),
        ("two", "attempt-1"),
        ("one", "attempt-0"),
    ]


def test_failed_attempts_are_read_alone(backend: Backend) -> None:
    backend.reports.attempt(report(number=1, delivered=1), [])
    backend.reports.attempt(report(number=2, delivered=1, rejected=1), [])
    backend.reports.attempt(report("other", number=3, problem="try_again"), [])
    backend.reports.attempt(report(number=4, retry=2), [])
    assert [one.attempt_id for one in backend.reports.attempts("pangolin", failed_only=True)] == ["attempt-4", "attempt-2"]
    assert len(backend.reports.attempts(failed_only=True)) == 3


def test_an_attempt_is_found_by_its_id_until_it_is_not_kept_any_more(backend: Backend, clock: TurnedClock) -> None:
    strange = "an attempt/of 'another' world"
    given = [report(number=1, delivered=1), report("other", number=2, rejected=1)]
    for one in (*given, replace(given[0], attempt_id=strange)):
        backend.reports.attempt(one, [])
    assert [backend.reports.attempt_by_id(one.attempt_id) for one in given] == given
    assert backend.reports.attempt_by_id(strange) == replace(given[0], attempt_id=strange)
    for unknown in ("attempt-3", "attempt", "", "%", strange.upper()):
        assert backend.reports.attempt_by_id(unknown) is None
    clock.advance(40 * DAY)
    later = [report(number=10 + number, at=clock.now(), delivered=1) for number in range(ATTEMPTS_KEPT)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda one: backend.reports.attempt(one, []), later))
    backend.tidy()
    assert backend.reports.attempt_by_id("attempt-1") is None


def test_in_brief_an_attempt_is_read_without_what_may_be_a_thousand_of(backend: Backend) -> None:
    results = tuple(Result("request-1", index, "Add", "rejected", "bad", "No.") for index in range(3))
    calls = (CallReport("add", 3, 200, 1.5),)
    given = replace(report(delivered=1, rejected=3, problem="bad"), exceptions=results, calls=calls, hint="Look.", due_at=7.0)
    backend.reports.attempt(given, [])
    for one in (backend.reports.attempts("pangolin", brief=True), backend.reports.attempts(failed_only=True, brief=True)):
        assert one == [replace(given, request_ids=(), exceptions=())]
    assert backend.reports.attempts() == [given]


def test_of_the_last_days_so_many_attempts_of_each_connector_are_kept_at_least_and_all_failed_ones(
    backend: Backend, clock: TurnedClock
) -> None:
    backend.reports.attempt(report("quiet", number=0, delivered=1), [])
    for number in (1, 2):
        backend.reports.attempt(report(number=number, retry=1), [])
    last = range(3, ATTEMPTS_KEPT + 3)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: backend.reports.attempt(report(number=number, delivered=1), []), last))
    clock.advance(FAILED_ATTEMPTS_KEPT_S - MINUTE)
    backend.tidy()
    kept = {one.attempt_id for one in backend.reports.attempts("pangolin", limit=10_000)}
    assert kept >= {f"attempt-{number}" for number in (1, 2, *last)}
    assert len(backend.reports.attempts("quiet")) == 1


def test_what_was_exchanged_in_an_attempt_is_read_by_its_id(backend: Backend) -> None:
    backend.reports.attempt(report(number=1, delivered=1), [], exchanged("‹user 1: id›"))
    backend.reports.attempt(report("other", number=2, problem="try_again"), [], exchanged("‹text, 5 characters›"))
    backend.reports.attempt(report(number=3, delivered=1), [])
    assert backend.reports.exchanges("attempt-1") == exchanged("‹user 1: id›")
    assert backend.reports.exchanges("attempt-2") == exchanged("‹text, 5 characters›")
    assert backend.reports.exchanges("attempt-3") is None
    assert backend.reports.exchanges("unknown") is None
    assert backend.reports.exchanges("") is None
    assert [one.attempt_id for one in backend.reports.attempts()] == ["attempt-3", "attempt-2", "attempt-1"]


def test_the_largest_attempt_is_kept_with_what_was_exchanged_in_it(backend: Backend) -> None:
    calls = tuple(CallReport("add", 1, 200, 1.5, "x" * 100) for _ in range(10_000))
    large = exchanged("x" * 24_000)
    backend.reports.attempt(replace(report(number=1, delivered=1), calls=calls), [], large)
    assert backend.reports.exchanges("attempt-1") == large


# rejections
def test_rejections_of_an_attempt_are_stored_with_it(backend: Backend) -> None:
    backend.reports.attempt(report(rejected=2), [rejection(index=0), rejection(index=1)])
    backend.reports.add_rejections([rejection(index=2)])
    found = backend.reports.rejections("pangolin")
    assert [one for _, one in found] == [rejection(index=0), rejection(index=1), rejection(index=2)]
    assert [number for number, _ in found] == sorted({number for number, _ in found})


def test_a_rejection_that_is_repeated_after_a_worker_died_counts_once(backend: Backend) -> None:
    backend.reports.attempt(report(number=1, rejected=2), [rejection(index=0), rejection(index=1)])
    backend.reports.attempt(report(number=2, rejected=3), [rejection(index=2), rejection(index=1), rejection(index=0)])
    assert [one.index for _, one in backend.reports.rejections("pangolin")] == [0, 1, 2]


def test_rejections_are_read_page_by_page(backend: Backend) -> None:
    backend.reports.add_rejections(rejection(index=index) for index in range(5))
    indices, after = [], 0
    while page := backend.reports.rejections(limit=2, after=after):
        indices.append([one.index for _, one in page])
        after = page[-1][0]
    assert indices == [[0, 1], [2, 3], [4]]


def test_rejections_are_read_page_by_page_from_the_newest_back(backend: Backend) -> None:
    backend.reports.add_rejections(rejection("other" if index == 2 else "pangolin", index=index) for index in range(6))
    indices, after = [], 0
    while page := backend.reports.rejections("pangolin", limit=2, after=after, newest_first=True):
        indices.append([one.index for _, one in page])
        after = page[-1][0]
    assert indices == [[5, 4], [3, 1], [0]]


@pytest.mark.parametrize(
    ("wanted", "indices"),
    [
        ({}, [0, 1, 2, 3]),
        ({"connector": "pangolin"}, [0, 1, 2]),
        ({"audience": "a.2"}, [1, 3]),
        ({"user_hash": "beef"}, [2, 3]),
        ({"connector": "pangolin", "audience": "a.2"}, [1]),
        ({"connector": "other", "audience": "a.2", "user_hash": "beef"}, [3]),
        ({"connector": "other", "audience": "a.1"}, []),
    ],
)
def test_rejections_are_found_by_connector_audience_and_user(
    backend: Backend, wanted: dict[str, str], indices: list[int]
) -> None:
    backend.reports.add_rejections(
        [
            rejection(index=0),
            rejection(index=1, audience="a.2"),
            rejection(index=2, user_hash="beef"),
            rejection("other", index=3, audience="a.2", user_hash="beef"),
        ]
    )
    found = backend.reports.rejections(
        wanted.get("connector"), audience=wanted.get("audience"), user_hash=wanted.get("user_hash")
    )
    assert [one.index for _, one in found] == indices


def test_rejections_are_kept_as_long_as_their_connector_says(backend: Backend) -> None:
    published(backend, connector("short", retention=Retention(rejections_s=DAY)))
    for name in ("short", "without a document"):
        for days in (0.5, 2, 31):
            backend.reports.add_rejections([rejection(name, index=int(days * 10), at=BEGINNING - days * DAY)])
    backend.tidy()
    assert [(one.connector, one.index) for _, one in backend.reports.rejections()] == [
        ("short", 5),
        ("without a document", 5),
        ("without a document", 20),
    ]


def test_the_live_version_says_how_long(backend: Backend) -> None:
    published(backend, connector(retention=Retention(rejections_s=DAY)))
    published(backend, connector(retention=Retention(rejections_s=9 * DAY)))
    backend.reports.add_rejections([rejection(at=BEGINNING - 2 * DAY)])
    backend.tidy()
    assert len(backend.reports.rejections()) == 1
    backend.connectors.publish("pangolin", 1)
    backend.tidy()
    assert backend.reports.rejections() == []


def test_a_number_is_not_used_again(backend: Backend) -> None:
    backend.reports.add_rejections([rejection(at=BEGINNING - 31 * DAY)])
    ((first, _),) = backend.reports.rejections()
    backend.tidy()
    backend.reports.add_rejections([rejection()])
    ((second, _),) = backend.reports.rejections(after=first)
    assert second > first


# counters and latencies
def test_outcomes_are_counted_by_minute(backend: Backend) -> None:
    backend.reports.attempt(report(number=1, at=BEGINNING + 1, delivered=2, rejected=1), [])
    backend.reports.attempt(report(number=2, at=BEGINNING + 59.9, delivered=3), [])
    backend.reports.attempt(report(number=3, at=BEGINNING + 3 * MINUTE, retry=4, skipped=0), [])
    backend.reports.attempt(report("other", number=4, at=BEGINNING + 1, delivered=100), [])
    assert backend.reports.by_minute("pangolin", since=BEGINNING) == [
        (int(BEGINNING), {"delivered": 5, "rejected": 1}),
        (int(BEGINNING + 3 * MINUTE), {"retry": 4}),
    ]
    assert backend.reports.by_minute("pangolin", since=BEGINNING + MINUTE) == [(int(BEGINNING + 3 * MINUTE), {"retry": 4})]


def test_totals_are_summed_since_a_moment(backend: Backend) -> None:
    backend.reports.attempt(report(number=1, at=BEGINNING, delivered=2, rejected=1), [])
    backend.reports.attempt(report(number=2, at=BEGINNING + MINUTE, delivered=3), [])
    backend.reports.attempt(report("other", number=3, at=BEGINNING + MINUTE, delivered=10), [])
    assert backend.reports.totals("pangolin", since=BEGINNING) == {"delivered": 5, "rejected": 1}
    assert backend.reports.totals("pangolin", since=BEGINNING + MINUTE) == {"delivered": 3}
    assert backend.reports.totals(None, since=BEGINNING) == {"delivered": 15, "rejected": 1}
    assert backend.reports.totals(None, since=BEGINNING + 2 * MINUTE) == {}


def test_latencies_are_counted_for_what_was_delivered(backend: Backend) -> None:
    backend.reports.attempt(report(number=1, lag_ms=80, delivered=2, rejected=5), [])
    backend.reports.attempt(report(number=2, lag_ms=100, delivered=1), [])
    backend.reports.attempt(report("other", number=3, lag_ms=100.1, delivered=7), [])
    backend.reports.attempt(report(number=4, lag_ms=1, retry=3), [])
    assert backend.reports.latencies("pangolin", since=BEGINNING) == {100: 3}
    assert backend.reports.latencies(None, since=BEGINNING) == {100: 3, 200: 7}
    assert backend.reports.latencies(None, since=BEGINNING + MINUTE) == {}


@pytest.mark.parametrize(
    ("latency_ms", "within"), [(0, 1), (1, 1), (1.1, 2), (3, 5), (240, 500), (600_000, 600_000), (1e12, LATENCY_CLASSES_MS[-1])]
)
def test_a_latency_belongs_to_the_class_that_it_is_within(latency_ms: float, within: int) -> None:
    assert latency_class(latency_ms) == within


def test_counters_are_forgotten_after_their_time(backend: Backend, clock: TurnedClock) -> None:
    backend.reports.attempt(report(number=1, at=BEGINNING, delivered=1), [])
    backend.reports.attempt(report(number=2, at=BEGINNING + 2 * MINUTE, delivered=1), [])
    clock.advance(COUNTERS_KEPT_S + MINUTE)
    backend.tidy()
    assert backend.reports.totals("pangolin", since=0) == {"delivered": 1}
    assert backend.reports.latencies("pangolin", since=0) == {100: 1}


# versions
def test_a_draft_is_forgotten_after_its_time_unless_it_is_the_newest_version(backend: Backend, clock: TurnedClock) -> None:
    def numbers() -> list[int]:
        return [version.number for version in backend.connectors.versions("pangolin")]

    published(backend, connector())
    for _ in range(2):
        backend.connectors.add_version(document())
    clock.advance(DRAFTS_KEPT_S)
    backend.tidy()
    assert numbers() == [1, 2, 3], "it is as old as it may become"
    clock.advance(1)
    backend.tidy()
    assert numbers() == [1, 3]
    assert backend.connectors.add_version(document()).number == 4
    backend.tidy()
    assert numbers() == [1, 4]


def test_a_draft_that_was_published_late_is_kept(backend: Backend, clock: TurnedClock) -> None:
    for _ in range(3):
        backend.connectors.add_version(document())
    clock.advance(DRAFTS_KEPT_S - 1)
    backend.connectors.publish("pangolin", 1)
    clock.advance(2)
    backend.tidy()
    assert [version.number for version in backend.connectors.versions("pangolin")] == [1, 3]
