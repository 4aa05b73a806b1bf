"""Audiences on Firestore: what happens around a single commit, and what a commit may hold."""

from __future__ import annotations

import random

import pytest

from relay.backends.google.audiences import GoogleAudiences
from relay.backends.google.documents import Query
from relay.backends.google.rejections import REJECTIONS
from relay.backends.google.reports import GoogleReports
from relay.backends.interfaces import Turn
from relay.domain.audience import Hold
from relay.domain.connector import Retention
from relay.domain.errors import TurnLost
from relay.domain.message import MAX_BYTES
from relay.domain.outcome import Rejection
from tests.clock import TurnedClock
from tests.contract.backends.given import message, rejection, request
from tests.emulators import Emulators, place
from tests.unit.google.interposed import Interposed

EVERYTHING = {"max_items": 1_000_000, "max_bytes": 1_000_000_000}


class Place:
    """Audiences as one process has them, and as another one beside it."""

    def __init__(self, variables: dict[str, str]) -> None:
        self.clock = TurnedClock()
        self.documents = Interposed(variables)
        self.audiences = self._open(self.documents)
        self.elsewhere = self._open(Interposed(variables))

    def _open(self, documents: Interposed) -> GoogleAudiences:
        reports = GoogleReports(documents, self.clock, random.Random(1), lambda _connector: Retention())
        return GoogleAudiences(documents, self.clock, reports.rejection_writes)

    def begin(self, number: int, audiences: GoogleAudiences | None = None) -> Turn:
        return (audiences or self.audiences).begin_turn("pangolin", "a.1", position=number, message_id=f"m{number}")

    def join(self, number: int) -> None:
        self.audiences.join(self.begin(number), message("a.1", f"u{number}"), request())

    @property
    def hold(self) -> Hold | None:
        known = self.elsewhere.get("pangolin", "a.1")
        return known.hold if known else None

    def waiting(self) -> list[str]:
        return [batch.message_id for batch in self.elsewhere.peek("pangolin", "a.1", limit=1_000)]


@pytest.fixture
def here(emulators: Emulators) -> Place:
    return Place(place(emulators))


def drop(here: Place) -> int:
    return here.audiences.drop("pangolin", "a.1", older_than=None, limit=100, reject=lambda _: [])


# dropping, while a turn begins and appends
def test_a_batch_that_joins_while_the_hold_is_dropped_is_not_left_under_a_record_without_a_hold(here: Place) -> None:
    """A turn begins just before the drop ends the standing one, and appends just before the drop's next write."""
    here.join(1)
    turns: list[Turn] = []

    def begin() -> None:
        turns.append(here.begin(2, here.elsewhere))
        here.documents.before_commit = append

    def append() -> None:
        here.elsewhere.join(turns[0], message("a.1", "u2"), request())

    here.documents.before_commit = begin
    assert drop(here) == 2
    assert here.hold is None
    assert here.waiting() == []
    with pytest.raises(TurnLost):
        here.elsewhere.join(turns[0], message("a.1", "u3"), request())


def test_a_batch_that_joined_before_the_drop_ended_its_turn_is_dropped_with_the_others(here: Place) -> None:
    here.join(1)
    turn = here.begin(2, here.elsewhere)

    def append() -> None:
        here.elsewhere.join(turn, message("a.1", "u2"), request())

    here.documents.before_commit = append
    assert drop(here) == 2
    assert here.hold is None
    assert here.waiting() == []


def test_a_batch_that_joins_between_two_looks_of_a_drop_is_counted_once(here: Place) -> None:
    here.join(1)
    here.join(2)
    turn = here.begin(3, here.elsewhere)

    def append() -> None:
        here.elsewhere.join(turn, message("a.1", "u3"), request())

    here.documents.before_queries = [lambda: None, append]  # what the record does not count yet; what waits
    assert here.audiences.drop("pangolin", "a.1", older_than=None, limit=2, reject=lambda _: []) == 2
    assert here.waiting() == ["m3"]
    assert here.hold is not None
    assert (here.hold.batches, here.hold.items) == (1, 1)


def test_a_hold_of_large_batches_is_dropped_a_part_at_a_time(here: Place) -> None:
    for number in range(1, 11):
        batch = message("a.1", "x" * (MAX_BYTES - 1_000))
        here.audiences.join(here.begin(number), batch, request())
    parts = []
    while (left := drop(here)) > 0:
        parts.append(left)
    assert sum(parts) == 10
    assert max(parts) * MAX_BYTES < 4 * 1024 * 1024
    assert here.hold is None


