"""Replays in a hold: journaled batches take the places before them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from msgspec.structs import replace

from relay.backends.interfaces import Backend, Turn
from relay.domain.audience import Audience, Waiting
from relay.domain.errors import TurnLost
from relay.domain.message import Message, Replay, encode
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, DAY, drop_all, message, request, users

EVERYTHING = {"max_items": 1_000_000, "max_bytes": 1_000_000_000}


def replay(request_id: str = "replay-1", *, cursor: int = 0, sent: int = 0, until: int = 2) -> Message:
    asked = message("a.1", request_id=request_id, kind="replay", received_at=BEGINNING + 5)
    return replace(asked, replay=Replay(since=BEGINNING - DAY, until=until, cursor=cursor, sent=sent))


def begin(backend: Backend, position: int) -> Turn:
    return backend.audiences.begin_turn("pangolin", "a.1", position=position, message_id=f"m{position}")


def waiting(backend: Backend, turn: Turn) -> list[Waiting]:
    return backend.audiences.waiting(turn, **EVERYTHING)


def journaled(number: int, *names: str) -> Waiting:
    """A batch as a turn makes it of what it found in the journal."""
    batch = message("a.1", *names, request_id=f"request-{number}", received_at=BEGINNING - DAY)
    return Waiting(0, f"m2/{number}", replace(batch, replayed_at=BEGINNING + 5), 0, 0.0)


@pytest.fixture
def turn(backend: Backend, clock: TurnedClock) -> Turn:
    """That of a resume: a replay and what came after it wait."""
    clock.advance(10)
    backend.audiences.join(begin(backend, 2), replay(), request("replaying", due_at=BEGINNING + 10))
    clock.advance(10)
    backend.audiences.join(begin(backend, 3), message("a.1", "later", received_at=BEGINNING + 20), request())
    return begin(backend, 4)


def expand(backend: Backend, turn: Turn, batches: list[Waiting], rest: Message | None) -> Audience:
    return backend.audiences.expand(turn, waiting(backend, turn)[0], batches, rest)


def test_batches_take_the_places_before_the_replay_in_their_order(backend: Backend, turn: Turn) -> None:
    expand(backend, turn, [journaled(1, "u1"), journaled(2, "u2", "u3")], replay(cursor=20, sent=3))
    found = waiting(backend, turn)
    assert users(found) == [["u1"], ["u2", "u3"], [], ["later"]]
    assert [batch.message_id for batch in found] == ["m2/1", "m2/2", "m2", "m3"]
    assert found[2].message == replay(cursor=20, sent=3)
    assert [batch.place for batch in found] == sorted({batch.place for batch in found})
    assert [batch.bytes for batch in found] == [len(encode(batch.message)) for batch in found]


def test_it_goes_on_behind_what_was_settled(backend: Backend, turn: Turn) -> None:
    for number in range(1, 6):
        expand(backend, turn, [journaled(number, f"u{number}"), journaled(10 + number, "u")], replay(cursor=number))
        found = waiting(backend, turn)
        assert users(found) == [[f"u{number}"], ["u"], [], ["later"]]
        backend.audiences.settle(turn, taken=found[:2], rest=[], request=None, progress=True)


def test_the_hold_counts_what_waits(backend: Backend, turn: Turn) -> None:
    audience = expand(backend, turn, [journaled(1, "u1"), journaled(2, "u2", "u3")], replay(cursor=20))
    assert audience.hold is not None
    found = waiting(backend, turn)
    sizes = (len(found), sum(len(batch.message.mutations) for batch in found), sum(batch.bytes for batch in found))
    assert (audience.hold.batches, audience.hold.items, audience.hold.bytes) == sizes
    assert backend.audiences.get("pangolin", "a.1") == audience
    audience = backend.audiences.settle(turn, taken=found[:2], rest=[], request=None, progress=True)
    audience = expand(backend, turn, [], None)
    assert audience.hold is not None
    assert (audience.hold.batches, audience.hold.items, audience.hold.bytes) == (1, 1, found[3].bytes)


def test_what_is_sent_again_has_waited_since_the_replay_was_asked_for(backend: Backend, turn: Turn) -> None:
    audience = expand(backend, turn, [journaled(1, "u1")], replay(cursor=10))
    first, asked, _ = waiting(backend, turn)
    assert first.added_at == asked.added_at == BEGINNING + 10
    assert audience.hold is not None
    assert audience.hold.oldest_at == BEGINNING + 5
    assert first.message.received_at == BEGINNING - DAY, "the partner is told when it happened"


def test_the_record_says_how_far_it_is(backend: Backend, turn: Turn, clock: TurnedClock) -> None:
    before = clock.now()
    for sent in (1, 2):
        audience = expand(backend, turn, [], replay(cursor=sent, sent=sent))
        assert audience.replayed is not None
        assert (audience.replayed.request_id, audience.replayed.replay.sent) == ("replay-1", sent)
        assert (audience.replayed.began_at, audience.replayed.ended_at) == (before, 0)
        clock.advance(10)
    audience = expand(backend, turn, [], None)
    assert audience.replayed is not None
    assert (audience.replayed.replay.sent, audience.replayed.ended_at) == (2, clock.now())


def test_the_hold_is_lifted_when_nothing_is_left_and_nothing_else_waits(backend: Backend) -> None:
    backend.audiences.join(begin(backend, 2), replay(), request("replaying"))
    turn = begin(backend, 3)
    audience = expand(backend, turn, [], None)
    assert audience.hold is None
    assert waiting(backend, turn) == []


def test_whatever_the_hold_was_for_is_over_when_a_replay_comes_first(backend: Backend) -> None:
    backend.audiences.join(begin(backend, 2), replay(), request("partner_unavailable", due_at=BEGINNING + 60, probe=True))
    audience = expand(backend, begin(backend, 3), [journaled(1, "u1")], replay(cursor=10))
    assert audience.hold is not None
    assert (audience.hold.reason, audience.hold.probes, audience.hold.due_at) == ("replaying", 0, BEGINNING)


def test_two_replays_keep_apart(backend: Backend) -> None:
    backend.audiences.join(begin(backend, 2), replay(), request("replaying"))
    backend.audiences.join(begin(backend, 3), message("a.1", "between"), request())
    backend.audiences.join(begin(backend, 4), replay("replay-2", until=4), request("replaying"))
    turn = begin(backend, 5)
    expand(backend, turn, [journaled(1, "u1")], replay(cursor=1))
    found = waiting(backend, turn)
    assert users(found) == [["u1"], [], ["between"], []]
    backend.audiences.settle(turn, taken=found[:1], rest=[], request=None, progress=True)
    expand(backend, turn, [], None)
    found = waiting(backend, turn)
    backend.audiences.settle(turn, taken=found[:1], rest=[], request=None, progress=True)
    expand(backend, turn, [journaled(1, "u1"), journaled(2, "between")], replay("replay-2", until=4, cursor=2))
    found = waiting(backend, turn)
    assert users(found) == [["u1"], ["between"], []]
    assert found[2].message.request_id == "replay-2"


def test_as_many_as_go_in_at_once_have_room(backend: Backend, turn: Turn) -> None:
    batches = [journaled(number, f"u{number}") for number in range(400)]
    expand(backend, turn, batches, replay(cursor=400))
    assert [batch.message_id for batch in waiting(backend, turn)] == [*(batch.message_id for batch in batches), "m2", "m3"]


def test_nothing_is_put_before_a_replay_that_somebody_dropped(backend: Backend, turn: Turn) -> None:
    (asked, _) = waiting(backend, turn)
    drop_all(backend, "pangolin")
    before = backend.audiences.get("pangolin", "a.1")
    with suppress(TurnLost):  # where a hold that is emptied ends the turn
        assert backend.audiences.expand(turn, asked, [journaled(1, "u1")], replay(cursor=10)).hold is None
    assert backend.audiences.peek("pangolin", "a.1", limit=9) == []
    assert backend.audiences.get("pangolin", "a.1") == before


def test_a_turn_that_was_overtaken_puts_nothing_in_front(backend: Backend, turn: Turn) -> None:
    (asked, _) = waiting(backend, turn)
    begin(backend, 5)
    with pytest.raises(TurnLost):
        backend.audiences.expand(turn, asked, [journaled(1, "u1")], replay(cursor=10))
    assert users(backend.audiences.peek("pangolin", "a.1", limit=9)) == [[], ["later"]]


def test_a_replay_leaves_only_when_nothing_is_in_front_of_it(backend: Backend, turn: Turn) -> None:
    with pytest.raises(ValueError, match="leaves"):
        expand(backend, turn, [journaled(1, "u1")], None)


def test_a_replay_that_is_handed_out_again_joins_once(backend: Backend) -> None:
    backend.audiences.join(begin(backend, 2), replay(), request("replaying"))
    turn = begin(backend, 2)
    expand(backend, turn, [journaled(1, "u1")], replay(cursor=10))
    backend.audiences.join(begin(backend, 2), replay(), request("replaying"))
    found = backend.audiences.peek("pangolin", "a.1", limit=9)
    assert users(found) == [["u1"], []]
    assert found[1].message == replay(cursor=10)
