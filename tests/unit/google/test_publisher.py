"""What the receiver's publisher sends to Pub/Sub, and what it does when that has trouble."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
import uvloop
from google.pubsub_v1.types import PublishRequest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from handlers.mapp.arrival import Deadlines
from relay.backends.google.channels import Channels
from relay.backends.google.lines import MOST_TOGETHER
from relay.backends.google.names import safe_name
from relay.backends.google.publisher import DEADLINE_S, GooglePublisher
from relay.backends.google.pubsub_wire import MOST_BYTES, MOST_MESSAGES, PASSING, Destination, PublishCall, calls_of
from relay.backends.google.queue import GoogleQueue
from relay.backends.interfaces import Publisher, Queue
from relay.configuration import Configuration, read
from relay.domain.clock import SystemClock
from relay.domain.errors import StoreUnavailable
from relay.domain.message import MAX_BYTES, Message, decode
from tests.contract.backends.given import message
from tests.emulators import Emulators, place
from tests.unit.google.pubsub import Answer, Topic, TroubledWay

ROOT = Path(__file__).parents[3]

KEY = safe_name("pangolin/a.1")


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
def configuration(topic: Topic, way: TroubledWay) -> Configuration:
    return replace(topic.configuration, pubsub_emulator=way.address)


@pytest.fixture
def publisher(configuration: Configuration) -> GooglePublisher:
    """With more time than the DMP would give it: on a busy machine, too, only what is meant to fail does."""
    return GooglePublisher(Channels(configuration), configuration, SystemClock(), deadline_s=30.0)


@pytest.fixture
def hasty(configuration: Configuration) -> GooglePublisher:
    """For those that wait in vain."""
    return GooglePublisher(Channels(configuration), configuration, SystemClock(), deadline_s=1.5)


def run(publisher: GooglePublisher, *publishes: list[Message]) -> list[BaseException | None]:
    """Publishes these one after the other; what each raised."""

    async def all_of_them() -> list[BaseException | None]:
        outcomes: list[BaseException | None] = []
        for messages in publishes:
            [outcome] = await asyncio.gather(publisher.publish(messages), return_exceptions=True)
            outcomes.append(outcome)
        await publisher.close()
        return outcomes

    return asyncio.run(all_of_them())


def calls_by_key(destination: Destination, messages: list[Message]) -> list[list[PublishCall]]:
    return [list(calls_of(destination.topic, key, bodies)) for key, bodies in destination.bodies(messages).items()]


def request_ids(messages: list[Message]) -> list[str]:
    return [each.request_id for each in messages]


# --- what is sent ---------------------------------------------------------------------------------------------------


def test_a_call_carries_one_key_with_all_its_messages_in_order(
    publisher: GooglePublisher, topic: Topic, way: TroubledWay
) -> None:
    messages = [message("a.1", request_id="1"), message("a.2", request_id="2"), message("a.1", request_id="3")]
    assert run(publisher, messages) == [None]
    sent = [[(each.ordering_key, decode(each.data).request_id) for each in call.messages] for call in way.calls]
    assert sorted(sent) == [[(KEY, "1"), (KEY, "3")], [(safe_name("pangolin/a.2"), "2")]]
    assert {key: request_ids(of_key) for key, of_key in topic.taken().items()} == {
        KEY: ["1", "3"],
        safe_name("pangolin/a.2"): ["2"],
    }


def test_what_is_to_be_kept_says_for_how_many_days_in_an_attribute_and_nothing_else_has_one(
    publisher: GooglePublisher, way: TroubledWay
) -> None:
    marked = replace(message("a.1", request_id="1"), journal_days=7)
    assert run(publisher, [marked, message("a.1", request_id="2"), replace(marked, journal_days=30)]) == [None]
    [call] = way.calls
    assert [dict(each.attributes) for each in call.messages] == [{"journal": "7"}, {}, {"journal": "30"}]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["a.1", "b/ü", "x" * 900]), st.text(max_size=50)), max_size=20))
def test_googles_own_message_types_read_what_is_sent(given_messages: list[tuple[str, str]]) -> None:
    messages = [message(audience, name.encode("utf-8", "replace").decode()) for audience, name in given_messages]
    destination = Destination(Configuration(google_cloud_project="p", topic="t"))
    calls = [PublishRequest.deserialize(call.request) for of_key in calls_by_key(destination, messages) for call in of_key]
    assert {call.topic for call in calls} <= {"projects/p/topics/t"}
    read = [(each.ordering_key, decode(each.data)) for call in calls for each in call.messages]
    assert sorted(read, key=str) == sorted(((safe_name(each.key), each) for each in messages), key=str)


def test_a_call_stays_within_what_pubsub_takes() -> None:
    many = [message("a.1", request_id=str(number)) for number in range(MOST_MESSAGES + 1)]
    large = [message("a.2", "x" * (MAX_BYTES - 1_000), request_id=str(number)) for number in range(40)]
    destination = Destination(Configuration(google_cloud_project="p"))
    of_many, of_large = calls_by_key(destination, [*many, *large])
    assert [call.messages for call in of_many] == [MOST_MESSAGES, 1]
    assert sum(call.messages for call in of_large) == 40
    assert max(len(call.request) for call in of_large) < MOST_BYTES + 1_000 < 10_000_000
    for calls, messages in ((of_many, many), (of_large, large)):
        sent = [decode(each.data) for call in calls for each in PublishRequest.deserialize(call.request).messages]
        assert request_ids(sent) == request_ids(messages)


def test_the_parts_of_a_key_are_sent_strictly_one_after_the_other(
    publisher: GooglePublisher, topic: Topic, way: TroubledWay
) -> None:
    messages = [message("a.1", request_id=str(number)) for number in range(2 * MOST_MESSAGES + 1)]
    assert run(publisher, messages) == [None]
    assert way.most_at_once == 1
    assert request_ids(topic.taken()[KEY]) == request_ids(messages)


def test_different_keys_are_sent_at_once(publisher: GooglePublisher, way: TroubledWay) -> None:
    both_are_there = threading.Barrier(2, timeout=10)

    def answer(_request: PublishRequest) -> None:
        both_are_there.wait()

    way.decide = answer
    assert run(publisher, [message("a.1"), message("a.2")]) == [None]
    assert way.most_at_once == 2


def test_what_cannot_be_encoded_is_found_before_anything_is_sent(publisher: GooglePublisher, way: TroubledWay) -> None:
    [error] = run(publisher, [message("a.1"), message("half a character: \ud800")])
    assert isinstance(error, UnicodeEncodeError)
    assert way.calls == []


# --- trouble --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(PASSING, key=str), ids=str)
def test_trouble_that_passes_is_overcome_by_a_second_try(
    publisher: GooglePublisher, topic: Topic, way: TroubledWay, code: grpc.StatusCode
) -> None:
    way.answers = [code]
    assert run(publisher, [message()]) == [None]
    assert len(way.calls) == 2
    assert len(topic.taken()[KEY]) == 1


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "NOT_FOUND", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "UNAUTHENTICATED"])
def test_what_a_second_try_cannot_mend_is_tried_once(publisher: GooglePublisher, way: TroubledWay, code: str) -> None:
    way.answers = [grpc.StatusCode[code]]
    [error] = run(publisher, [message()])
    assert isinstance(error, StoreUnavailable)
    assert len(way.calls) == 1


def test_a_first_try_that_is_never_answered_leaves_time_for_a_second_one(
    hasty: GooglePublisher, topic: Topic, way: TroubledWay
) -> None:
    way.answers = ["hang"]
    assert run(hasty, [message()]) == [None]
    assert way.given_up.wait(10)
    assert len(topic.taken()[KEY]) == 1


def test_two_failed_tries_are_a_failure_with_a_sentence_that_names_nobody(publisher: GooglePublisher, way: TroubledWay) -> None:
    way.answers = [grpc.StatusCode.UNAVAILABLE] * 2
    [error] = run(publisher, [message("secret-audience")])
    assert isinstance(error, StoreUnavailable)
    assert str(error) == "Pub/Sub could not be reached."
    assert len(way.calls) == 2


def test_nothing_is_a_success_that_was_not_confirmed(publisher: GooglePublisher, way: TroubledWay) -> None:
    way.answers = ["unconfirmed"]
    [error] = run(publisher, [message()])
    assert isinstance(error, StoreUnavailable)


def test_a_key_whose_first_part_failed_sends_no_further_part(publisher: GooglePublisher, way: TroubledWay) -> None:
    way.answers = [grpc.StatusCode.PERMISSION_DENIED]
    [error] = run(publisher, [message("a.1", request_id=str(number)) for number in range(MOST_MESSAGES + 1)])
    assert isinstance(error, StoreUnavailable)
    assert len(way.calls) == 1


def test_a_failed_publish_blocks_no_later_ones_of_its_key(publisher: GooglePublisher, topic: Topic, way: TroubledWay) -> None:
    way.answers = [grpc.StatusCode.PERMISSION_DENIED]
    failed, *passed = run(publisher, [message(request_id="1")], [message(request_id="2")], [message(request_id="3")])
    assert isinstance(failed, StoreUnavailable)
    assert passed == [None, None]
    assert request_ids(topic.taken()[KEY]) == ["2", "3"]


def test_after_the_deadline_nothing_is_left_that_could_be_sent_later(
    hasty: GooglePublisher, topic: Topic, way: TroubledWay
) -> None:
    hanging = f"{KEY}-hangs"
    way.decide = lambda request: "hang" if request.messages[0].ordering_key == hanging else None
    [error] = run(hasty, [message("a.1-hangs"), *(message(f"b.{number}") for number in range(3))])
    assert isinstance(error, StoreUnavailable)
    assert way.given_up.wait(10)
    assert hanging not in topic.taken()
    assert way.at_once == 0


def test_when_one_key_is_refused_the_others_are_given_up_before_the_caller_hears_of_it(
    publisher: GooglePublisher, topic: Topic, way: TroubledWay
) -> None:
    hangs = threading.Event()

    def answer(request: PublishRequest) -> Answer:
        if request.messages[0].ordering_key == KEY:
            hangs.set()
            return "hang"
        assert hangs.wait(20)
        return grpc.StatusCode.PERMISSION_DENIED

    async def publish() -> None:
        with pytest.raises(StoreUnavailable):
            await publisher.publish([message("a.1"), message("a.2")])
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await publisher.close()

    way.decide = answer
    asyncio.run(publish())
    assert way.given_up.wait(10)
    assert len(way.calls) == 2
    assert topic.taken() == {}


def test_a_caller_that_gives_up_takes_its_calls_along(publisher: GooglePublisher, topic: Topic, way: TroubledWay) -> None:
    way.decide = lambda _request: "hang"

    async def give_up() -> None:
        publishing = asyncio.ensure_future(publisher.publish([message("a.1"), message("a.2")]))
        while len(way.calls) < 2:
            await asyncio.sleep(0.005)
        publishing.cancel()
        await asyncio.wait({publishing})
        assert publishing.cancelled()
        await publisher.close()

    asyncio.run(give_up())
    assert way.given_up.wait(10)
    assert len(way.calls) == 2
    assert topic.taken() == {}


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_after_pubsub_was_down_it_works_again_without_a_restart(
    hasty: GooglePublisher,
    topic: Topic,
    way: TroubledWay,
    runner: Callable[..., None],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.backends.google.publisher._CALM_S", 0.0)

    async def through_a_failure() -> None:
        await hasty.publish([message(request_id="before")])
        way.stop()
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="could not be reached"):
                await hasty.publish([message(request_id="meanwhile")])
        way.start()
        while True:
            try:
                await hasty.publish([message(request_id="after")])
            except StoreUnavailable:
                continue
            break
        await hasty.close()

    runner(through_a_failure())
    assert request_ids(topic.taken()[KEY]) == ["before", "after"]
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines] == ["queue_unreachable", "queue_reachable_again"]
    assert lines[0]["hint"] == "Pub/Sub could not be reached."


def test_each_key_is_tried_twice_while_nobody_answers(hasty: GooglePublisher, way: TroubledWay) -> None:
    way.decide = lambda _request: "hang"
    [error] = run(hasty, [message("a.1"), message("a.2"), message("a.3")])
    assert isinstance(error, StoreUnavailable)
    assert len(way.calls) == 6


def test_the_dmp_gets_its_answer_within_a_second() -> None:
    assert DEADLINE_S < Deadlines().publish_s < 1.0


# --- event loops and ends -------------------------------------------------------------------------------------------


def test_closing_finishes_what_is_under_way_and_takes_nothing_more(
    publisher: GooglePublisher, topic: Topic, way: TroubledWay
) -> None:
    async def close_meanwhile() -> None:
        under_way = [asyncio.ensure_future(publisher.publish([message(f"a.{number}")])) for number in range(5)]
        await asyncio.sleep(0)
        await publisher.close()
        assert all(each.done() and each.exception() is None for each in under_way)
        with pytest.raises(StoreUnavailable, match="shutting down"):
            await publisher.publish([message("a.9")])
        await publisher.close()

    asyncio.run(close_meanwhile())
    assert len(topic.taken()) == 5


def test_loops_that_ended_are_not_remembered(publisher: GooglePublisher, topic: Topic) -> None:
    for number in range(5):
        asyncio.run(publisher.publish([message(request_id=str(number))]))
    assert len(publisher._connections) == 1
    asyncio.run(publisher.close())
    assert request_ids(topic.taken()[KEY]) == ["0", "1", "2", "3", "4"]


def test_what_is_published_here_and_by_the_worker_is_the_same(publisher: GooglePublisher, topic: Topic) -> None:
    queue: Queue = GoogleQueue(Channels(topic.configuration), topic.configuration, SystemClock())
    receiving: Publisher = publisher
    asyncio.run(receiving.publish([message(request_id="1")]))
    queue.publish([message(request_id="2"), message("a.2", request_id="3")])
    assert {key: request_ids(of_key) for key, of_key in topic.taken().items()} == {
        KEY: ["1", "2"],
        safe_name("pangolin/a.2"): ["3"],
    }


def test_the_receivers_process_loads_none_of_googles_clients() -> None:
    program = (
        "import asyncio, sys\n"
        "from relay.backends import open_backend\n"
        "from relay.configuration import read\n"
        "from relay.domain.errors import StoreUnavailable\n"
        "from relay.domain.message import Message\n"
        "import handlers.remote_creator, handlers.mapp.receiver\n"
        "backend = open_backend(read())\n"
        "publisher = backend.publisher()\n"
        "async def publish():\n"
        "    try:\n"
        "        await publisher.publish([Message(1, 'change', 'c', 'a', 'r', 0.0)])\n"
        "    except StoreUnavailable as trouble:\n"
        "        print(trouble)\n"
        "    await publisher.close()\n"
        "try:\n"
        "    backend.inbound.read()\n"
        "except StoreUnavailable as trouble:\n"
        "    print(trouble)\n"
        "asyncio.run(publish())\n"
        "never = ('google.cloud.', 'google.pubsub_v1', 'google.api_core', 'adapters', 'worker', 'flask')\n"
        "print(sorted(name for name in sys.modules if name.startswith(never)))\n"
    )
    environment = {
        "BACKEND": "google", "GOOGLE_CLOUD_PROJECT": "p", "PUBSUB_EMULATOR_HOST": "127.0.0.1:1", "INBOUND_FILE": "/none",
        "PYTHONPATH": str(ROOT), "PATH": "",
    }  # fmt: skip
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [
        "The inbound document cannot be read from /none (INBOUND_FILE).",
        "Pub/Sub could not be reached.",
        "[]",
    ]


# --- concurrent requests --------------------------------------------------------------------------------------------


class Crowd:
    """Requests that publish at the same time. The first call to Pub/Sub waits until all of them have been handed over."""

    def __init__(self, publisher: GooglePublisher, way: TroubledWay) -> None:
        self.publisher = publisher
        self.way = way
        self._handed_over = threading.Event()
        self._decide = way.decide
        way.decide = self._first_waits

    def _first_waits(self, request: PublishRequest) -> Answer:
        assert self._handed_over.wait(20)
        return self._decide(request)

    async def publish(self, *requests: list[Message]) -> list[asyncio.Future[None]]:
        """Those under way, when the first call is. What came after it waits for it."""
        first = asyncio.ensure_future(self.publisher.publish(requests[0]))
        while not self.way.calls:
            await asyncio.sleep(0.005)
        others = [asyncio.ensure_future(self.publisher.publish(messages)) for messages in requests[1:]]
        await asyncio.sleep(0.01)
        self._handed_over.set()
        return [first, *others]

    def outcomes(self, *requests: list[Message]) -> list[BaseException | None]:
        async def all_of_them() -> list[BaseException | None]:
            found = await asyncio.gather(*await self.publish(*requests), return_exceptions=True)
            assert not self.publisher._connections[asyncio.get_running_loop()]._lines, "nothing is kept of a key that is done"
            await self.publisher.close()
            return found

        return asyncio.run(all_of_them())

    def sent(self) -> list[list[str]]:
        """Of each call the requests that it carried."""
        return [[decode(each.data).request_id for each in call.messages] for call in self.way.calls]


_received = itertools.count(1)


def of(*request_ids: str) -> list[list[Message]]:
    """Requests that came in one after the other."""
    return [[message("a.1", request_id=each, received_at=float(next(_received)))] for each in request_ids]


def test_what_comes_while_a_call_of_its_key_is_under_way_travels_together_in_the_next(
    publisher: GooglePublisher, topic: Topic, way: TroubledWay
) -> None:
    crowd = Crowd(publisher, way)
    assert crowd.outcomes(*of("1", "2", "3", "4")) == [None] * 4
    assert crowd.sent() == [["1"], ["2", "3", "4"]]
    assert request_ids(topic.taken()[KEY]) == ["1", "2", "3", "4"]
    assert way.most_at_once == 1


def test_one_that_is_refused_together_with_others_costs_them_nothing(
    publisher: GooglePublisher, topic: Topic, way: TroubledWay
) -> None:
    def answer(request: PublishRequest) -> Answer:
        refused = any(decode(each.data).request_id == "bad" for each in request.messages)
        return grpc.StatusCode.INVALID_ARGUMENT if refused else None

    way.decide = answer
    crowd = Crowd(publisher, way)
    first, second, bad, last = crowd.outcomes(*of("1", "2", "bad", "4"))
    assert (first, second, last) == (None, None, None)
    assert isinstance(bad, StoreUnavailable)
    assert crowd.sent() == [["1"], ["2", "bad", "4"], ["2"], ["bad"], ["4"]]
    assert request_ids(topic.taken()[KEY]) == ["1", "2", "4"]


def test_one_that_is_given_up_while_it_waits_is_not_sent(publisher: GooglePublisher, topic: Topic, way: TroubledWay) -> None:
    goes_on = threading.Event()

    def answer(_request: PublishRequest) -> None:
        assert goes_on.wait(20)

    way.decide = answer
    crowd = Crowd(publisher, way)

    async def give_one_up() -> None:
        first, given_up, last = await crowd.publish(*of("1", "given up", "3"))
        given_up.cancel()
        await asyncio.wait({given_up})
        goes_on.set()
        await asyncio.gather(first, last)
        await publisher.close()

    asyncio.run(give_one_up())
    assert request_ids(topic.taken()[KEY]) == ["1", "3"]


def test_a_call_goes_on_for_those_that_still_wait_for_it(publisher: GooglePublisher, topic: Topic, way: TroubledWay) -> None:
    goes_on = threading.Event()

    def answer(request: PublishRequest) -> None:
        assert len(request.messages) == 1 or goes_on.wait(20)

    way.decide = answer
    crowd = Crowd(publisher, way)

    async def give_one_up() -> None:
        first, given_up, other = await crowd.publish(*of("1", "2", "3"))
        await first
        while len(way.calls) < 2:
            await asyncio.sleep(0.005)
        given_up.cancel()
        await asyncio.wait({given_up})
        goes_on.set()
        await other
        await publisher.close()

    asyncio.run(give_one_up())
    assert crowd.sent() == [["1"], ["2", "3"]]
    assert request_ids(topic.taken()[KEY]) == ["1", "2", "3"]


def test_when_a_call_is_given_up_those_behind_it_are_sent(publisher: GooglePublisher, topic: Topic, way: TroubledWay) -> None:
    way.decide = lambda request: "hang" if decode(request.messages[0].data).request_id == "hangs" else None
    crowd = Crowd(publisher, way)

    async def give_the_first_up() -> None:
        hanging, *others = await crowd.publish(*of("hangs", "2", "3"))
        hanging.cancel()
        await asyncio.gather(*others)
        await publisher.close()

    asyncio.run(give_the_first_up())
    assert request_ids(topic.taken()[KEY]) == ["2", "3"]


def test_no_more_travel_together_than_a_record_remembers_of_one_position(
    publisher: GooglePublisher, topic: Topic, way: TroubledWay
) -> None:
    crowd = Crowd(publisher, way)
    first, second, third, fourth, larger, last = of("1", "2", "3", "4", "5", "6")
    many = [second * (MOST_TOGETHER - 1), third * (MOST_TOGETHER - 1)]
    assert crowd.outcomes(first, *many, fourth, larger * (MOST_MESSAGES + 1), last) == [None] * 6
    assert [len(each) for each in crowd.sent()] == [1, MOST_TOGETHER - 1, MOST_TOGETHER, MOST_MESSAGES, 1, 1]
    assert list(dict.fromkeys(request_ids(topic.taken()[KEY]))) == ["1", "2", "3", "4", "5", "6"]


def test_requests_that_wait_behind_one_that_is_never_answered_are_answered_in_time(
    hasty: GooglePublisher, topic: Topic, way: TroubledWay
) -> None:
    way.decide = lambda _request: "hang"
    crowd = Crowd(hasty, way)
    began = time.monotonic()
    assert {type(each) for each in crowd.outcomes(*of("1", "2", "3"))} == {StoreUnavailable}
    assert time.monotonic() - began < 2 * 1.5
    assert topic.taken() == {}
