"""The worker's end of the queue, however its messages come to the worker."""

from __future__ import annotations

import threading
from collections import defaultdict

import pytest

from relay.backends.interfaces import Backend, Leased
from relay.domain.message import decode
from tests.clock import TurnedClock
from tests.contract.backends.deliveries import Deliveries
from tests.contract.backends.given import message


def _request_id(leased: Leased) -> str:
    return decode(leased.body).request_id


def test_a_message_is_handed_out_as_it_was_published(backend: Backend, deliveries: Deliveries) -> None:
    published = message("a.1", "u1", "u2")
    backend.queue.publish([published])
    leased = deliveries.next()
    assert decode(leased.body) == published
    assert (leased.key, leased.connector, leased.deliveries) == ("pangolin/a.1", "pangolin", 1)


def test_publishing_nothing_hands_out_nothing(backend: Backend, deliveries: Deliveries) -> None:
    backend.queue.publish([])
    assert deliveries.none()


def test_messages_of_one_key_are_handed_out_in_the_order_of_publishing(backend: Backend, deliveries: Deliveries) -> None:
    backend.queue.publish([message(request_id="r1"), message(request_id="r2")])
    backend.queue.publish([message(request_id="r3")])
    order, positions = [], []
    for _ in range(3):
        leased = deliveries.next()
        order.append(_request_id(leased))
        positions.append(leased.position)
        assert deliveries.acknowledge(leased)
    assert order == ["r1", "r2", "r3"]
    assert positions == sorted(positions)
    assert deliveries.none()


def test_one_message_of_a_key_is_handed_out_at_a_time(backend: Backend, deliveries: Deliveries) -> None:
    backend.queue.publish([message(request_id="r1"), message(request_id="r2")])
    first = deliveries.next()
    assert deliveries.none()
    assert deliveries.acknowledge(first)
    second = deliveries.next()
    assert [_request_id(first), _request_id(second)] == ["r1", "r2"]
    assert second.position >= first.position
    assert second.message_id != first.message_id


def test_messages_of_different_keys_are_handed_out_at_once(backend: Backend, deliveries: Deliveries) -> None:
    backend.queue.publish([message("a.1"), message("a.2")])
    assert {deliveries.next().key, deliveries.next().key} == {"pangolin/a.1", "pangolin/a.2"}


def test_a_message_given_back_is_handed_out_again_before_the_next_of_its_key(backend: Backend, deliveries: Deliveries) -> None:
    backend.queue.publish([message(request_id="r1"), message(request_id="r2")])
    first = deliveries.next()
    deliveries.give_back(first)
    again = deliveries.next()
    assert (_request_id(again), again.message_id, again.position) == ("r1", first.message_id, first.position)
    assert again.lease != first.lease
    assert deliveries.acknowledge(again)
    assert _request_id(deliveries.next()) == "r2"


def test_an_acknowledgement_after_the_end_of_the_lease_acknowledges_nothing(
    backend: Backend, deliveries: Deliveries, clock: TurnedClock
) -> None:
    backend.queue.publish([message(request_id="r1")])
    late = deliveries.next()
    clock.advance(late.lease_until - clock.now())
    assert not deliveries.acknowledge(late)
    again = deliveries.next()
    assert (_request_id(again), again.message_id) == ("r1", late.message_id)
    assert deliveries.acknowledge(again)


@pytest.mark.parametrize("audience", ["with/slash", "ünïcode", "nul\x00byte", "a'b\"c", "", "x" * 2_000])
def test_any_audience_id_is_a_key(backend: Backend, deliveries: Deliveries, audience: str) -> None:
    backend.queue.publish([message(audience), message(audience + "!")])
    taken = [deliveries.next(), deliveries.next()]
    assert {decode(leased.body).audience for leased in taken} == {audience, audience + "!"}
    assert {leased.key for leased in taken} == {f"pangolin/{audience}", f"pangolin/{audience}!"}
    assert [deliveries.acknowledge(leased) for leased in taken] == [True, True]


def test_threads_handle_each_message_once_in_order_and_one_of_a_key_at_a_time(backend: Backend, deliveries: Deliveries) -> None:
    keys, each = 5, 12
    at_work: set[str] = set()
    handled: defaultdict[str, list[int]] = defaultdict(list)
    overlaps: list[str] = []
    left = threading.Semaphore(keys * each)

    def publish(key: int) -> None:
        for _ in range(each):
            backend.queue.publish([message(f"a.{key}")])

    def handle() -> None:
        while left.acquire(blocking=False):
            leased = deliveries.next()
            if leased.key in at_work:
                overlaps.append(leased.key)
            at_work.add(leased.key)
            handled[leased.key].append(leased.position)
            at_work.discard(leased.key)
            assert deliveries.acknowledge(leased)

    threads = [threading.Thread(target=publish, args=(key,)) for key in range(keys)]
    threads += [threading.Thread(target=handle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not overlaps
    assert sorted(map(len, handled.values())) == [each] * keys
    assert all(positions == sorted(positions) for positions in handled.values())
