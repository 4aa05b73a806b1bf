"""What pages show at once: numbers of all connectors, by hour and by code; audiences added up, and a page at a time."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from relay.backends.interfaces import AudienceSummary, Backend, HoldSummary, RejectionCode
from relay.domain.audience import HoldReason
from relay.domain.connector import Retention
from relay.domain.outcome import Rejection, hash_user
from relay.domain.person import Person
from tests.clock import TurnedClock
from tests.contract.backends.given import (
    BEGINNING,
    DAY,
    MINUTE,
    ask,
    connector,
    drop_all,
    held,
    message,
    published,
    rejection,
    report,
    request,
)

HOUR = 3600.0


def refused(
    index: int,
    *,
    code: str = "invalid_id",
    connector: str = "pangolin",
    action: str = "Add",
    hint: str = "",
    user: str = "u-1",
    at: float = BEGINNING,
) -> Rejection:
    """A rejection with what it is counted by."""
    given = rejection(connector, index=index, user_hash=hash_user(user), at=at)
    return replace(given, action=action, code=code, hint=hint or f"Hint {index}.")


def counts(codes: list[RejectionCode]) -> dict[tuple[str, str, str], int]:
    return {(one.connector, one.action, one.code): one.number for one in codes}


# counters
def test_totals_of_all_connectors_are_those_of_each(backend: Backend, clock: TurnedClock) -> None:
    for number, name in enumerate(("one", "two", "two")):
        backend.reports.attempt(report(name, number=number, at=BEGINNING + number * MINUTE, delivered=1, rejected=number), [])
    backend.reports.attempt(report("old", number=9, at=BEGINNING - HOUR, delivered=1), [])
    clock.advance(5 * MINUTE)
    assert backend.reports.totals_of_all(since=BEGINNING) == {
        "one": {"delivered": 1},
        "two": {"delivered": 2, "rejected": 3},
    }


def test_what_is_added_up_by_hour_is_what_was_counted_by_minute(backend: Backend, clock: TurnedClock) -> None:
    moments = [-26 * HOUR, -2 * HOUR, -2 * HOUR + 31 * MINUTE, -1 * HOUR, -1 * MINUTE, 0]
    clock.advance(MINUTE)
    for number, moment in enumerate(moments):
        backend.reports.attempt(report(number=number, at=BEGINNING + moment, delivered=10**number), [])
    for since in (BEGINNING - 30 * HOUR, BEGINNING - 2 * HOUR, BEGINNING - 90 * MINUTE, BEGINNING - 30 * MINUTE, BEGINNING):
        minutes = backend.reports.by_minute("pangolin", since=since)
        total = sum(numbers["delivered"] for _, numbers in minutes)
        assert backend.reports.totals("pangolin", since=since) == {"delivered": total}
        assert backend.reports.totals_of_all(since=since) == {"pangolin": {"delivered": total}}
        assert backend.reports.latencies("pangolin", since=since) == {100: total}
        hours: dict[int, int] = {}
        for minute, numbers in minutes:
            hour = minute // 3600 * 3600
            hours[hour] = hours.get(hour, 0) + numbers["delivered"]
        expected = {hour: {"delivered": number} for hour, number in hours.items()}
        assert backend.reports.by_hour("pangolin", since=since) == {"pangolin": expected}
        assert list(backend.reports.by_hour(None, since=since)["pangolin"]) == sorted(hours)
        for whose in ("pangolin", None):
            assert list(backend.reports.sums_by_hour(whose, since=since).items()) == sorted(expected.items())
        assert backend.reports.latencies_by_hour(None, since=since) == {hour: {100: number} for hour, number in hours.items()}


def test_hours_of_one_connector_are_read_alone(backend: Backend) -> None:
    for number, name in enumerate(("pangolin", "other")):
        backend.reports.attempt(report(name, number=number, lag_ms=80 + number * 100, delivered=1 + number), [])
    hour = int(BEGINNING)
    assert backend.reports.by_hour("pangolin", since=BEGINNING) == {"pangolin": {hour: {"delivered": 1}}}
    assert backend.reports.latencies_by_hour("other", since=BEGINNING) == {hour: {200: 2}}
    assert backend.reports.by_hour("nobody", since=BEGINNING) == {}
    assert backend.reports.sums_by_hour("pangolin", since=BEGINNING) == {hour: {"delivered": 1}}
    assert backend.reports.sums_by_hour("nobody", since=BEGINNING) == {}
    assert set(backend.reports.by_hour(None, since=BEGINNING)) == {"other", "pangolin"}


def test_what_was_read_before_is_added_up_anew_where_more_was_counted(backend: Backend, clock: TurnedClock) -> None:
    first = BEGINNING - 5 * DAY
    for number, moment in enumerate((first, BEGINNING - 2 * DAY)):
        backend.reports.attempt(report("one", number=number, at=moment, delivered=1), [])
        backend.reports.attempt(report("two", number=10 + number, at=moment, delivered=5, rejected=1), [])
    for more in range(3):
        totals = {"one": {"delivered": 2 + more}, "two": {"delivered": 10, "rejected": 2}}
        assert backend.reports.totals_of_all(since=first) == totals
        assert backend.reports.totals(None, since=first) == {"delivered": 12 + more, "rejected": 2}
        hours = {int(first): {"delivered": 6, "rejected": 1}, int(first + 3 * DAY): {"delivered": 6 + more, "rejected": 1}}
        assert backend.reports.sums_by_hour(None, since=first) == hours
        backend.reports.attempt(report("one", number=20 + more, at=BEGINNING - 2 * DAY, delivered=1), [])


@pytest.mark.parametrize("days", [1, 39])
def test_tidying_changes_no_number_that_is_kept(backend: Backend, clock: TurnedClock, days: int) -> None:
    for number, minute in enumerate((0, 7, 59, 60, 200)):
        backend.reports.attempt(report(number=number, at=BEGINNING + minute * MINUTE, delivered=10**number), [])
    clock.advance(days * DAY)
    backend.reports.attempt(report(number=9, at=clock.now(), lag_ms=1, delivered=5), [])
    since = BEGINNING + 7 * MINUTE

    def numbers() -> tuple[object, ...]:
        reports = backend.reports
        return (
            reports.by_hour(None, since=since),
            reports.totals_of_all(since=since),
            reports.latencies_by_hour(None, since=since),
            reports.latencies("pangolin", since=since),
        )

    before = numbers()
    assert before[1] == {"pangolin": {"delivered": 11_115}}
    for _ in range(2):
        backend.tidy()
        assert numbers() == before
    backend.reports.attempt(report(number=10, at=clock.now(), lag_ms=1, delivered=1), [])
    assert backend.reports.totals_of_all(since=since) == {"pangolin": {"delivered": 11_116}}


def test_hours_are_forgotten_with_their_minutes(backend: Backend, clock: TurnedClock) -> None:
    backend.reports.attempt(report(number=1, at=BEGINNING, delivered=1), [])
    clock.advance(41 * DAY)
    backend.tidy()
    assert backend.reports.by_hour(None, since=0) == {}
    assert backend.reports.latencies_by_hour(None, since=0) == {}
    assert backend.reports.totals_of_all(since=0) == {}


# rejections by code
def test_rejections_are_counted_by_connector_action_and_code_most_first(backend: Backend) -> None:
    backend.reports.add_rejections(
        [
            refused(0, code="no_consent", at=BEGINNING + 1),
            refused(1, at=BEGINNING + 2),
            refused(2, at=BEGINNING + 3),
            refused(3, action="Remove", at=BEGINNING + 4),
            refused(4, connector="other", at=BEGINNING + 5),
            refused(5, at=BEGINNING + 6, hint="The newest one."),
        ]
    )
    codes = backend.reports.rejection_codes(since=BEGINNING)
    assert codes[0] == RejectionCode("pangolin", "Add", "invalid_id", "The newest one.", 3, BEGINNING + 6)
    assert counts(codes) == {
        ("pangolin", "Add", "invalid_id"): 3,
        ("pangolin", "Add", "no_consent"): 1,
        ("pangolin", "Remove", "invalid_id"): 1,
        ("other", "Add", "invalid_id"): 1,
    }
    assert counts(backend.reports.rejection_codes("other", since=BEGINNING)) == {("other", "Add", "invalid_id"): 1}
    assert backend.reports.rejection_codes("nobody", since=BEGINNING) == []


def test_rejections_are_counted_since_the_hour_of_a_moment(backend: Backend) -> None:
    backend.reports.add_rejections(
        [refused(0, at=BEGINNING - 1), refused(1, at=BEGINNING), refused(2, at=BEGINNING + HOUR, hint="The newest one.")]
    )
    codes = backend.reports.rejection_codes(since=BEGINNING + 59 * MINUTE)
    assert codes == [RejectionCode("pangolin", "Add", "invalid_id", "The newest one.", 2, BEGINNING + HOUR)]
    assert counts(backend.reports.rejection_codes(since=BEGINNING - 1)) == {("pangolin", "Add", "invalid_id"): 3}
    assert backend.reports.rejection_codes(since=BEGINNING + 2 * HOUR) == []


def test_a_repeated_rejection_is_counted_once(backend: Backend) -> None:
    for number in range(2):
        backend.reports.attempt(report(number=number, rejected=2), [refused(0), refused(1)])
    assert counts(backend.reports.rejection_codes(since=BEGINNING)) == {("pangolin", "Add", "invalid_id"): 2}


def test_what_was_tidied_away_is_not_counted(backend: Backend, clock: TurnedClock) -> None:
    published(backend, connector(retention=Retention(rejections_s=DAY)))
    backend.reports.add_rejections([refused(0), refused(1, at=BEGINNING + HOUR), refused(2, code="no_consent")])
    clock.advance(DAY + 1)
    backend.tidy()
    assert counts(backend.reports.rejection_codes(since=0)) == {("pangolin", "Add", "invalid_id"): 1}


def test_rejections_of_a_person_who_is_forgotten_are_not_counted(backend: Backend) -> None:
    backend.reports.add_rejections([refused(0), refused(1, hint="What stays."), refused(2, user="u-7"), refused(3, user="u-7")])
    backend.traces.forget(Person("u-7"))
    assert backend.reports.rejection_codes(since=BEGINNING) == [
        RejectionCode("pangolin", "Add", "invalid_id", "What stays.", 2, BEGINNING)
    ]


def test_batches_that_are_dropped_are_counted_as_their_rejections(backend: Backend) -> None:
    held(backend, "a.1")
    backend.audiences.drop("pangolin", "a.1", older_than=None, limit=9, reject=lambda _batches: [refused(0, code="dropped")])
    assert counts(backend.reports.rejection_codes(since=BEGINNING)) == {("pangolin", "Add", "dropped"): 1}


# audiences, a page at a time
def named(backend: Backend, audience: str, name: str, partner_id: str, connector: str = "pangolin") -> None:
    backend.audiences.link(connector, audience, partner_id=partner_id, name=name)


def ids(backend: Backend, connector: str | None = None, **asked: object) -> list[tuple[str, str]]:
    asked.setdefault("limit", 100)
    return [(one.connector, one.id) for one in backend.audiences.page(connector, **asked)]  # type: ignore[arg-type]


EVERYTHING = [("one", "a.1"), ("one", "a.2"), ("one", "b/ä:1"), ("two", "a.1"), ("two@sandbox", "A.0"), ("two@sandbox", "a.1")]


def test_audiences_are_read_page_by_page_in_the_order_of_connector_and_id(backend: Backend) -> None:
    for number, (name, audience) in enumerate(reversed(EVERYTHING)):
        named(backend, audience, "", str(number), name)
    assert ids(backend) == EVERYTHING
    found, after = [], None
    while page := backend.audiences.page(after=after, limit=2):
        found += [(one.connector, one.id) for one in page]
        after = found[-1]
    assert found == EVERYTHING
    assert ids(backend, "two") == [("two", "a.1")]
    assert ids(backend, "one", after=("one", "a.1"), limit=1) == [("one", "a.2")]
    assert ids(backend, "one", after=("one", "b/ä:1")) == []
    assert backend.audiences.page(limit=1) == [backend.audiences.get("one", "a.1")]


@pytest.mark.parametrize(
    ("like", "found"),
    [
        ("A.1", ["a.1"]),
        ("zürich", ["a.1", "a.2"]),
        ("STRASSE", ["a.2"]),
        ("p-9", ["a.3"]),
        ("%", ["a.3"]),
        ("_", []),
        ("nothing", []),
    ],
)
def test_audiences_are_found_by_part_of_id_name_or_partner_id_without_case(
    backend: Backend, like: str, found: list[str]
) -> None:
    named(backend, "a.1", "Visitors of ZÜRICH", "7")
    named(backend, "a.2", "Zürich, Langstraße", "8")
    named(backend, "a.3", "100 % sure", "P-9")
    assert [audience for _, audience in ids(backend, like=like)] == found
    assert [audience for _, audience in ids(backend, "pangolin", like=like)] == found


def test_several_audiences_are_read_at_once_as_each_is_read_alone(backend: Backend) -> None:
    held(backend, "a.1", message("a.1", "u1", "u2"), message("a.1", "u3"))
    held(backend, "a.1", connector="other")
    backend.audiences.link("pangolin", "with/slash 'and' \"quotes\" é", partner_id="pg_9", name="Fans")
    backend.audiences.link("pangolin", "cut\0here", partner_id="pg_8")
    there = [("pangolin", "a.1"), ("other", "a.1"), ("pangolin", "cut\0here"), ("pangolin", "with/slash 'and' \"quotes\" é")]

    found = backend.audiences.several([*there, ("pangolin", "never seen"), ("other", "with/slash"), there[0]])

    assert found == {place: backend.audiences.get(*place) for place in there}
    assert backend.audiences.several([]) == {}


def test_audiences_are_found_by_status_hold_and_pause(backend: Backend) -> None:
    named(backend, "ready", "", "1")
    held(backend, "held", why=request("partner_unavailable"))
    held(backend, "waits", why=request("audience_gone"))
    backend.audiences.claim_creation("pangolin", "failed", owner="me", for_s=30, name=None, customer=None)
    backend.audiences.creation_failed("pangolin", "failed", owner="me", error="No.", final=True)
    backend.audiences.set_paused("pangolin", "held", True)
    assert ids(backend, status="ready") == [("pangolin", "ready")]
    assert ids(backend, status="failed") == [("pangolin", "failed")]
    assert ids(backend, "pangolin", status="unknown") == [("pangolin", "held"), ("pangolin", "waits")]
    assert ids(backend, held=["audience_gone"]) == [("pangolin", "waits")]
    assert ids(backend, held=["audience_gone", "partner_unavailable"], limit=1) == [("pangolin", "held")]
    assert ids(backend, "pangolin", held=["audience_gone", "partner_unavailable"], after=("pangolin", "held")) == [
        ("pangolin", "waits")
    ]
    assert ids(backend, paused=True) == ids(backend, "pangolin", paused=True, status="unknown") == [("pangolin", "held")]
    backend.audiences.set_paused("pangolin", "held", False)
    assert ids(backend, paused=True) == []


def test_memories_of_answers_are_found_with_their_holds(backend: Backend) -> None:
    named(backend, "ready", "", "1")
    held(backend, "ready", why=request("audience_not_ready"))
    held(backend, "of the DMP", why=request("audience_not_ready"))
    backend.audiences.remember_answer("pangolin", "of the DMP", partner_id="7", name="A")
    expected = [("pangolin", "of the DMP")]
    assert ids(backend, answers=True) == ids(backend, "pangolin", answers=True, held=["audience_not_ready"]) == expected
    assert ids(backend, "pangolin", answers=True, held=["crashed"]) == []


# audiences, added up
def test_audiences_are_added_up_by_connector_and_status(backend: Backend) -> None:
    assert backend.audiences.summary() == {}
    for number in range(3):
        named(backend, f"a.{number}", "", str(number))
    named(backend, "a.1", "", "1", "other")
    backend.audiences.claim_creation("pangolin", "failed", owner="me", for_s=30, name=None, customer=None)
    assert backend.audiences.summary() == {
        "other": AudienceSummary(1, {"ready": 1}),
        "pangolin": AudienceSummary(4, {"ready": 3, "creating": 1}),
    }
    backend.audiences.creation_failed("pangolin", "failed", owner="me", error="No.", final=True)
    assert backend.audiences.summary()["pangolin"].by_status == {"ready": 3, "failed": 1}


def test_the_memory_of_an_answer_is_no_audience(backend: Backend) -> None:
    backend.audiences.remember_answer("pangolin", "of the DMP", partner_id="7", name="A")
    assert backend.audiences.summary() == {"pangolin": AudienceSummary(1, {"ready": 1})}


def test_holds_are_added_up_by_reason_with_what_waits_in_them(backend: Backend, clock: TurnedClock) -> None:
    reason: HoldReason = "partner_unavailable"
    for audience, due_at in (("a.1", 90.0), ("a.2", 60.0)):
        why = request(reason, due_at=BEGINNING + due_at)
        batches = [message(audience, f"u{number}", received_at=BEGINNING + number) for number in range(3)]
        held(backend, audience, *batches, why=why)
    held(backend, "a.3", message("a.3", "u1", "u2", received_at=BEGINNING - 5), why=request("audience_gone"))

    summary = backend.audiences.summary()["pangolin"]
    size = sum(one.hold.bytes for one in backend.audiences.held() if one.hold and one.hold.reason == reason)
    assert summary.holds[reason] == HoldSummary(2, 6, 6, size, BEGINNING, BEGINNING + 60)
    assert (summary.holds["audience_gone"].items, summary.holds["audience_gone"].next_due) == (2, None)
    assert summary.holds["audience_gone"].oldest_at == BEGINNING - 5
    assert (summary.audiences, summary.held) == (3, 3)

    clock.advance(70)
    assert ask(backend, "a.2")
    assert backend.audiences.summary()["pangolin"].holds[reason].next_due == BEGINNING + 70, "when it was asked for"
    backend.audiences.set_paused("pangolin", "a.2", True)
    assert backend.audiences.summary()["pangolin"].holds[reason].next_due == BEGINNING + 90
    drop_all(backend, "pangolin", "a.1")
    drop_all(backend, "pangolin", "a.3")
    summary = backend.audiences.summary()["pangolin"]
    assert (summary.holds[reason].audiences, summary.holds[reason].batches, summary.holds[reason].next_due) == (1, 3, None)
    assert set(summary.holds) == {reason}
