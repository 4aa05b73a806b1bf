"""Messages of one key that are handed out together, and the one transaction that ends the turn they have together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing

import pytest

from relay.backends.embedded import EmbeddedBackend, queue
from relay.backends.interfaces import Leased, Turn
from relay.domain.clock import Clock
from relay.domain.errors import TurnLost
from relay.domain.message import Message, decode
from tests.clock import TurnedClock
from tests.contract.backends.given import message, rejection, report, request


@pytest.fixture
def backend(opened: Callable[[Clock], EmbeddedBackend], clock: TurnedClock) -> EmbeddedBackend:
    return opened(clock)


def _publish(backend: EmbeddedBackend, *requests: str, audience: str = "a.1") -> None:
    backend.queue.publish([message(audience, "u1", request_id=request_id) for request_id in requests])


def _take(backend: EmbeddedBackend, most: int = 100) -> Leased:
    leased = backend.queue.take(most=most)
    assert leased is not None
    return leased


def _requests(leased: Leased) -> list[str]:
    return [decode(body).request_id for body in (leased.body, *(one.body for one in leased.following))]


def _begin(backend: EmbeddedBackend, leased: Leased) -> Turn:
    return backend.audiences.begin_turn("pangolin", "a.1", position=leased.position, message_id=leased.message_id)


# what is handed out


def test_what_follows_a_message_comes_with_it_in_order_and_only_of_its_key(backend: EmbeddedBackend) -> None:
    _publish(backend, "r1")
    _publish(backend, "other", audience="a.2")
    _publish(backend, "r2", "r3")
    leased = _take(backend)
    assert _requests(leased) == ["r1", "r2", "r3"]
    positions = [leased.position, *(one.position for one in leased.following)]
    assert positions == sorted(set(positions))
    assert [one.message_id for one in leased.following] == [str(position) for position in positions[1:]]
    assert _requests(_take(backend)) == ["other"]
    assert backend.queue.take(most=100) is None, "nothing of a key that is in hand"


@pytest.mark.parametrize(("most", "together"), [(1, ["r1"]), (2, ["r1", "r2"]), (4, ["r1", "r2", "r3", "r4"]), (9, 4)])
def test_so_many_at_most_come_together(backend: EmbeddedBackend, most: int, together: list[str] | int) -> None:
    _publish(backend, "r1", "r2", "r3", "r4")
    found = _requests(_take(backend, most))
    assert found == together or len(found) == together


def test_who_does_not_ask_for_more_gets_one_alone(backend: EmbeddedBackend) -> None:
    _publish(backend, "r1", "r2")
    leased = backend.queue.take()
    assert leased is not None
    assert _requests(leased) == ["r1"]


def _wide(number: int, size: int) -> Message:
    return message("a.1", "x" * size, request_id=f"r{number}")


@pytest.mark.parametrize(
    ("sizes", "together"),
    [
        ([100, 100, 100], 3),
        ([100_000, 100_000, 100_000], 2),
        ([300_000, 10, 10], 1),
        ([10, 300_000, 10], 1),
        ([200_000, 100_000, 10], 1),
    ],
)
def test_so_many_bytes_at_most_come_together_and_none_is_left_out_in_between(
    backend: EmbeddedBackend, sizes: list[int], together: int
) -> None:
    assert queue.MOST_BYTES_TOGETHER == 256 * 1024
    backend.queue.publish([_wide(number, size) for number, size in enumerate(sizes)])
    leased = _take(backend)
    assert _requests(leased) == [f"r{number}" for number in range(together)]


def test_the_bytes_of_all_count_to_the_last_one(backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    _publish(backend, "r1", "r2", "r3")
    leased = _take(backend)
    backend.queue.give_back(leased, delay_s=0)
    sizes = [len(body) for body in (leased.body, *(one.body for one in leased.following))]
    for most_bytes, together in ((sum(sizes), 3), (sum(sizes) - 1, 2)):
        with backend.database.transaction() as connection:
            connection.execute("UPDATE keys SET deliveries = 0, alone_to = 0, lease = NULL, available_at = 0")
        monkeypatch.setattr(queue, "MOST_BYTES_TOGETHER", most_bytes)
        assert len(_requests(_take(backend))) == together


def test_all_that_are_handed_out_together_are_in_hand(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    _publish(backend, "r1", "r2", "r3", "r4")
    leased = _take(backend, 3)
    assert (backend.queue.depth().messages, backend.queue.depth().leased) == (4, 3)
    backend.queue.give_back(leased, delay_s=0)
    assert backend.queue.depth().leased == 0
    _take(backend)
    assert backend.queue.depth().leased == 1, "the others were in hand, and are not now"
    clock.advance(1_000)
    assert backend.queue.depth().leased == 0


# what comes again


def _handed_out(backend: EmbeddedBackend) -> list[list[str]]:
    """How the rest is handed out, each acknowledged by itself."""
    found = []
    while (leased := backend.queue.take(most=100)) is not None:
        found.append(_requests(leased))
        assert backend.queue.acknowledge(leased)
    return found


@pytest.mark.parametrize("how", ["given back", "lease run out", "worker gone"])
def test_what_was_handed_out_together_comes_again_one_by_one_and_what_is_behind_it_together(
    backend: EmbeddedBackend, clock: TurnedClock, opened: Callable[[Clock], EmbeddedBackend], how: str
) -> None:
    _publish(backend, "r1", "r2", "r3", "r4", "r5")
    leased = _take(backend, 3)
    if how == "given back":
        backend.queue.give_back(leased, delay_s=0)
    elif how == "lease run out":
        clock.advance(leased.lease_until - clock.now())
    else:
        backend.close()
        backend = opened(clock)
    again = _take(backend)
    assert (_requests(again), again.deliveries) == (["r1"], 2)
    assert backend.queue.acknowledge(again)
    _publish(backend, "r6")
    leased = _take(backend)
    assert (_requests(leased), leased.deliveries) == (["r2"], 1)
    backend.queue.give_back(leased, delay_s=0)
    assert _requests(_take(backend)) == ["r2"]
    clock.advance(1_000)
    assert _handed_out(backend) == [["r2"], ["r3"], ["r4", "r5", "r6"], ["r5", "r6"], ["r6"]]


def test_one_that_was_handed_out_before_comes_alone_though_others_have_come_behind_it_since(backend: EmbeddedBackend) -> None:
    _publish(backend, "r1")
    backend.queue.give_back(_take(backend), delay_s=0)
    _publish(backend, "r2", "r3")
    assert _handed_out(backend) == [["r1"], ["r2", "r3"], ["r3"]]


def test_where_the_first_ends_its_turn_alone_those_behind_it_come_together_again(backend: EmbeddedBackend) -> None:
    """As news that an audience was created does, with the changes behind it: nothing has gone wrong."""
    _publish(backend, "r1", "r2", "r3")
    assert backend.queue.acknowledge(_take(backend))
    assert _requests(_take(backend)) == ["r2", "r3"]


# the end of a turn


@pytest.mark.parametrize("number", [1, 2])
def test_all_that_had_the_turn_are_removed_with_what_the_block_writes(backend: EmbeddedBackend, number: int) -> None:
    _publish(backend, "r1")
    _publish(backend, "other", audience="a.2")
    _publish(backend, "r2", "r3", "r4")
    leased = _take(backend, 3)
    turn = _begin(backend, leased)
    with backend.queue.finish(turn, leased, number):
        backend.reports.attempt(report(delivered=1), [])
        backend.audiences.join(turn, message("a.1", "u1"), request())
    assert backend.queue.depth().messages == 5 - (number + 1)
    assert backend.queue.depth().leased == 0
    assert len(backend.reports.attempts()) == 1
    assert len(backend.audiences.peek("pangolin", "a.1", limit=9)) == 1
    record = backend.audiences.get("pangolin", "a.1")
    assert record is not None
    last = leased.following[number - 1]
    assert (record.position, record.turns_at, record.turn) == (last.position, (last.message_id,), turn.number)
    assert record.hold is not None
    assert _requests(_take(backend)) == ["other"]
    assert _requests(_take(backend)) == ["r1", "r2", "r3", "r4"][number + 1 :]


def test_a_key_without_messages_is_gone_and_a_new_one_begins_anew(backend: EmbeddedBackend) -> None:
    _publish(backend, "r1", "r2")
    leased = _take(backend)
    with backend.queue.finish(_begin(backend, leased), leased, 1):
        pass
    assert backend.database.rows("SELECT * FROM keys") == []
    _publish(backend, "r3", "r4")
    assert _requests(_take(backend)) == ["r3", "r4"]


def test_a_message_that_had_the_turn_with_another_is_behind_when_it_comes_late(backend: EmbeddedBackend) -> None:
    _publish(backend, "r1", "r2", "r3")
    leased = _take(backend, 2)
    with backend.queue.finish(_begin(backend, leased), leased, 1):
        pass
    late = backend.audiences.begin_turn("pangolin", "a.1", position=leased.position, message_id=leased.message_id)
    assert late.verdict == "behind"
    assert _begin(backend, _take(backend)).verdict == "go"


def _lose_lease(backend: EmbeddedBackend, clock: TurnedClock, leased: Leased) -> None:
    clock.advance(leased.lease_until - clock.now())


def _hand_out_again(backend: EmbeddedBackend, clock: TurnedClock, leased: Leased) -> None:
    _lose_lease(backend, clock, leased)
    _take(backend)


def _give_back(backend: EmbeddedBackend, clock: TurnedClock, leased: Leased) -> None:
    backend.queue.give_back(leased, delay_s=0)


def _begin_another_turn(backend: EmbeddedBackend, clock: TurnedClock, leased: Leased) -> None:
    _begin(backend, leased)


def _nothing_happened(backend: EmbeddedBackend, clock: TurnedClock, turn: Turn) -> None:
    assert backend.reports.attempts() == []
    assert backend.reports.rejections() == []
    record = backend.audiences.get("pangolin", "a.1")
    assert record is not None
    assert (record.position, record.hold) == (turn.audience.position, None)
    clock.advance(1_000)
    assert [requests[0] for requests in _handed_out(backend)] == ["r1", "r2", "r3"]


@pytest.mark.parametrize("lose", [_lose_lease, _hand_out_again, _give_back, _begin_another_turn])
def test_a_turn_that_is_over_writes_nothing_and_removes_nothing(
    backend: EmbeddedBackend, clock: TurnedClock, lose: Callable[[EmbeddedBackend, TurnedClock, Leased], None]
) -> None:
    _publish(backend, "r1", "r2", "r3")
    leased = _take(backend, 2)
    turn = _begin(backend, leased)
    lose(backend, clock, leased)
    with pytest.raises(TurnLost), backend.queue.finish(turn, leased, 1):
        backend.reports.attempt(report(rejected=1), [rejection()])
    _nothing_happened(backend, clock, turn)


def test_a_lease_that_runs_out_while_it_writes_ends_the_turn_too(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    _publish(backend, "r1", "r2", "r3")
    leased = _take(backend, 2)
    turn = _begin(backend, leased)

    def write_for_long() -> None:
        with backend.queue.finish(turn, leased, 1):
            backend.audiences.join(turn, message("a.1", "u1"), request())
            _lose_lease(backend, clock, leased)

    with pytest.raises(TurnLost):
        write_for_long()
    _nothing_happened(backend, clock, turn)


def test_where_the_block_fails_nothing_of_it_is_there_and_all_come_again(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    _publish(backend, "r1", "r2", "r3")
    leased = _take(backend, 2)
    turn = _begin(backend, leased)

    def write_and_fail() -> None:
        with backend.queue.finish(turn, leased, 1):
            backend.reports.attempt(report(rejected=1), [rejection()])
            backend.audiences.join(turn, message("a.1", "u1"), request())
            raise KeyError("whatever")

    with pytest.raises(KeyError):
        write_and_fail()
    _nothing_happened(backend, clock, turn)


def test_nobody_sees_half_of_it(backend: EmbeddedBackend, opened: Callable[[Clock], EmbeddedBackend], clock: TurnedClock) -> None:
    _publish(backend, "r1", "r2")
    leased = _take(backend)
    turn = _begin(backend, leased)
    other = opened(clock)
    with closing(other), backend.queue.finish(turn, leased, 1):
        backend.audiences.join(turn, message("a.1", "u1"), request())
        assert len(backend.audiences.peek("pangolin", "a.1", limit=9)) == 1
        assert other.audiences.peek("pangolin", "a.1", limit=9) == []
        seen = []
        elsewhere = threading.Thread(target=lambda: seen.append(backend.queue.depth().messages))
        elsewhere.start()
        elsewhere.join(10)
        assert (seen, other.queue.depth().messages) == ([2], 2)
    assert backend.queue.depth().messages == 0
