"""The receiver's end of the queue."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict

import pytest

from relay.backends.interfaces import Backend, Leased
from relay.domain.errors import StoreUnavailable
from relay.domain.message import decode
from tests.contract.backends.deliveries import Deliveries
from tests.contract.backends.given import message


def _drained(deliveries: Deliveries, number: int) -> dict[str, list[str]]:
    """So many messages by key, and no more. A queue behind a network may have one twice: a publish whose confirmation was late is
    repeated."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    while sum(map(len, found.values())) < number:
        _take(deliveries, deliveries.next(), found)
    while (leased := deliveries.maybe()) is not None:
        _take(deliveries, leased, found)
    assert sum(map(len, found.values())) == number
    return found


def _take(deliveries: Deliveries, leased: Leased, found: defaultdict[str, list[str]]) -> None:
    request_id = decode(leased.body).request_id
    again = request_id in found[leased.key]
    assert deliveries.may_repeat or not again
    if not again:
        found[leased.key].append(request_id)
    assert deliveries.acknowledge(leased)


def test_what_is_published_is_in_the_queue_when_publish_returns(backend: Backend, deliveries: Deliveries) -> None:
    async def publish() -> None:
        publisher = backend.publisher()
        await publisher.publish([message("a.1"), message("a.2")])
        assert {deliveries.next().key, deliveries.next().key} == {"pangolin/a.1", "pangolin/a.2"}
        await publisher.publish([])
        await publisher.close()

    asyncio.run(publish())
    assert deliveries.none()


def test_messages_of_one_key_keep_their_order(backend: Backend, deliveries: Deliveries) -> None:
    async def publish() -> None:
        publisher = backend.publisher()
        await publisher.publish([message(request_id=f"r{number}") for number in range(3)])
        await publisher.publish([message(request_id="r3"), message("a.2", request_id="other"), message(request_id="r4")])
        await publisher.close()

    asyncio.run(publish())
    assert _drained(deliveries, 6) == {"pangolin/a.1": ["r0", "r1", "r2", "r3", "r4"], "pangolin/a.2": ["other"]}


def test_publishes_of_concurrent_requests_all_arrive(backend: Backend, deliveries: Deliveries) -> None:
    async def publish() -> None:
        publisher = backend.publisher()
        await asyncio.gather(
            *(publisher.publish([message(f"a.{request % 7}", request_id=f"r{request}")]) for request in range(100))
        )
        await publisher.close()

    asyncio.run(publish())
    arrived = [request_id for of_key in _drained(deliveries, 100).values() for request_id in of_key]
    assert sorted(arrived) == sorted(f"r{request}" for request in range(100))


def test_closing_finishes_what_is_under_way(backend: Backend, deliveries: Deliveries) -> None:
    async def publish() -> None:
        publisher = backend.publisher()
        under_way = [asyncio.ensure_future(publisher.publish([message(f"a.{number}")])) for number in range(20)]
        await asyncio.sleep(0)
        await publisher.close()
        await asyncio.gather(*under_way)

    asyncio.run(publish())
    assert sum(map(len, _drained(deliveries, 20).values())) == 20


def test_a_closed_publisher_takes_nothing(backend: Backend, deliveries: Deliveries) -> None:
    async def publish() -> None:
        publisher = backend.publisher()
        await publisher.close()
        with pytest.raises(StoreUnavailable):
            await publisher.publish([message()])

    asyncio.run(publish())
    assert deliveries.none()


def test_a_caller_that_gave_up_disturbs_nobody(backend: Backend, deliveries: Deliveries) -> None:
    async def publish() -> None:
        publisher = backend.publisher()
        given_up = asyncio.ensure_future(publisher.publish([message("a.1")]))
        await asyncio.sleep(0)
        given_up.cancel()
        await publisher.publish([message("a.2", request_id="kept")])
        await publisher.close()

    asyncio.run(publish())
    leased = deliveries.next()
    if leased.key == "pangolin/a.1":  # it may have been under way
        leased = deliveries.next()
    assert decode(leased.body).request_id == "kept"


def test_one_publisher_serves_several_event_loops(backend: Backend, deliveries: Deliveries) -> None:
    publisher = backend.publisher()

    def publish(number: int) -> None:
        asyncio.run(publisher.publish([message(f"a.{number}")]))

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(publisher.close())
    assert len(_drained(deliveries, 4)) == 4


def test_a_message_that_cannot_be_encoded_fails_alone(backend: Backend, deliveries: Deliveries) -> None:
    async def publish() -> None:
        publisher = backend.publisher()
        results = await asyncio.gather(
            publisher.publish([message("a.1")]),
            publisher.publish([message("half a character: \ud800")]),
            publisher.publish([message("a.2")]),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [type(None), UnicodeEncodeError, type(None)]
        await publisher.close()

    asyncio.run(publish())
    assert len(_drained(deliveries, 2)) == 2
