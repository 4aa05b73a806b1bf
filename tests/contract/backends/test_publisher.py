"""The receiver's end of the queue."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict

import pytest

from relay.backends.interfaces import Backend
from relay.domain.errors import StoreUnavailable
from relay.domain.message import decode
from tests.contract.backends.given import message


def _drained(backend: Backend) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    while (leased := backend.queue.take()) is not None:
        found[leased.key].append(decode(leased.body).request_id)
        assert backend.queue.acknowledge(leased)
    return found


def test_what_is_published_is_in_the_queue_when_publish_returns(backend: Backend) -> None:
    async def publish() -> None:
        publisher = backend.publisher()
        await publisher.publish([message("a.1"), message("a.2")])
        assert backend.queue.depth().messages == 2
        await publisher.publish([])
        await publisher.close()

    asyncio.run(publish())


def test_messages_of_one_key_keep_their_order(backend: Backend) -> None:
    async def publish() -> None:
        publisher = backend.publisher()
        await publisher.publish([message(request_id=f"r{number}") for number in range(3)])
        await publisher.publish([message(request_id="r3"), message("a.2", request_id="other"), message(request_id="r4")])
        await publisher.close()

    asyncio.run(publish())
    assert _drained(backend) == {"pangolin/a.1": ["r0", "r1", "r2", "r3", "r4"], "pangolin/a.2": ["other"]}


def test_publishes_of_concurrent_requests_all_arrive(backend: Backend) -> None:
    async def publish() -> None:
        publisher = backend.publisher()
        await asyncio.gather(
            *(publisher.publish([message(f"a.{request % 7}", request_id=f"r{request}")]) for request in range(100))
        )
        await publisher.close()

    asyncio.run(publish())
    arrived = [request_id for of_key in _drained(backend).values() for request_id in of_key]
    assert sorted(arrived) == sorted(f"r{request}" for request in range(100))


def test_closing_finishes_what_is_under_way(backend: Backend) -> None:
    async def publish() -> None:
        publisher = backend.publisher()
        under_way = [asyncio.ensure_future(publisher.publish([message(f"a.{number}")])) for number in range(20)]
        await asyncio.sleep(0)
        await publisher.close()
        await asyncio.gather(*under_way)

    asyncio.run(publish())
    assert backend.queue.depth().messages == 20


def test_a_closed_publisher_takes_nothing(backend: Backend) -> None:
    async def publish() -> None:
        publisher = backend.publisher()
        await publisher.close()
        with pytest.raises(StoreUnavailable):
            await publisher.publish([message()])

    asyncio.run(publish())
    assert backend.queue.depth().messages == 0


def test_a_caller_that_gave_up_disturbs_nobody(backend: Backend) -> None:
    async def publish() -> None:
        publisher = backend.publisher()
        given_up = asyncio.ensure_future(publisher.publish([message("a.1")]))
        await asyncio.sleep(0)
        given_up.cancel()
        await publisher.publish([message("a.2", request_id="kept")])
        await publisher.close()

    asyncio.run(publish())
    assert _drained(backend)["pangolin/a.2"] == ["kept"]


def test_one_publisher_serves_several_event_loops(backend: Backend) -> None:
    publisher = backend.publisher()

    def publish(number: int) -> None:
        asyncio.run(publisher.publish([message(f"a.{number}")]))

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(publisher.close())
    assert backend.queue.depth().messages == 4


def test_a_message_that_cannot_be_encoded_fails_alone(backend: Backend) -> None:
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
    assert backend.queue.depth().messages == 2
