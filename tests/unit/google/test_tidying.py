"""What tidying deletes on Firestore, beside what a time to live does, and what it lets live longer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from relay.backends.google import audience_documents as docs
from relay.backends.google import mending
from relay.backends.google.audiences import GoogleAudiences
from relay.backends.google.documents import Query, Stored, Write
from relay.backends.google.reports import ATTEMPTS_KEPT_S, GoogleReports
from relay.backends.google.tidying import Tidying
from relay.backends.google.values import moment
from relay.backends.interfaces import COUNTERS_KEPT_S
from relay.domain.connector import Retention
from relay.domain.errors import StoreUnavailable
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, DAY, MINUTE, rejection, report
from tests.unit.google.firestore import Open, WatchedDocuments


class _Kept:
    """How long each connector keeps its rejections, in days; turned by the tests."""

    def __init__(self, **days: float) -> None:
        self.days = days

    def __call__(self, connector: str) -> Retention:
        return Retention(rejections_s=self.days[connector] * DAY)


def _reports(documents: WatchedDocuments, clock: TurnedClock, kept: _Kept | None = None) -> GoogleReports:
    return GoogleReports(documents, clock, random.Random(1), kept or (lambda _: Retention()))


def _tidy(documents: WatchedDocuments, clock: TurnedClock, kept: _Kept | None = None) -> None:
    Tidying(documents, clock, kept or (lambda _: Retention())).tidy()


def test_many_are_deleted_in_parts(opened: Open) -> None:
    documents, clock = opened(), TurnedClock()
    reports = _reports(documents, clock)
    reports.add_rejections(rejection(index=index, at=BEGINNING - 31 * DAY) for index in range(1_100))
    reports.add_rejections([rejection(index=2_000)])
    documents.commits.clear()
    _tidy(documents, clock)
    assert [len(writes) for writes in documents.commits if writes] == [500, 500, 100]
    assert [one.index for _, one in reports.rejections()] == [2_000]


def test_two_at_once_do_not_disturb_each_other_nor_those_who_write(opened: Open) -> None:
    clock = TurnedClock()
    _reports(opened(), clock).add_rejections(rejection(index=index, at=BEGINNING - 31 * DAY) for index in range(550))

    def write() -> None:
        reports = _reports(opened(), clock)
        for number in range(20):
            reports.attempt(report(number=number, rejected=1), [rejection(index=1_000 + number)])

    with ThreadPoolExecutor(4) as processes:
        jobs = [processes.submit(write), *(processes.submit(_tidy, opened(), clock) for _ in range(3))]
    for job in jobs:
        job.result()
    assert [one.index for _, one in _reports(opened(), clock).rejections()] == [1_000 + number for number in range(20)]


def test_a_retention_that_was_shortened_holds_for_what_is_there(opened: Open) -> None:
    documents, clock, kept = opened(), TurnedClock(), _Kept(one=30, two=30)
    reports = _reports(documents, clock, kept)
    reports.add_rejections(rejection(name, at=BEGINNING - 3 * DAY) for name in ("one", "two"))
    kept.days["one"] = 2
    _tidy(documents, clock, kept)
    assert [one.connector for _, one in reports.rejections()] == ["two"]


def test_a_retention_that_was_lengthened_holds_for_what_is_there(opened: Open) -> None:
    documents, clock, kept = opened(), TurnedClock(), _Kept(one=2, two=2)
    reports = _reports(documents, clock, kept)
    reports.add_rejections(
        rejection(name, index=index, at=BEGINNING - 2 * DAY + MINUTE) for name in ("one", "two") for index in range(200)
    )
    kept.days["one"] = 30
    _tidy(documents, clock, kept)
    expiry = {(stored.fields["connector"], stored.fields["expire_at"]) for stored in documents.all("rejections")}
    assert expiry == {("one", moment(BEGINNING + 28 * DAY + MINUTE)), ("two", moment(BEGINNING + MINUTE))}
    assert len(documents.all("rejections")) == 400


def test_what_expires_as_it_should_is_not_written_again(opened: Open) -> None:
    documents, clock, kept = opened(), TurnedClock(), _Kept(one=2)
    _reports(documents, clock, kept).add_rejections(
        rejection("one", index=index, at=BEGINNING - 2 * DAY + 60.1 + index / 7) for index in range(50)
    )
    documents.commits.clear()
    _tidy(documents, clock, kept)
    assert [writes for writes in documents.commits if writes] == []


def test_attempts_are_deleted_after_their_time_failed_ones_too(opened: Open) -> None:
    documents, clock = opened(), TurnedClock()
    reports = _reports(documents, clock)
    reports.attempt(report(number=0, delivered=1), [])
    reports.attempt(report(number=1, retry=1), [])
    clock.advance(ATTEMPTS_KEPT_S)
    reports.attempt(report(number=2, delivered=1), [])
    _tidy(documents, clock)
    assert len(reports.attempts()) == 3, "they are as old as they may become"
    clock.advance(1)
    _tidy(documents, clock)
    assert [one.attempt_id for one in reports.attempts()] == ["attempt-2"]


def test_the_counters_of_an_hour_are_deleted_when_all_of_it_is_past_its_age(opened: Open) -> None:
    documents, clock = opened(), TurnedClock()
    _reports(documents, clock).attempt(report(at=BEGINNING + 59 * MINUTE, delivered=1), [])
    clock.advance(COUNTERS_KEPT_S + 60 * MINUTE - 1)
    _tidy(documents, clock)
    assert len(documents.all("counters")) == 1
    clock.advance(1)
    _tidy(documents, clock)
    assert documents.all("counters") == []


def test_a_draft_that_is_published_at_the_same_moment_is_not_deleted(opened: Open) -> None:
    draft, published = "documents/pangolin/versions/1", {"number": 1, "record": "published"}

    class Late(WatchedDocuments):
        def commit(self, writes: Sequence[Write]) -> None:
            if any(write.kind == "delete" for write in writes) and not any(one for one in self.commits):
                super().commit([Write(draft, fields=published)])
            super().commit(writes)

    documents = opened(Late)
    opened().commit(
        [
            Write("documents/pangolin", fields={"name": "pangolin"}),
            Write(draft, fields={"number": 1, "record": "draft", "expire_at": moment(BEGINNING - 1)}),
        ]
    )
    _tidy(documents, TurnedClock())
    (stored,) = documents.all("documents/pangolin/versions")
    assert stored.fields == published


# what an older program wrote
def _audiences(documents: WatchedDocuments, clock: TurnedClock, number: int) -> GoogleAudiences:
    """So many that could not be made and are paused, as a program before the fields for pages wrote them."""
    audiences = GoogleAudiences(documents, clock, lambda rejections: [])
    for nth in range(number):
        audiences.claim_creation("shop", f"a.{nth}", owner="me", for_s=30, name=None, customer=None)
        audiences.creation_failed("shop", f"a.{nth}", owner="me", error="No.", final=True)
        audiences.set_paused("shop", f"a.{nth}", True)
    for stored in documents.all("audiences"):
        fields = {name: stored.fields[name] for name in ("record", "connector", "counted")}
        documents.commit([Write(stored.path, fields=fields)])
    return audiences


def test_audiences_that_an_older_program_wrote_are_found_by_status_and_pause_after_tidying(opened: Open) -> None:
    documents, clock = opened(), TurnedClock()
    audiences = _audiences(documents, clock, 2)
    assert audiences.page(status="failed", limit=9) == []
    _tidy(documents, clock)
    assert [one.id for one in audiences.page(status="failed", limit=9)] == ["a.0", "a.1"]
    assert [one.id for one in audiences.page(paused=True, limit=9)] == ["a.0", "a.1"]
    assert audiences.summary()["shop"].by_status == {"failed": 2}
    documents.commits.clear()
    _tidy(documents, clock)
    assert not [write for writes in documents.commits for write in writes], "nothing is left to do"


def test_a_tidying_mends_so_many_at_most_and_the_next_goes_on_behind_them(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mending, "_AT_ONCE", 2)
    monkeypatch.setattr(mending, "MOST_LOOKED_AT", 4)
    documents, clock = opened(), TurnedClock()
    audiences = _audiences(documents, clock, 7)
    found = []
    for _ in range(2):
        documents.read = 0
        _tidy(documents, clock)
        assert documents.read <= 4
        found.append(len(audiences.page(status="failed", limit=9)))
    assert found == [4, 7]


@pytest.mark.parametrize("record", ['{"spoiled"', '{"version": 99}', None])
def test_a_spoiled_audience_does_not_keep_the_others_from_being_mended(opened: Open, record: str | None) -> None:
    documents, clock = opened(), TurnedClock()
    audiences = _audiences(documents, clock, 3)
    spoiled = documents.all("audiences")[1]
    fields = {"connector": "shop", "counted": 0} | ({"record": record} if record is not None else {})
    documents.commit([Write(spoiled.path, fields=fields)])

    _tidy(documents, clock)

    assert len(documents.query(Query("audiences", [("shape", ">=", docs.SHAPE)]))) == 2
    assert len(audiences.page(status="failed", limit=9)) == 2


def test_what_a_tidying_looked_at_before_it_broke_off_is_not_looked_at_again(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mending, "_AT_ONCE", 2)

    class Breaking(WatchedDocuments):
        left = 1

        def query(self, query: Query) -> list[Stored]:
            if query.collection == "audiences" and query.limit == 2:
                if not self.left:
                    raise StoreUnavailable("Firestore cannot be reached.")
                self.left -= 1
            return super().query(query)

    clock = TurnedClock()
    _audiences(opened(), clock, 5)
    with pytest.raises(StoreUnavailable):
        mending.mend(opened(Breaking))

    (stored,) = [one for one in opened().all("settings") if one.name == "mended"]
    assert stored.fields["after"] == opened().all("audiences")[1].path


def test_an_audience_that_somebody_changes_meanwhile_is_not_written_over(opened: Open) -> None:
    clock = TurnedClock()

    class Changing(WatchedDocuments):
        def commit(self, writes: Sequence[Write]) -> None:
            if any(write.kind == "merge" and write.path.startswith("audiences/") for write in writes):
                GoogleAudiences(opened(), clock, lambda rejections: []).set_paused("shop", "a.0", False)
            super().commit(writes)

    documents = opened(Changing)
    audiences = _audiences(documents, clock, 1)
    _tidy(documents, clock)
    assert audiences.page(paused=True, limit=9) == []
    assert len(audiences.page(status="failed", limit=9)) == 1
