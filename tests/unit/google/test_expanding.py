"""Replays in a hold on Firestore: what becomes of a turn's number when one joins, and of commits whose answer got lost."""

from __future__ import annotations

import itertools

import pytest
from msgspec.structs import replace

from relay.backends.interfaces import Turn
from relay.domain.audience import REPLAY_PLACES, Waiting
from relay.domain.errors import TurnLost
from relay.domain.message import Message, Replay
from tests.contract.backends.given import message, request
from tests.emulators import Emulators, place
from tests.unit.google.test_audiences import EVERYTHING, Place


@pytest.fixture
def here(emulators: Emulators) -> Place:
    return Place(place(emulators))


def replay(cursor: int = 0) -> Message:
    return replace(message("a.1", kind="replay"), replay=Replay(since=0.0, until=1, cursor=cursor))


def batch(number: int) -> Waiting:
    return Waiting(0, f"journaled-{number}", message("a.1", f"u{number}"), 0, 0.0)


def with_a_replay(here: Place) -> tuple[Turn, Waiting]:
    """A resume's turn, and the replay that is first in its hold."""
    here.audiences.join(here.begin(1), replay(), request("replaying"))
    turn = here.begin(2)
    (waiting,) = here.audiences.waiting(turn, **EVERYTHING)
    return turn, waiting


def test_a_turn_that_put_a_replay_into_the_hold_goes_on(here: Place) -> None:
    turn = here.begin(1)
    here.audiences.join(turn, replay(), request("replaying"))

    here.audiences.require(turn)
    settled = here.audiences.settle(turn, taken=(), rest=(), request=request("crashed"), progress=False)

    assert settled.hold is not None
    assert settled.hold.reason == "crashed"
    assert here.waiting() == ["m1"]


def test_it_ends_when_another_one_begins(here: Place) -> None:
    turn = here.begin(1)
    here.audiences.join(turn, replay(), request("replaying"))
    here.begin(2, here.elsewhere)

    with pytest.raises(TurnLost):
        here.audiences.require(turn)


def test_a_replay_whose_join_was_not_confirmed_joins_once(here: Place) -> None:
    here.join(1)
    turn = here.begin(2)
    here.documents.lose_confirmation()
    here.audiences.join(turn, replay(), request("replaying"))
    here.audiences.join(here.begin(2), replay(), request("replaying"))  # its message comes again

    assert here.waiting() == ["m1", "m2"]
    assert here.hold is not None
    assert here.hold.batches == 2


def test_every_replay_has_its_places_to_itself(here: Place) -> None:
    for number in (1, 2, 3):
        here.audiences.join(here.begin(number), replay(), request("replaying"))
    here.join(4)

    places = [waiting.place for waiting in here.elsewhere.peek("pangolin", "a.1", limit=9)]

    assert here.waiting() == ["m1", "m2", "m3", "m4"]
    assert all(later - earlier >= REPLAY_PLACES for earlier, later in itertools.pairwise(places[:3]))


def test_batches_whose_commit_was_not_confirmed_are_put_in_front_once(here: Place) -> None:
    turn, waiting = with_a_replay(here)
    here.documents.lose_confirmation()
    expanded = here.audiences.expand(turn, waiting, [batch(1), batch(2)], replay(cursor=2))

    assert here.waiting() == ["journaled-1", "journaled-2", "m1"]
    assert expanded.hold is not None
    assert (expanded.hold.batches, expanded.hold.items) == (3, 2)
    assert here.hold == expanded.hold


def test_a_replay_that_leaves_does_not_lift_a_hold_that_a_batch_has_joined_since(here: Place) -> None:
    turn, waiting = with_a_replay(here)
    here.audiences.join(turn, message("a.1", "behind"), request())

    expanded = here.audiences.expand(turn, waiting, [], None)

    assert here.waiting() == ["m2"]
    assert expanded.hold is not None
    assert expanded.hold.batches == 1


def test_a_replay_that_leaves_for_good_though_nobody_confirmed_it_lifts_the_hold(here: Place) -> None:
    turn, waiting = with_a_replay(here)
    here.documents.lose_confirmation()

    assert here.audiences.expand(turn, waiting, [], None).hold is None
    assert here.waiting() == []
    assert here.hold is None


def test_a_batch_that_was_put_in_front_has_waited_since_the_replay_whatever_is_left_of_it(here: Place) -> None:
    turn, waiting = with_a_replay(here)
    old = Waiting(0, "journaled", replace(message("a.1", "u1", "u2"), received_at=1.0), 0, 0.0)
    here.audiences.expand(turn, waiting, [old], replay(cursor=1))
    (first, *_) = here.audiences.waiting(turn, **EVERYTHING)
    left = replace(first, message=replace(first.message, mutations=first.message.mutations[1:]))

    settled = here.audiences.settle(turn, taken=[first], rest=[left], request=request(), progress=True)

    assert settled.hold is not None
    assert settled.hold.oldest_at == waiting.message.received_at