def test_a_large_batch_with_long_names_is_dropped_with_all_of_its_rejections(here: Place) -> None:
    audience = "ä" * 450
    users = [f"u{number}" for number in range(1_000)]
    turn = here.audiences.begin_turn("pangolin", audience, position=1, message_id="m1")
    here.audiences.join(turn, message(audience, *users), request())

    def reject(_: object) -> list[Rejection]:
        return [rejection(audience=audience, index=index) for index in range(1_000)]

    assert here.audiences.drop("pangolin", audience, older_than=None, limit=100, reject=reject) == 1
    assert len(here.documents.query(Query(REJECTIONS, fields=[]))) == 1_000


# answers that are lost
def test_a_turn_whose_beginning_was_written_and_not_confirmed_begins_once(here: Place) -> None:
    here.documents.lose_confirmation()
    turn = here.begin(1)
    assert (turn.number, turn.verdict, turn.audience.attempts) == (1, "go", 1)
    assert here.elsewhere.get("pangolin", "a.1") == turn.audience
    here.audiences.join(turn, message("a.1", "u1"), request())


@pytest.mark.parametrize("standing", [False, True])
def test_a_batch_that_was_written_and_not_confirmed_joins_once(here: Place, standing: bool) -> None:
    if standing:
        here.join(1)
    turn = here.begin(2)
    here.documents.lose_confirmation()
    joined = here.audiences.join(turn, message("a.1", "u2"), request())
    assert joined.hold is not None
    assert here.hold is not None
    assert here.hold.batches == joined.hold.batches == len(here.waiting()) == 1 + standing


def test_what_was_settled_and_not_confirmed_is_counted_once(here: Place) -> None:
    for number in range(1, 4):
        here.join(number)
    turn = here.begin(9)
    taken = here.audiences.waiting(turn, **EVERYTHING)
    here.documents.lose_confirmation()
    settled = here.audiences.settle(turn, taken=taken[:1], rest=(), request=None, progress=True)
    assert settled.hold is not None
    assert (settled.hold.batches, settled.hold.items) == (2, 2)
    assert settled.hold.bytes == sum(batch.bytes for batch in taken[1:])
    assert here.hold == settled.hold


def test_a_resume_whose_note_was_written_and_not_confirmed_is_asked_for(here: Place) -> None:
    here.join(1)
    here.audiences.make_due("pangolin", "a.1")
    read = here.audiences.get("pangolin", "a.1")
    assert read is not None
    here.documents.lose_confirmation()
    assert here.audiences.mark_asked(read)
    here.clock.advance(1)
    assert not here.elsewhere.mark_asked(read), "another has asked since"


# sizes
def test_a_resume_takes_no_more_than_can_be_settled_in_one_commit(here: Place) -> None:
    for number in range(1, 11):
        here.audiences.join(here.begin(number), message("a.1", "x" * (MAX_BYTES - 1_000)), request())
    turn = here.begin(99)
    steps = 0
    while taken := here.audiences.waiting(turn, **EVERYTHING):
        assert sum(batch.bytes for batch in taken) < 4 * 1024 * 1024
        here.audiences.settle(turn, taken=taken, rest=taken, request=request(), progress=False)
        here.audiences.settle(turn, taken=taken, rest=(), request=None, progress=True)
        steps += 1
    assert steps > 1
    assert here.hold is None


def test_what_stays_as_it_was_is_not_written_again(here: Place) -> None:
    for number in range(1, 4):
        here.join(number)
    turn = here.begin(9)
    taken = here.audiences.waiting(turn, **EVERYTHING)
    _, writes = here.documents.cost(
        lambda: here.audiences.settle(turn, taken=taken, rest=taken, request=request(), progress=False)
    )
    assert writes == 1
    assert here.waiting() == ["m1", "m2", "m3"]


def test_appending_to_a_standing_hold_does_not_write_the_record(here: Place) -> None:
    here.join(1)
    turn = here.begin(2)
    _, writes = here.documents.cost(lambda: here.audiences.join(turn, message("a.1", "u2"), request()))
    assert writes == 1
    assert here.hold is not None
    assert (here.hold.batches, here.hold.items) == (2, 2)
