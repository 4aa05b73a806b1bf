"""The worker's end of the embedded queue beyond what every queue does: who asks gets the longest-waiting message, and leases
run out by the clock."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Leased
from relay.domain.clock import Clock
from relay.domain.errors import StoreUnavailable
from relay.domain.message import decode
from tests.clock import TurnedClock
from tests.contract.backends.given import message


@pytest.fixture
def backend(opened: Callable[[Clock], EmbeddedBackend], clock: TurnedClock) -> EmbeddedBackend:
    return opened(clock)


def _taken(backend: EmbeddedBackend, *, busy: Collection[str] = (), most: int = 1) -> Leased:
    leased = backend.queue.take(busy=busy, most=most)
    assert leased is not None
    return leased


def _request_id(leased: Leased) -> str:
    return decode(leased.body).request_id


def test_an_empty_queue_gives_nothing(backend: EmbeddedBackend) -> None:
    assert backend.queue.take() is None
    backend.queue.publish([])
    assert backend.queue.take() is None


def test_the_longest_waiting_head_comes_first(backend: EmbeddedBackend) -> None:
    for audience, connector in [("a.1", "zebra"), ("a.2", "aardvark"), ("a.1", "zebra"), ("a.3", "zebra")]:
        backend.queue.publish([message(audience, connector=connector)])
    keys = []
    while (leased := backend.queue.take()) is not None:
        keys.append(leased.key)
        assert backend.queue.acknowledge(leased)
    assert keys == ["zebra/a.1", "aardvark/a.2", "zebra/a.1", "zebra/a.3"]


def test_messages_of_a_busy_connector_are_passed_over(backend: EmbeddedBackend) -> None:
    backend.queue.publish([message(connector="slow"), message(connector="quick")])
    assert _taken(backend, busy=("slow",)).key == "quick/a.1"
    assert backend.queue.take(busy=("slow",)) is None
    assert _taken(backend).key == "slow/a.1"


def test_a_position_is_never_used_again(backend: EmbeddedBackend) -> None:
    backend.queue.publish([message()])
    first = _taken(backend)
    backend.queue.acknowledge(first)
    backend.queue.publish([message()])
    second = _taken(backend)
    assert second.position > first.position
    assert second.message_id != first.message_id


def test_a_message_whose_lease_ran_out_is_delivered_again(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    backend.queue.publish([message()])
    first = _taken(backend)
    clock.advance(first.lease_until - clock.now() - 1)
    assert backend.queue.take() is None
    clock.advance(1)
    again = _taken(backend)
    assert (again.message_id, again.position, again.deliveries) == (first.message_id, first.position, 2)
    assert again.lease != first.lease


def test_deliveries_are_counted_for_each_message(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    backend.queue.publish([message(), message()])
    clock.advance(_taken(backend).lease_until - clock.now())
    backend.queue.acknowledge(_taken(backend))
    assert _taken(backend).deliveries == 1


def test_a_late_acknowledgement_acknowledges_nothing(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    backend.queue.publish([message()])
    late = _taken(backend)
    clock.advance(late.lease_until - clock.now())
    assert not backend.queue.acknowledge(late), "nobody else has taken it, and still the lease is over"
    again = _taken(backend)
    assert not backend.queue.acknowledge(late), "it is somebody else's now"
    assert backend.queue.acknowledge(again)
    assert not backend.queue.acknowledge(again), "it is gone"


def test_a_message_given_back_is_handed_out_again_after_the_delay_and_its_key_waits(
    backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    backend.queue.publish([message(request_id="r1"), message(request_id="r2"), message("a.2", request_id="r3")])
    backend.queue.give_back(_taken(backend), delay_s=10)
    assert _request_id(_taken(backend)) == "r3"
    clock.advance(9)
    assert backend.queue.take() is None
    clock.advance(1)
    again = _taken(backend)
    assert (_request_id(again), again.deliveries) == ("r1", 2)


def test_the_depth_tells_what_could_be_taken_now_from_what_is_in_hand_or_was_given_back_for_later(
    backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    assert not backend.queue.depth().takeable
    backend.queue.publish([message()])
    assert backend.queue.depth().takeable

    leased = _taken(backend)
    assert not backend.queue.depth().takeable
    backend.queue.give_back(leased, delay_s=30)
    assert not backend.queue.depth().takeable, "it waits by its delay, whoever runs"
    clock.advance(31)
    assert backend.queue.depth().takeable


def test_giving_back_without_the_lease_does_nothing(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    backend.queue.publish([message()])
    late = _taken(backend)
    clock.advance(late.lease_until - clock.now())
    owner = _taken(backend)
    backend.queue.give_back(late, delay_s=0)
    assert backend.queue.take() is None
    assert backend.queue.acknowledge(owner)


def test_the_lease_of_a_message_given_back_acknowledges_nothing(backend: EmbeddedBackend) -> None:
    backend.queue.publish([message()])
    leased = _taken(backend)
    backend.queue.give_back(leased, delay_s=0)
    assert not backend.queue.acknowledge(leased)


def test_the_depth_counts_messages_leases_and_the_oldest_age(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    assert backend.queue.depth().messages == 0
    assert backend.queue.depth().oldest_s == 0
    backend.queue.publish([message("a.1"), message("a.1")])
    clock.advance(30)
    backend.queue.publish([message("a.2")])
    leased = _taken(backend)
    depth = backend.queue.depth()
    assert (depth.messages, depth.leased, depth.oldest_s) == (3, 1, 30)
    backend.queue.acknowledge(leased)
    _taken(backend)
    assert backend.queue.depth().messages == 2
    clock.advance(1_000)
    assert backend.queue.depth().leased == 0


def test_a_closed_back_end_has_nothing_leased(
    backend: EmbeddedBackend, opened: Callable[[Clock], EmbeddedBackend], clock: TurnedClock
) -> None:
    backend.queue.publish([message()])
    _taken(backend)
    other = opened(clock)
    assert other.queue.take() is None
    backend.close()
    clock.advance(2)
    assert other.queue.take() is not None


def test_threads_handle_each_message_once_in_order_and_one_of_a_key_at_a_time(backend: EmbeddedBackend) -> None:
    keys, each = 5, 12
    at_work: set[str] = set()
    handled: defaultdict[str, list[int]] = defaultdict(list)
    overlaps: list[str] = []

    def publish(key: int) -> None:
        for _ in range(each):
            backend.queue.publish([message(f"a.{key}")])

    def handle() -> None:
        while sum(map(len, handled.values())) < keys * each:
            leased = backend.queue.take()
            if leased is None:
                continue
            if leased.key in at_work:
                overlaps.append(leased.key)
            at_work.add(leased.key)
            handled[leased.key].append(leased.position)
            at_work.discard(leased.key)
            assert backend.queue.acknowledge(leased)

    threads = [threading.Thread(target=publish, args=(key,)) for key in range(keys)]
    threads += [threading.Thread(target=handle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not overlaps
    assert sorted(map(len, handled.values())) == [each] * keys
    assert all(positions == sorted(positions) for positions in handled.values())


def test_a_message_that_is_missing_from_the_head_of_its_line_is_told_of(backend: EmbeddedBackend) -> None:
    backend.queue.publish([message()])
    with backend.database.transaction() as connection:
        connection.execute("DELETE FROM messages")
    with pytest.raises(StoreUnavailable, match="damaged"):
        backend.queue.take()
