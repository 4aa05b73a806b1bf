"""Attempts and rejections on Firestore: what is written how, and what a page of them is."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from relay.backends.google.reports import ATTEMPTS_KEPT_S, GoogleReports
from relay.backends.google.values import moment
from relay.domain.connector import Retention
from relay.domain.outcome import Rejection, Result
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, DAY, rejection, report
from tests.unit.google.firestore import Open, WatchedDocuments


def _reports(
    documents: WatchedDocuments, clock: TurnedClock | None = None, retention_of: Callable[[str], Retention] | None = None
) -> GoogleReports:
    return GoogleReports(documents, clock or TurnedClock(), random.Random(1), retention_of or (lambda _: Retention()))


def _indices(reports: GoogleReports, connector: str | None = None, audience: str | None = None) -> list[int]:
    return [one.index for _, one in reports.rejections(connector, audience=audience, limit=10_000)]


# attempts
def test_an_attempt_is_one_commit_of_two_writes(opened: Open) -> None:
    documents = opened()
    _reports(documents).attempt(report(delivered=3), [])
    assert [len(writes) for writes in documents.commits] == [2]


def test_an_attempt_whose_confirmation_was_lost_counts_once(opened: Open) -> None:
    documents = opened()
    reports = _reports(documents)
    for _ in range(2):
        reports.attempt(report(delivered=3), [])
    assert reports.attempts() == [report(delivered=3)]
    assert reports.totals("pangolin", since=BEGINNING) == {"delivered": 3}


def test_an_attempt_expires_after_its_time(opened: Open) -> None:
    documents = opened()
    _reports(documents).attempt(report(at=BEGINNING - DAY, delivered=3), [])
    (stored,) = documents.all("attempts")
    assert stored.fields["expire_at"] == moment(BEGINNING + ATTEMPTS_KEPT_S)


def test_of_a_report_too_large_for_a_document_the_first_exceptions_remain(opened: Open) -> None:
    reports = _reports(opened())
    exceptions = tuple(Result("request-1", index, "Add", "rejected", "invalid_id", "ö" * 700) for index in range(1_000))
    large = replace(report(rejected=1_000), exceptions=exceptions, request_ids=tuple(f"request-{n}" for n in range(10_000)))
    reports.attempt(large, [])
    (stored,) = reports.attempts()
    assert 0 < len(stored.exceptions) < 1_000
    assert stored.exceptions == exceptions[: len(stored.exceptions)]
    assert stored.request_ids[0] == "request-0"
    assert reports.totals("pangolin", since=BEGINNING) == {"rejected": 1_000}


# rejections
def test_rejections_are_safe_before_their_attempt_is_written(opened: Open) -> None:
    documents = opened()
    rejections = [rejection(index=index) for index in range(1_200)]
    _reports(documents).attempt(report(rejected=1_200), rejections)
    written = [{write.path.partition("/")[0] for write in writes} for writes in documents.commits]
    assert written == [{"rejections"}] * 3 + [{"attempts", "counters"}]
    assert [len(writes) for writes in documents.commits] == [500, 500, 200, 2]
    assert _indices(_reports(documents)) == list(range(1_200))


def test_large_rejections_are_written_in_commits_that_firestore_takes(opened: Open) -> None:
    documents = opened()
    rejections = [replace(rejection(index=index), hint="ö" * 100_000) for index in range(60)]
    _reports(documents).add_rejections(rejections)
    sizes = [sum(len(write.fields["record"].encode()) for write in writes) for writes in documents.commits]
    assert max(sizes) < 4 * 1024 * 1024 < sum(sizes)
    assert _indices(_reports(documents)) == list(range(60))


def test_a_rejection_that_is_there_stays_as_it_is(opened: Open) -> None:
    reports = _reports(opened())
    reports.add_rejections([rejection(index=0), rejection(index=1)])
    before = reports.rejections()
    reports.add_rejections([replace(rejection(index=1), at=BEGINNING + DAY), rejection(index=2)])
    assert reports.rejections()[:2] == before
    assert _indices(reports) == [0, 1, 2]


def test_the_same_rejections_of_two_processes_at_once_count_once(opened: Open) -> None:
    rejections = [rejection(index=index) for index in range(600)]
    parts = [rejections[:400], rejections[200:], rejections[100:500], rejections[::-1]]
    with ThreadPoolExecutor(len(parts)) as processes:
        list(processes.map(lambda part: _reports(opened()).add_rejections(part), parts))
    assert sorted(_indices(_reports(opened()))) == list(range(600))


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_leave_nothing_out_where_processes_gave_the_same_numbers(opened: Open, limit: int, newest_first: bool) -> None:
    clock = TurnedClock()
    for process in range(3):
        _reports(opened(), clock).add_rejections(rejection(index=10 * process + index) for index in range(3))
    reader = _reports(opened(), clock)
    found: list[tuple[int, Rejection]] = []
    after = 0
    while page := reader.rejections(limit=limit, after=after, newest_first=newest_first):
        assert len(page) >= min(limit, 9 - len(found))
        found += page
        after = page[-1][0]
    assert len({number for number, _ in found}) == 3, "they are the same"
    assert sorted(one.index for _, one in found) == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    numbers = [number for number, _ in found]
    assert numbers == sorted(numbers, reverse=newest_first)


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_page_is_filled_from_what_is_behind_other_rejections_of_the_user(opened: Open, newest_first: bool) -> None:
    reports = _reports(opened())
    reports.add_rejections(rejection("other" if 5 <= index < 320 else "pangolin", index=index) for index in range(325))
    page = reports.rejections("pangolin", user_hash="f00d", limit=7, newest_first=newest_first)
    assert [one.index for _, one in page] == ([324, 323, 322, 321, 320, 4, 3] if newest_first else [0, 1, 2, 3, 4, 320, 321])


def test_a_page_reads_one_rejection_more_than_it_shows(opened: Open) -> None:
    documents = opened()
    reports = _reports(documents)
    reports.add_rejections(rejection(index=index) for index in range(50))
    reports.add_rejections(rejection(index=index, audience="a.2") for index in range(50, 100))
    documents.read = 0
    page = reports.rejections("pangolin", audience="a.1", limit=5, newest_first=True)
    assert [one.index for _, one in page] == [49, 48, 47, 46, 45]
    assert documents.read == 6


@pytest.mark.parametrize("audience", ["", "a/b", "..", "__x__", "ö" * 2_000, "a" * 5_000])
def test_an_audience_may_be_called_anything(opened: Open, audience: str) -> None:
    reports = _reports(opened())
    reports.add_rejections(
        [rejection(index=0), rejection(index=1, audience=audience), rejection(index=2, audience=f"{audience}/")]
    )
    assert _indices(reports, audience=audience) == [1]
    assert _indices(reports, connector="pangolin", audience=audience) == [1]


def test_names_that_begin_alike_are_told_apart(opened: Open) -> None:
    names = ["a", "a/b", "a.b", "a-b", "b", "a/", "A"]
    reports = _reports(opened())
    reports.add_rejections(rejection(name, index=index) for index, name in enumerate(names))
    for index, name in enumerate(names):
        assert _indices(reports, connector=name) == [index]


def test_a_rejection_expires_when_its_connector_says(opened: Open) -> None:
    documents = opened()
    reports = _reports(documents, retention_of=lambda connector: Retention(rejections_s=DAY * len(connector)))
    reports.add_rejections([rejection("one", at=BEGINNING - DAY), rejection("three", at=BEGINNING)])
    expiry = {stored.fields["connector"]: stored.fields["expire_at"] for stored in documents.all("rejections")}
    assert expiry == {"one": moment(BEGINNING + 2 * DAY), "three": moment(BEGINNING + 5 * DAY)}


def test_the_retention_is_asked_for_once_a_minute(opened: Open) -> None:
    asked: list[str] = []

    def retention_of(connector: str) -> Retention:
        asked.append(connector)
        return Retention()

    clock = TurnedClock()
    reports = _reports(opened(), clock, retention_of)
    for index in range(3):
        reports.add_rejections([rejection("one", index=index), rejection("two", index=index)])
    assert asked == ["one", "two"]
    clock.advance(60)
    reports.add_rejections([rejection("one", index=4)])
    assert asked == ["one", "two", "one"]
