"""The queue goes back behind a hold: it hands out an older message again, and everything behind it of the same key."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from relay.backends.interfaces import Backend, Turn
from relay.domain import audience as policy
from relay.domain.audience import REFUSAL_LIMIT, REMEMBERED_TURNS, Waiting
from relay.domain.message import Message, Replay
from tests.contract.backends.given import BEGINNING, message, request, users

EVERYTHING = {"max_items": 1_000_000, "max_bytes": 1_000_000_000}

OLDER = message("a.1", "older")
NEWER = message("a.1", "newer")
REPLAY = replace(message("a.1", kind="replay"), replay=Replay(since=BEGINNING, until=2))
FURTHER = replace(REPLAY, replay=Replay(since=BEGINNING, until=2, cursor=1))


def begin(backend: Backend, position: int, message_id: str = "") -> Turn:
    return backend.audiences.begin_turn("pangolin", "a.1", position=position, message_id=message_id or f"m{position}")


def joins(backend: Backend, position: int, batch: Message, message_id: str = "") -> None:
    backend.audiences.join(begin(backend, position, message_id), batch, request())


def comes_again(backend: Backend, position: int, message_id: str = "") -> Turn:
    """A message behind one that had its turn, handed out until it is let through."""
    for _ in range(REFUSAL_LIMIT + 1):
        turn = begin(backend, position, message_id)
        if turn.let_through:
            return turn
        assert turn.verdict == "behind"
    raise AssertionError("It is refused more often than a message may be.")


def waiting(backend: Backend) -> list[Waiting]:
    return backend.audiences.peek("pangolin", "a.1", limit=1_000)


@pytest.fixture
def gone_back(backend: Backend) -> Backend:
    """Two messages wait, and came again in their order."""
    joins(backend, 1, OLDER)
    joins(backend, 2, NEWER)
    backend.audiences.join(comes_again(backend, 1), OLDER, request())
    joins(backend, 2, NEWER)
    return backend


def test_what_comes_again_behind_an_older_message_waits_behind_it_once_more(gone_back: Backend) -> None:
    assert users(waiting(gone_back)) == [["older"], ["newer"], ["older"], ["newer"]]


def test_the_newer_state_wins_when_the_older_one_had_been_delivered_before_the_hold(backend: Backend) -> None:
    begin(backend, 1)
    joins(backend, 2, NEWER)
    backend.audiences.join(comes_again(backend, 1), OLDER, request())
    joins(backend, 2, NEWER)
    assert users(waiting(backend)) == [["newer"], ["older"], ["newer"]]


def test_every_message_behind_the_older_one_comes_again_in_its_order(backend: Backend) -> None:
    batches = [message("a.1", f"u{number}") for number in range(1, 4)]
    for position, batch in enumerate(batches, 1):
        joins(backend, position, batch)
    for position, batch in enumerate(batches[:2], 1):
        backend.audiences.join(comes_again(backend, position), batch, request())
    joins(backend, 3, batches[2])
    assert users(waiting(backend))[-3:] == [["u1"], ["u2"], ["u3"]]


def test_a_message_that_is_handed_out_again_alone_joins_once(gone_back: Backend) -> None:
    for _ in range(2):
        joins(gone_back, 2, NEWER)
    assert len(waiting(gone_back)) == 4
    joins(gone_back, 3, message("a.1", "newest"))
    joins(gone_back, 3, message("a.1", "newest"))
    assert users(waiting(gone_back))[3:] == [["newer"], ["newest"]]


def test_joining_twice_in_the_turn_that_was_let_through_is_joining_once(backend: Backend) -> None:
    joins(backend, 1, OLDER)
    joins(backend, 2, NEWER)
    turn = comes_again(backend, 1)
    for _ in range(2):
        backend.audiences.join(turn, OLDER, request())
    assert users(waiting(backend)) == [["older"], ["newer"], ["older"]]


def test_the_queue_may_go_back_again(gone_back: Backend) -> None:
    gone_back.audiences.join(comes_again(gone_back, 1), OLDER, request())
    joins(gone_back, 2, NEWER)
    assert users(waiting(gone_back)) == [["older"], ["newer"]] * 3


def test_it_comes_in_full_though_some_of_it_was_settled(backend: Backend) -> None:
    both = message("a.1", "u1", "u2")
    joins(backend, 1, OLDER)
    joins(backend, 2, both)
    resume = begin(backend, 3)
    batches = backend.audiences.waiting(resume, **EVERYTHING)
    left = replace(batches[1], message=replace(both, mutations=both.mutations[1:]))
    backend.audiences.settle(resume, taken=batches, rest=[left], request=request(), progress=True)
    for position, batch in ((1, OLDER), (2, both)):
        backend.audiences.join(comes_again(backend, position), batch, request())
    assert users(waiting(backend)) == [["u2"], ["older"], ["u1", "u2"]]


def test_the_hold_counts_each_time_that_it_waits_and_is_lifted_when_all_have_left(gone_back: Backend) -> None:
    resume = begin(gone_back, 3)
    batches = gone_back.audiences.waiting(resume, **EVERYTHING)
    audience = gone_back.audiences.get("pangolin", "a.1")
    assert audience is not None
    assert audience.hold is not None
    assert (audience.hold.batches, audience.hold.items) == (4, 4)
    assert audience.hold.bytes == sum(batch.bytes for batch in batches)
    audience = gone_back.audiences.settle(resume, taken=batches[:3], rest=[], request=None, progress=True)
    assert audience.hold is not None
    assert users(waiting(gone_back)) == [["newer"]]
    assert gone_back.audiences.settle(resume, taken=batches[3:], rest=[], request=None, progress=True).hold is None


def test_a_hold_that_begins_after_the_queue_went_back_takes_each_message_once(gone_back: Backend) -> None:
    resume = begin(gone_back, 3)
    batches = gone_back.audiences.waiting(resume, **EVERYTHING)
    gone_back.audiences.settle(resume, taken=batches, rest=[], request=None, progress=True)
    for _ in range(2):
        joins(gone_back, 4, message("a.1", "newest"))
    assert users(waiting(gone_back)) == [["newest"]]


# messages with one position
def test_of_two_with_one_position_the_later_one_comes_again_behind_the_older_one(backend: Backend) -> None:
    begin(backend, 5, "older")
    joins(backend, 5, NEWER, "newer")
    for _ in range(2):
        backend.audiences.join(comes_again(backend, 5, "older"), OLDER, request())
        for _ in range(2):
            joins(backend, 5, NEWER, "newer")
    assert users(waiting(backend)) == [["newer"], *[["older"], ["newer"]] * 2]


def test_all_with_one_position_come_again_in_their_order(backend: Backend) -> None:
    names = ["first", "second", "third"]
    batches = {name: message("a.1", name) for name in names}
    for name in names:
        joins(backend, 5, batches[name], name)
    for name in names[:2]:
        backend.audiences.join(comes_again(backend, 5, name), batches[name], request())
    joins(backend, 5, batches["third"], "third")
    assert users(waiting(backend)) == [["first"], ["second"], ["third"]] * 2


def test_those_with_one_position_join_once_each_though_each_is_handed_out_twice(backend: Backend) -> None:
    for name in ("first", "second", "third"):
        for _ in range(2):
            joins(backend, 5, message("a.1", name), name)
    assert users(waiting(backend)) == [["first"], ["second"], ["third"]]


def test_more_with_one_position_than_are_remembered_come_again_in_their_order(backend: Backend) -> None:
    begin(backend, 5, "older")
    joins(backend, 5, NEWER, "newer")
    for number in range(REMEMBERED_TURNS):
        begin(backend, 5, f"further {number}")
    for name, batch in (("older", OLDER), ("newer", NEWER)):
        for _ in range(2):
            joins(backend, 5, batch, name)
    last = REMEMBERED_TURNS - 1
    backend.audiences.join(comes_again(backend, 5, f"further {last}"), message("a.1", "last"), request())
    assert users(waiting(backend)) == [["newer"], ["older"], ["newer"], ["last"]]


def test_a_record_of_an_older_program_takes_those_with_one_position_in_the_order_in_which_they_come(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_turn = policy.begin_turn

    def as_it_was(audience: policy.Audience, **named: Any) -> Any:
        begun, *more = begin_turn(audience, **named)
        return replace(begun, turns_at=()), *more

    with monkeypatch.context() as older_program:
        older_program.setattr(policy, "begin_turn", as_it_was)
        begin(backend, 5, "older")
        joins(backend, 5, NEWER, "newer")
    for name, batch in (("older", OLDER), ("newer", NEWER)):
        for _ in range(2):
            joins(backend, 5, batch, name)
    assert users(waiting(backend)) == [["newer"], ["older"], ["newer"]]


# replays
def test_what_waits_behind_a_replay_comes_again_behind_it(backend: Backend) -> None:
    joins(backend, 1, OLDER)
    joins(backend, 2, REPLAY)
    joins(backend, 3, NEWER)
    for position, batch in ((1, OLDER), (2, REPLAY)):
        backend.audiences.join(comes_again(backend, position), batch, request())
    joins(backend, 3, NEWER)
    assert users(waiting(backend)) == [["older"], [], ["newer"]] * 2
    joins(backend, 3, NEWER)
    assert len(waiting(backend)) == 6


def test_a_replay_that_is_let_through_joins_once_in_its_turn(backend: Backend) -> None:
    joins(backend, 2, REPLAY)
    joins(backend, 3, NEWER)
    turn = comes_again(backend, 2)
    for _ in range(2):
        backend.audiences.join(turn, REPLAY, request())
    joins(backend, 3, NEWER)
    assert users(waiting(backend)) == [[], ["newer"]] * 2


def test_what_a_replay_put_in_front_of_itself_stays_there_and_so_do_both_replays(backend: Backend) -> None:
    joins(backend, 2, REPLAY)
    joins(backend, 3, NEWER)
    asked = waiting(backend)[0]
    journaled = Waiting(0, "m2/1", message("a.1", "journaled"), 0, 0.0)
    backend.audiences.expand(begin(backend, 4), asked, [journaled], FURTHER)
    backend.audiences.join(comes_again(backend, 2), REPLAY, request())
    backend.audiences.join(comes_again(backend, 3), NEWER, request())
    assert users(waiting(backend)) == [["journaled"], [], ["newer"], [], ["newer"]]

    resume = begin(backend, 5)
    batches = backend.audiences.waiting(resume, **EVERYTHING)
    backend.audiences.settle(resume, taken=batches[:1], rest=[], request=None, progress=True)
    backend.audiences.expand(resume, batches[1], [], None)
    batches = backend.audiences.waiting(resume, **EVERYTHING)
    backend.audiences.settle(resume, taken=batches[:1], rest=[], request=None, progress=True)
    backend.audiences.expand(resume, batches[1], [journaled], FURTHER)
    assert users(waiting(backend)) == [["journaled"], [], ["newer"]]
