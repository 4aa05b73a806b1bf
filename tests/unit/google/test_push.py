"""The worker's end of the queue on Pub/Sub: reading pushes, settling them, publishing."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.backends.google import queue as module
from relay.backends.google.channels import Channels
from relay.backends.google.names import safe_name
from relay.backends.google.queue import GoogleQueue
from relay.backends.interfaces import Leased, PullQueue, PushQueue
from relay.configuration import Configuration, read
from relay.domain.clock import SystemClock
from relay.domain.errors import BadPush, StoreUnavailable
from relay.domain.message import encode
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, message
from tests.emulators import Emulators, place
from tests.unit.google.pubsub import Topic, TroubledWay

LEASE_S = 300.0

PLAIN = encode(message("a.1", "u1"))


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def queue(clock: TurnedClock) -> GoogleQueue:
    """One that only receives: nothing listens where it would publish."""
    configuration = Configuration(google_cloud_project="p", ack_deadline_s=LEASE_S, pubsub_emulator="127.0.0.1:1")
    return GoogleQueue(Channels(configuration), configuration, clock)


def pushed(carried: bytes = PLAIN, /, **changes: Any) -> dict[str, Any]:
    """A push as Pub/Sub makes it (https://cloud.google.com/pubsub/docs/push#receive_push)."""
    fields = {
        "data": base64.b64encode(carried).decode(),
        "messageId": "2070443601311540",
        "message_id": "2070443601311540",
        "publishTime": "2027-01-15T08:00:00.123456789Z",
        "publish_time": "2027-01-15T08:00:00.123456789Z",
        "orderingKey": safe_name("pangolin/a.1"),
        "attributes": {"key": "value"},
        **changes,
    }
    return {"subscription": "projects/p/subscriptions/diy-relay-deliver", "message": fields}


def received(queue: GoogleQueue, push: dict[str, Any] | None = None) -> Leased:
    return queue.receive(json.dumps(push or pushed()).encode())


# --- reading --------------------------------------------------------------------------------------------------------


def test_pubsub_pushes_and_nobody_takes(queue: GoogleQueue) -> None:
    assert isinstance(queue, PushQueue)
    assert not isinstance(queue, PullQueue)
    assert queue.depth() is None


def test_a_push_is_a_message_and_a_lease(queue: GoogleQueue) -> None:
    leased = received(queue)
    assert (leased.message_id, leased.key, leased.connector) == ("2070443601311540", "pangolin/a.1", "pangolin")
    assert leased.body == encode(message("a.1", "u1"))
    assert leased.deliveries == 1
    assert leased.lease_until == BEGINNING + LEASE_S


@pytest.mark.parametrize(
    ("publish_time", "position"),
    [
        ("2027-01-15T08:00:00Z", 1_800_000_000_000_000),
        ("2027-01-15T08:00:00.1Z", 1_800_000_000_100_000),
        ("2027-01-15T08:00:00.123456Z", 1_800_000_000_123_456),
        ("2027-01-15T08:00:00.123456012Z", 1_800_000_000_123_456),
        ("2027-01-15T09:00:00.000001+01:00", 1_800_000_000_000_001),
    ],
)
def test_its_position_is_the_time_of_publishing_in_microseconds(queue: GoogleQueue, publish_time: str, position: int) -> None:
    assert received(queue, pushed(publishTime=publish_time)).position == position


@given(st.integers(0, 999_999_999), st.integers(0, 999_999_999))
def test_positions_keep_the_order_of_publishing(one: int, other: int) -> None:
    queue = GoogleQueue(Channels(Configuration()), Configuration(), SystemClock())
    earlier, later = (
        received(queue, pushed(publishTime=f"2027-01-15T08:00:00.{nanoseconds:09}Z")).position
        for nanoseconds in sorted((one, other))
    )
    assert earlier <= later


def test_each_delivery_is_a_lease_of_its_own(queue: GoogleQueue) -> None:
    assert received(queue).lease != received(queue).lease


def test_a_subscription_that_counts_deliveries_is_believed(queue: GoogleQueue) -> None:
    assert received(queue, {**pushed(), "deliveryAttempt": 4}).deliveries == 4


def test_a_message_of_a_newer_version_still_says_whose_it_is(queue: GoogleQueue) -> None:
    newer = encode(replace(message("a.2"), version=99)).replace(b'"mutations"', b'"changes"')
    assert received(queue, pushed(newer)).key == "pangolin/a.2"


@pytest.mark.parametrize("data", [b"no JSON", b"[]", b'{"connector": 1}', b"\xff", b"[" * 100_000], ids=range(5))
def test_the_key_of_what_cannot_be_read_comes_from_its_ordering_key(queue: GoogleQueue, data: bytes) -> None:
    leased = received(queue, pushed(data, orderingKey=safe_name("pangolin/ünïcode/1")))
    assert (leased.key, leased.body) == ("pangolin/ünïcode/1", data)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"message": null}',
        b'{"message": {}}',
        b"[" * 100_000,
        *(
            json.dumps(pushed(PLAIN, **{name: value})).encode()
            for name, value in [
                ("data", None), ("data", "not base64: someone@example.com"), ("data", 1),
                ("messageId", None), ("messageId", ""), ("messageId", 7),
                ("publishTime", None), ("publishTime", "someone@example.com"), ("publishTime", "2027-01-15"),
                ("publishTime", "2027-01-15T08:00:00"), ("publishTime", 1_800_000_000), ("orderingKey", 7),
            ]
        ),
        json.dumps({**pushed(), "deliveryAttempt": "someone@example.com"}).encode(),
        json.dumps({"subscription": "s", "message": {k: v for k, v in pushed()["message"].items() if k != "data"}}).encode(),
    ],
)  # fmt: skip
def test_anything_else_is_no_push_and_is_not_quoted(queue: GoogleQueue, body: bytes) -> None:
    with pytest.raises(BadPush) as refused:
        queue.receive(body)
    assert "someone" not in str(refused.value)
    assert refused.value.__cause__ is None


