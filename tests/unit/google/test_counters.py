"""Counters on Firestore: nothing is lost among many who count at once, and little is read."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

from relay.backends.google.counters import SHARDS, Counters, Shards, counter_writes
from relay.backends.google.reports import GoogleReports
from relay.backends.google.values import moment
from relay.backends.interfaces import COUNTERS_KEPT_S
from relay.domain.connector import Retention
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, DAY, MINUTE, report
from tests.unit.google.firestore import Open, WatchedDocuments

HOUR = 3600.0


def _reports(documents: WatchedDocuments, seed: int = 1) -> GoogleReports:
    return GoogleReports(documents, TurnedClock(), random.Random(seed), lambda _: Retention())


def test_processes_that_count_the_same_minute_at_once_lose_nothing(opened: Open) -> None:
    def work(process: int) -> None:
        reports = _reports(opened(), process)
        for number in range(20):
            reports.attempt(report(number=100 * process + number, delivered=2, rejected=1), [])

    with ThreadPoolExecutor(4) as processes:
        list(processes.map(work, range(4)))
    reports = _reports(opened())
    assert reports.by_minute("pangolin", since=BEGINNING) == [(int(BEGINNING), {"delivered": 160, "rejected": 80})]
    assert reports.latencies("pangolin", since=BEGINNING) == {100: 160}
    assert len(reports.attempts(limit=1_000)) == 80


def test_a_busy_connector_is_spread_over_the_shards() -> None:
    shards = Shards(TurnedClock(), random.Random(1))
    assert {shards.next("pangolin") for _ in range(200)} == set(range(SHARDS))


def test_a_quiet_connector_stays_in_one_shard_of_each_process() -> None:
    clock = TurnedClock()
    processes = [Shards(clock, random.Random(seed)) for seed in (1, 2)]
    seen: list[set[int]] = [set(), set()]
    for _ in range(50):
        for process, shards in enumerate(processes):
            seen[process] |= {shards.next("pangolin"), shards.next("other")}
        clock.advance(1)
    assert [len(one) for one in seen] == [1, 1]
    assert seen[0] != seen[1]


def test_what_has_nothing_to_count_is_not_written() -> None:
    assert counter_writes(report(problem="try_again"), 0) == []
    assert counter_writes(report(delivered=0, skipped=0), 0) == []


def test_a_view_of_an_hour_reads_the_documents_of_two_hours(opened: Open) -> None:
    documents = opened()
    for hour in range(5):
        for connector in ("pangolin", "other"):
            for shard in range(SHARDS):
                documents.commit(counter_writes(report(connector, at=BEGINNING + hour * HOUR, delivered=1), shard))
    counters = Counters(documents, TurnedClock(BEGINNING + 4.5 * HOUR))
    assert counters.sums("counts", "pangolin", since=BEGINNING + 3.5 * HOUR) == {"delivered": SHARDS}
    assert documents.read == 2 * SHARDS
    documents.read = 0
    assert counters.sums("counts", None, since=BEGINNING + 3 * HOUR) == {"delivered": 4 * SHARDS}
    assert documents.read == 4 * SHARDS


def test_all_hours_are_counted_however_many_documents_they_are(opened: Open) -> None:
    documents = opened()
    hours = 45
    for hour in range(hours):
        at = BEGINNING - hour * HOUR
        documents.commit([write for shard in range(SHARDS) for write in counter_writes(report(at=at, delivered=1), shard)])
    counters = Counters(documents, TurnedClock())
    assert counters.sums("counts", "pangolin", since=0) == {"delivered": hours * SHARDS}
    assert counters.sums("latencies", None, since=0) == {"100": hours * SHARDS}
    assert len(counters.by_minute("pangolin", since=0)) == hours


def test_minutes_of_one_hour_are_told_apart(opened: Open) -> None:
    documents = opened()
    reports = _reports(documents)
    for number, minute in enumerate((0, 29, 30, 59, 60)):
        reports.attempt(report(number=number, at=BEGINNING + minute * MINUTE + 59.999, delivered=1), [])
    assert [(at - BEGINNING) / MINUTE for at, _ in reports.by_minute("pangolin", since=BEGINNING + 30 * MINUTE)] == [30, 59, 60]


def test_names_that_begin_alike_are_counted_apart(opened: Open) -> None:
    reports = _reports(opened())
    names = ["a", "a/b", "a.b", "a-1800000000", "b", "A"]
    for number, name in enumerate(names):
        reports.attempt(report(name, number=number, delivered=1 + number), [])
    assert [reports.totals(name, since=BEGINNING) for name in names] == [{"delivered": 1 + n} for n in range(len(names))]


def test_counters_expire_after_their_time(opened: Open) -> None:
    documents = opened()
    _reports(documents).attempt(report(at=BEGINNING + 5 * MINUTE, delivered=1), [])
    (stored,) = documents.all("counters")
    assert stored.fields["expire_at"] == moment(BEGINNING + HOUR + COUNTERS_KEPT_S)


def test_what_is_past_its_age_is_not_shown_though_it_is_still_there(opened: Open) -> None:
    documents = opened()
    _reports(documents).attempt(report(at=BEGINNING, delivered=1), [])
    later = Counters(documents, TurnedClock(BEGINNING + COUNTERS_KEPT_S + DAY))
    assert later.sums("counts", "pangolin", since=0) == {}
    assert len(documents.all("counters")) == 1
