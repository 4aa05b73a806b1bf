"""Turns: position, fence, joining and settling."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from relay.backends.interfaces import Backend, Turn
from relay.domain.audience import CRASH_LIMIT, REFUSAL_LIMIT, REMEMBERED_TURNS, Hold, Waiting
from relay.domain.clock import Clock
from relay.domain.connector import RateLimits
from relay.domain.errors import TurnLost
from relay.domain.message import encode
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, ask, held, message, published, request, users

EVERYTHING = {"max_items": 1_000_000, "max_bytes": 1_000_000_000}

ADMITTING = {
    "admit": RateLimits(),
    "admit, counted": RateLimits(calls=9, per_s=10),
    "admit, many a period": RateLimits(calls=1_000, per_s=10),
}


def _begin(backend: Backend, position: int = 1, message_id: str = "", audience: str = "a.1") -> Turn:
    return backend.audiences.begin_turn("pangolin", audience, position=position, message_id=message_id or f"m{position}")


def _resume(backend: Backend, position: int = 1_000) -> tuple[Turn, list[Waiting]]:
    turn = _begin(backend, position)
    return turn, backend.audiences.waiting(turn, **EVERYTHING)


def _hold(backend: Backend) -> Hold:
    audience = backend.audiences.get("pangolin", "a.1")
    assert audience is not None
    assert audience.hold is not None
    return audience.hold


# beginning
def test_the_first_turn_makes_the_record(backend: Backend) -> None:
    assert backend.audiences.get("pangolin", "a.1") is None
    turn = _begin(backend, 7, "m7")
    assert (turn.verdict, turn.number, turn.let_through) == ("go", 1, False)
    assert backend.audiences.get("pangolin", "a.1") == turn.audience
    assert (turn.audience.position, turn.audience.attempt_of, turn.audience.created_at) == (7, "m7", BEGINNING)


def test_every_turn_has_a_higher_number(backend: Backend) -> None:
    assert [_begin(backend, position).number for position in (1, 2, 2, 9)] == [1, 2, 3, 4]


def test_a_message_behind_the_recorded_position_gets_no_turn(backend: Backend) -> None:
    newest = _begin(backend, 5)
    behind = _begin(backend, 4)
    assert behind.verdict == "behind"
    assert backend.audiences.join(newest, message(), request()).turn == newest.number


def test_a_message_refused_as_often_as_may_be_is_let_through(backend: Backend) -> None:
    _begin(backend, 5)
    for _ in range(REFUSAL_LIMIT):
        assert not _begin(backend, 4).let_through
    turn = _begin(backend, 4)
    assert (turn.verdict, turn.let_through, turn.audience.position) == ("go", True, 5)


def test_a_message_with_the_position_of_a_later_one_that_had_its_turn_is_behind(backend: Backend) -> None:
    verdicts = [_begin(backend, 5, message_id).verdict for message_id in ("older", "newer", "newest", "newest", "newer", "older")]
    assert verdicts == ["go", "go", "go", "go", "behind", "behind"]


def test_a_message_with_the_position_of_a_later_one_is_let_through_after_as_many_refusals(backend: Backend) -> None:
    for message_id in ("older", "newer"):
        assert not _begin(backend, 5, message_id).let_through
    refused = [_begin(backend, 5, "older") for _ in range(REFUSAL_LIMIT)]
    assert {(turn.verdict, turn.let_through) for turn in refused} == {("behind", False)}
    turn = _begin(backend, 5, "older")
    assert (turn.verdict, turn.let_through) == ("go", True)
    turn = _begin(backend, 5, "newer")
    assert (turn.verdict, turn.let_through) == ("go", False)


def test_of_messages_with_one_position_the_last_ones_are_remembered_until_it_grows(backend: Backend) -> None:
    for number in range(REMEMBERED_TURNS + 1):
        turn = _begin(backend, 5, f"m{number}")
    assert turn.audience.turns_at == tuple(f"m{number}" for number in range(1, REMEMBERED_TURNS + 1))
    assert _begin(backend, 6, "next").audience.turns_at == ("next",)


def test_a_message_whose_turn_begins_again_and_again_is_found_out(backend: Backend) -> None:
    verdicts = [_begin(backend, 1, "killer").verdict for _ in range(CRASH_LIMIT)]
    assert verdicts == ["go"] * (CRASH_LIMIT - 1) + ["crashed"]
    assert _begin(backend, 2, "harmless").verdict == "go"


def test_a_turn_sees_the_state_of_its_connector(backend: Backend) -> None:
    number = published(backend)
    backend.connectors.set_paused("pangolin", True)
    state = _begin(backend).state
    assert (state.live, state.enabled, state.paused) == (number, True, True)


def test_a_connector_without_a_state_counts_as_off(backend: Backend) -> None:
    state = _begin(backend).state
    assert (state.name, state.live, state.enabled) == ("pangolin", 0, False)


def test_audiences_have_turns_of_their_own(backend: Backend) -> None:
    first, second = _begin(backend, 9, audience="a.1"), _begin(backend, 1, audience="a.2")
    other = backend.audiences.begin_turn("other", "a.1", position=1, message_id="m1")
    assert (first.number, second.number, other.number) == (1, 1, 1)
    backend.audiences.join(first, message("a.1"), request())


def test_turns_begun_at_once_have_different_numbers(
    backend: Backend, opened: Callable[[Clock], Backend], clock: TurnedClock
) -> None:
    backends = [backend, opened(clock)]
    numbers: list[int] = []

    def begin(index: int) -> None:
        numbers.extend(_begin(backends[index % 2], 1, f"m{index}.{count}").number for count in range(10))

    threads = [threading.Thread(target=begin, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 41))


# the fence
@pytest.mark.parametrize("write", ["require", "join", "waiting", "settle", *ADMITTING])
def test_a_turn_is_lost_once_another_has_begun(backend: Backend, write: str) -> None:
    held(backend)
    lost, batches = _resume(backend, 10)
    newest, _ = _resume(backend, 11)
    before = backend.audiences.get("pangolin", "a.1")
    with pytest.raises(TurnLost):
        _write(backend, lost, batches, write)
    assert backend.audiences.get("pangolin", "a.1") == before
    _write(backend, newest, batches, write)


@pytest.mark.parametrize("write", ["require", "join", "waiting", "settle", *ADMITTING])
def test_a_turn_is_lost_once_its_audience_was_deleted(backend: Backend, clock: TurnedClock, write: str) -> None:
    published(backend)
    lost = _begin(backend)
    backend.connectors.delete("pangolin")
    with pytest.raises(TurnLost):
        _write(backend, lost, [], write)
    clock.advance(1)
    assert _begin(backend).number == lost.number
    with pytest.raises(TurnLost):
        _write(backend, lost, [], write)


def test_to_ask_whether_a_turn_stands_changes_nothing(backend: Backend) -> None:
    held(backend)
    turn = _begin(backend, 10)
    before = backend.audiences.get("pangolin", "a.1")
    backend.audiences.require(turn)
    backend.audiences.set_paused("pangolin", "a.1", True)
    backend.audiences.require(turn)
    backend.audiences.set_paused("pangolin", "a.1", False)
    assert backend.audiences.get("pangolin", "a.1") == before


def _write(backend: Backend, turn: Turn, batches: list[Waiting], write: str) -> None:
    match write:
        case "join":
            backend.audiences.join(turn, message(), request())
        case "waiting":
            backend.audiences.waiting(turn, **EVERYTHING)
        case "require":
            backend.audiences.require(turn)
        case "settle":
            backend.audiences.settle(turn, taken=batches, rest=(), request=None, progress=True)
        case _:
            assert backend.connectors.admit("pangolin", ADMITTING[write], items=1, turn=turn) == 0


@pytest.mark.parametrize("rate", [RateLimits(calls=9, per_s=10), RateLimits(calls=100, per_s=10)], ids=["a few", "many"])
def test_a_call_of_a_turn_that_is_lost_is_not_counted(backend: Backend, rate: RateLimits) -> None:
    lost, newest = _begin(backend, 1), _begin(backend, 2)

    def admitted(turn: Turn) -> float:
        return backend.connectors.admit("pangolin", rate, items=1, turn=turn)

    assert rate.calls is not None
    for _ in range(rate.calls):
        with pytest.raises(TurnLost):
            admitted(lost)
        assert admitted(newest) == 0
    assert admitted(newest) > 0


@pytest.mark.parametrize("rate", ADMITTING.values(), ids=str)
def test_a_call_of_a_turn_waits_for_what_the_partner_asked_for_since_it_began(
    backend: Backend, clock: TurnedClock, rate: RateLimits
) -> None:
    published(backend)
    turn = _begin(backend)
    assert backend.connectors.admit("pangolin", rate, items=1, turn=turn) == 0
    backend.connectors.not_before("pangolin", BEGINNING + 60, reason="come_back_later", detail="")
    assert backend.connectors.admit("pangolin", rate, items=1, turn=turn) == 60
    clock.advance(60)
    assert backend.connectors.admit("pangolin", rate, items=1, turn=turn) == 0


@pytest.mark.parametrize("rate", ADMITTING.values(), ids=str)
def test_a_call_of_a_turn_needs_no_state_of_its_connector(backend: Backend, rate: RateLimits) -> None:
    assert backend.connectors.admit("pangolin", rate, items=1, turn=_begin(backend)) == 0


# joining
def test_a_batch_that_joins_sets_the_hold(backend: Backend) -> None:
    batch = message("a.1", "u1", "u2", received_at=BEGINNING - 5)
    turn = _begin(backend)
    joined = backend.audiences.join(turn, batch, request("come_back_later", due_at=BEGINNING + 60, probe=True))
    assert joined.hold == Hold(
        reason="come_back_later",
        since=BEGINNING,
        due_at=BEGINNING + 60,
        detail="because of come_back_later",
        probes=1,
        batches=1,
        items=2,
        bytes=len(encode(batch)),
        oldest_at=BEGINNING - 5,
    )
    assert backend.audiences.get("pangolin", "a.1") == joined


def test_a_batch_that_joins_a_standing_hold_leaves_its_reason_and_due_time(backend: Backend) -> None:
    held(backend, why=request("partner_unavailable", due_at=BEGINNING + 30))
    later = message("a.1", "u2", received_at=BEGINNING + 1)
    joined = backend.audiences.join(_begin(backend, 2), later, request("paused"))
    assert joined.hold is not None
    assert (joined.hold.reason, joined.hold.due_at) == ("partner_unavailable", BEGINNING + 30)
    assert (joined.hold.batches, joined.hold.items, joined.hold.oldest_at) == (2, 2, BEGINNING)


def test_joining_twice_is_joining_once(backend: Backend) -> None:
    turn = _begin(backend, 1, "m1")
    once = backend.audiences.join(turn, message("a.1", "u1"), request())
    assert backend.audiences.join(turn, message("a.1", "u1"), request()) == once
    again = _begin(backend, 1, "m1")
    backend.audiences.join(again, message("a.1", "u1"), request())
    assert _hold(backend).batches == 1
    assert users(backend.audiences.waiting(again, **EVERYTHING)) == [["u1"]]


def test_a_batch_without_mutations_can_wait(backend: Backend) -> None:
    held(backend, "a.1", message("a.1", kind="created"))
    assert (_hold(backend).batches, _hold(backend).items) == (1, 0)


# taking
def test_batches_wait_in_the_order_in_which_they_joined(backend: Backend, clock: TurnedClock) -> None:
    held(backend, "a.1", message("a.1", "u1"), message("a.1", "u2"), message("a.1", "u3"))
    _, batches = _resume(backend)
    assert users(batches) == [["u1"], ["u2"], ["u3"]]
    assert [batch.message_id for batch in batches] == ["m1", "m2", "m3"]
    assert [batch.place for batch in batches] == sorted({batch.place for batch in batches})
    assert all(batch.added_at == BEGINNING for batch in batches)
    assert all(batch.bytes == len(encode(batch.message)) for batch in batches)


@pytest.mark.parametrize(
    ("max_items", "max_bytes", "number"),
    [(6, 10**9, 3), (5, 10**9, 2), (4, 10**9, 2), (3, 10**9, 1), (1, 10**9, 1), (10**9, 1, 1), (10**9, 10**9, 4)],
)
def test_the_first_batches_up_to_both_sums_and_at_least_one(
    backend: Backend, max_items: int, max_bytes: int, number: int
) -> None:
    held(backend, "a.1", *(message("a.1", "u1", "u2") for _ in range(4)))
    turn = _begin(backend, 9)
    assert len(backend.audiences.waiting(turn, max_items=max_items, max_bytes=max_bytes)) == number


def test_bytes_are_summed_too(backend: Backend) -> None:
    held(backend, "a.1", *(message("a.1", "u1") for _ in range(4)))
    size = len(encode(message("a.1", "u1")))
    turn = _begin(backend, 9)
    assert len(backend.audiences.waiting(turn, max_items=1_000, max_bytes=3 * size)) == 3
    assert len(backend.audiences.waiting(turn, max_items=1_000, max_bytes=3 * size - 1)) == 2


# settling
def test_the_hold_is_lifted_once_nothing_waits(backend: Backend) -> None:
    held(backend)
    turn, batches = _resume(backend)
    settled = backend.audiences.settle(turn, taken=batches, rest=(), request=request("paused"), progress=True)
    assert settled.hold is None
    assert backend.audiences.get("pangolin", "a.1") == settled
    assert backend.audiences.waiting(turn, **EVERYTHING) == []


def test_the_hold_stands_while_something_waits(backend: Backend) -> None:
    held(backend, "a.1", message("a.1", "u1"), message("a.1", "u2", "u3", received_at=BEGINNING + 9))
    turn, batches = _resume(backend)
    settled = backend.audiences.settle(turn, taken=batches[:1], rest=(), request=None, progress=True)
    assert settled.hold is not None
    assert (settled.hold.reason, settled.hold.batches, settled.hold.items) == ("partner_unavailable", 1, 2)
    assert (settled.hold.bytes, settled.hold.oldest_at) == (batches[1].bytes, BEGINNING + 9)
    assert users(backend.audiences.waiting(turn, **EVERYTHING)) == [["u2", "u3"]]


def test_what_rests_stays_at_its_place_with_what_is_not_settled(backend: Backend) -> None:
    held(backend, "a.1", message("a.1", "u1", "u2"), message("a.1", "u3"), message("a.1", "u4"))
    turn, batches = _resume(backend)
    unsettled = replace(batches[0].message, mutations=batches[0].message.mutations[1:])
    backend.audiences.settle(
        turn, taken=batches[:2], rest=[replace(batches[0], message=unsettled)], request=request("misconfigured"), progress=True
    )
    left = backend.audiences.waiting(turn, **EVERYTHING)
    assert users(left) == [["u2"], ["u4"]]
    assert [(batch.place, batch.message_id) for batch in left] == [(1, "m1"), (3, "m3")]
    assert left[0].bytes == len(encode(unsettled))
    hold = _hold(backend)
    assert (hold.reason, hold.batches, hold.items, hold.bytes) == ("misconfigured", 2, 2, sum(batch.bytes for batch in left))


def test_settling_twice_is_settling_once(backend: Backend) -> None:
    held(backend, "a.1", message("a.1", "u1"), message("a.1", "u2"))
    turn, batches = _resume(backend)
    for _ in range(2):
        settled = backend.audiences.settle(turn, taken=batches[:1], rest=(), request=None, progress=True)
    assert settled.hold is not None
    assert settled.hold.batches == 1


def test_what_joins_while_a_resume_runs_is_behind_what_rests(backend: Backend) -> None:
    held(backend)
    turn, batches = _resume(backend)
    backend.audiences.settle(turn, taken=batches, rest=batches, request=request("come_back_later", due_at=1.0), progress=False)
    backend.audiences.join(_begin(backend, 2_000), message("a.1", "u9"), request())
    assert users(_resume(backend, 3_000)[1]) == [["u1"], ["u9"]]


def test_probes_are_counted_until_there_is_progress(backend: Backend) -> None:
    held(backend, "a.1", message("a.1", "u1"), message("a.1", "u2"), why=request(probe=True))
    turn, batches = _resume(backend)
    for expected in (2, 3):
        backend.audiences.settle(turn, taken=(), rest=(), request=request(probe=True), progress=False)
        assert _hold(backend).probes == expected
    backend.audiences.settle(turn, taken=batches[:1], rest=(), request=request(), progress=True)
    assert _hold(backend).probes == 0


def test_settling_ends_that_it_was_asked(backend: Backend) -> None:
    held(backend)
    ask(backend, "a.1")
    turn, _ = _resume(backend)
    backend.audiences.settle(turn, taken=(), rest=(), request=request(), progress=False)
    assert _hold(backend).asked_at == 0


def test_what_was_dropped_meanwhile_stays_dropped(backend: Backend) -> None:
    held(backend, "a.1", message("a.1", "u1"), message("a.1", "u2"))
    turn, batches = _resume(backend)
    backend.audiences.drop("pangolin", "a.1", older_than=None, limit=1, reject=lambda _: [])
    backend.audiences.settle(turn, taken=batches, rest=batches, request=request(), progress=False)
    assert users(backend.audiences.waiting(turn, **EVERYTHING)) == [["u2"]]
    assert _hold(backend).batches == 1


def test_only_what_was_taken_can_rest(backend: Backend) -> None:
    held(backend)
    turn, batches = _resume(backend)
    with pytest.raises(ValueError, match="part of what was taken"):
        backend.audiences.settle(turn, taken=(), rest=batches, request=None, progress=False)