@given(st.binary(max_size=200) | st.from_regex(r'\{"message": ?\{.*\}\}').map(str.encode))
def test_whatever_comes_is_a_message_or_a_bad_push(body: bytes) -> None:
    queue = GoogleQueue(Channels(Configuration()), Configuration(), SystemClock())
    with suppress(BadPush):
        assert queue.receive(body).message_id


# --- settling -------------------------------------------------------------------------------------------------------


def test_what_was_acknowledged_is_settled_once(queue: GoogleQueue) -> None:
    leased = received(queue)
    assert queue.acknowledge(leased)
    assert queue.settled(leased)
    assert not queue.settled(leased)


def test_what_was_not_acknowledged_is_not_settled(queue: GoogleQueue) -> None:
    assert not queue.settled(received(queue))


def test_what_was_given_back_is_not_settled(queue: GoogleQueue) -> None:
    leased = received(queue)
    queue.give_back(leased, delay_s=1.0)
    assert not queue.settled(leased)


def test_an_acknowledgement_after_the_end_of_its_lease_does_nothing(queue: GoogleQueue, clock: TurnedClock) -> None:
    late = received(queue)
    clock.advance(LEASE_S)
    assert not queue.acknowledge(late)
    assert not queue.settled(late)


def test_a_redelivery_is_settled_apart_from_the_delivery_before(queue: GoogleQueue) -> None:
    frozen, redelivered = received(queue), received(queue)
    assert queue.acknowledge(redelivered)
    assert not queue.settled(frozen)
    assert queue.settled(redelivered)


def test_calls_that_never_ask_do_not_fill_the_memory(queue: GoogleQueue, clock: TurnedClock) -> None:
    for _ in range(5 * module._MOST_REMEMBERED):
        assert queue.acknowledge(received(queue))
        clock.advance(1.0)
    assert len(queue._acknowledged) <= module._MOST_REMEMBERED
    last = received(queue)
    assert queue.acknowledge(last)
    assert queue.settled(last)


def test_threads_settle_each_their_own(queue: GoogleQueue) -> None:
    wrong: list[Leased] = []

    def handle(odd: bool) -> None:
        for _ in range(300):
            leased = received(queue)
            if odd:
                queue.acknowledge(leased)
            else:
                queue.give_back(leased, delay_s=1.0)
            if queue.settled(leased) is not odd:
                wrong.append(leased)

    threads = [threading.Thread(target=handle, args=(number % 2 == 1,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# --- publishing -----------------------------------------------------------------------------------------------------


@pytest.fixture
def topic(emulators: Emulators) -> Iterator[Topic]:
    topic = Topic(read(place(emulators)))
    yield topic
    topic.close()


@pytest.fixture
def way(topic: Topic) -> Iterator[TroubledWay]:
    way = TroubledWay(topic.configuration.pubsub_emulator)
    yield way
    way.close()


@pytest.fixture
def publishing(topic: Topic, way: TroubledWay, clock: TurnedClock) -> GoogleQueue:
    configuration = replace(topic.configuration, pubsub_emulator=way.address)
    return GoogleQueue(Channels(configuration), configuration, clock)


def test_what_the_worker_publishes_is_there_in_the_order_of_its_key(publishing: GoogleQueue, topic: Topic) -> None:
    publishing.publish([message("a.1", request_id="1"), message("a.2", request_id="2"), message("a.1", request_id="3")])
    publishing.publish([message("a.1", request_id="4")])
    publishing.publish([])
    assert {key: [each.request_id for each in of_key] for key, of_key in topic.taken().items()} == {
        safe_name("pangolin/a.1"): ["1", "3", "4"],
        safe_name("pangolin/a.2"): ["2"],
    }


def test_the_worker_tries_again_while_trouble_may_pass(publishing: GoogleQueue, topic: Topic, way: TroubledWay) -> None:
    way.answers = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.ABORTED]
    publishing.publish([message()])
    assert len(way.calls) == 4
    assert len(topic.taken()[safe_name("pangolin/a.1")]) == 1


def test_the_worker_gives_up_after_a_few_seconds(publishing: GoogleQueue, way: TroubledWay, clock: TurnedClock) -> None:
    way.decide = lambda _request: grpc.StatusCode.UNAVAILABLE
    began = clock.monotonic()
    with pytest.raises(StoreUnavailable, match="could not be reached"):
        publishing.publish([message()])
    assert clock.monotonic() - began < 5.0
    assert 1 < len(way.calls) < 10


def test_the_worker_does_not_repeat_what_is_refused_for_good(publishing: GoogleQueue, way: TroubledWay) -> None:
    way.answers = [grpc.StatusCode.PERMISSION_DENIED]
    with pytest.raises(StoreUnavailable, match="lacks a role"):
        publishing.publish([message()])
    assert len(way.calls) == 1


def test_what_the_worker_publishes_is_confirmed_too(publishing: GoogleQueue, way: TroubledWay) -> None:
    way.answers = ["unconfirmed"]
    with pytest.raises(StoreUnavailable):
        publishing.publish([message()])
