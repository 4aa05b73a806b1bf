"""The proxies before the emulators refuse what Google refuses, with its codes, and let everything else through unchanged."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from google.api_core.exceptions import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ServiceUnavailable,
)
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter
from google.cloud.firestore_v1.services.firestore.client import FirestoreClient
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import PublishRequest

from tests.emulators import Emulators, place
from tests.emulators.counts import Bill
from tests.emulators.proxy import ProxyProcess, Spec

MIB = 1024 * 1024


@pytest.fixture
def publisher(emulators: Emulators) -> Iterator[PublisherClient]:
    channel = grpc.insecure_channel(emulators.pubsub, options=[("grpc.max_send_message_length", -1)])
    yield PublisherClient(transport=PublisherGrpcTransport(channel=channel))
    channel.close()


@pytest.fixture
def topic(emulators: Emulators) -> str:
    project = emulators.project()
    emulators.create_topic(project, "some-topic")
    return f"projects/{project}/topics/some-topic"


@pytest.fixture
def store(emulators: Emulators) -> Iterator[firestore.Client]:
    with firestore_through(emulators.firestore, emulators.project()) as client:
        yield client


def anonymous() -> Any:
    kind: Any = AnonymousCredentials
    return kind()


@contextmanager
def firestore_through(address: str, project: str) -> Iterator[firestore.Client]:
    """The official client through this address."""
    # With gRPC's own retries a streaming call whose connection breaks sometimes never ends, whatever its deadline (1.85).
    options = [("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0)]
    channel = grpc.insecure_channel(address, options=options)
    client = firestore.Client(project=project, credentials=anonymous())
    client._firestore_api_internal = FirestoreClient(transport=FirestoreGrpcTransport(channel=channel))
    yield client
    channel.close()


def messages(number: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"data": b"x", **fields} for _ in range(number)]


def count_of(query: Any) -> int:
    counted: int = query.count().get()[0][0].value
    return counted


# Pub/Sub
def test_a_publish_call_has_messages_of_one_ordering_key(publisher: PublisherClient, topic: str) -> None:
    mixed = messages(1, ordering_key="a") + messages(1, ordering_key="b")
    for wrong in (mixed, messages(1, ordering_key="a") + messages(1)):
        with pytest.raises(FailedPrecondition, match="same ordering key"):
            publisher.publish(request={"topic": topic, "messages": wrong})
    assert len(publisher.publish(request={"topic": topic, "messages": messages(2, ordering_key="a")}).message_ids) == 2


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (messages(1_000), messages(1_001)),
        (messages(1, data=b"x" * 9_990_000), messages(1, data=b"x" * 10_000_000)),
        (messages(1, ordering_key="k" * 1_024), messages(1, ordering_key="k" * 1_025)),
        (messages(1, data=b"", attributes={"a": "b"}), messages(1, data=b"")),
        (messages(1, attributes={f"a{n}": "" for n in range(100)}), messages(1, attributes={f"a{n}": "" for n in range(101)})),
        (messages(1, attributes={"k" * 256: ""}), messages(1, attributes={"k" * 257: ""})),
        (messages(1, attributes={"a": "v" * 1_024}), messages(1, attributes={"a": "v" * 1_025})),
        (messages(1, attributes={"a": "b"}), messages(1, attributes={"googclient": "b"})),
    ],
    ids=["messages", "bytes", "key", "empty", "attributes", "attribute key", "attribute value", "reserved attribute"],
)
def test_a_publish_call_keeps_to_the_limits(
    publisher: PublisherClient, topic: str, good: list[dict[str, Any]], bad: list[dict[str, Any]]
) -> None:
    publisher.publish(request={"topic": topic, "messages": good})
    with pytest.raises(InvalidArgument):
        publisher.publish(request={"topic": topic, "messages": bad})


def test_what_was_published_arrives_unchanged(emulators: Emulators, publisher: PublisherClient, topic: str) -> None:
    channel = grpc.insecure_channel(emulators.pubsub)
    subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
    subscription = topic.replace("topics", "subscriptions")
    subscriber.create_subscription(request={"name": subscription, "topic": topic, "enable_message_ordering": True})
    sent = {"data": bytes(range(256)), "attributes": {"a": "ä"}, "ordering_key": "some/key"}
    publisher.publish(request={"topic": topic, "messages": [sent]})
    (received,) = subscriber.pull(request={"subscription": subscription, "max_messages": 1}).received_messages
    message = received.message
    assert {"data": message.data, "attributes": dict(message.attributes), "ordering_key": message.ordering_key} == sent
    channel.close()


def test_publishing_is_billed_by_messages_and_bytes_of_calls_that_succeeded(
    emulators: Emulators, publisher: PublisherClient, topic: str
) -> None:
    proxy = emulators.proxies.pubsub
    proxy.reset_counts()
    publisher.publish(request={"topic": topic, "messages": messages(3)})
    (message_id,) = publisher.publish(request={"topic": topic, "messages": messages(1, data=b"x" * 5_000)}).message_ids
    with pytest.raises(InvalidArgument):
        publisher.publish(request={"topic": topic, "messages": messages(1_001)})
    counts = proxy.reset_counts()
    assert counts.calls == {"Publisher/Publish": 3}
    assert counts.billed == Bill(messages=4, message_bytes=1_000 + 5_000 + len(message_id) + 20)
    assert proxy.counts.calls == {}


# Firestore
def test_a_document_over_a_mebibyte_is_refused(store: firestore.Client) -> None:
    fields = {"some": "x" * (MIB // 2), "more": "x" * (MIB // 2)}
    with pytest.raises(InvalidArgument, match="exceeds the maximum"):
        store.collection("things").document("a").set(fields)
    with pytest.raises(InvalidArgument, match="exceeds the maximum"):
        store.collection("things").document("a").create(fields)


@pytest.mark.parametrize("name", ["__x__", "____", "x" * 1_501, "ä" * 751])
def test_a_documents_id_is_not_reserved_and_not_too_long(store: firestore.Client, name: str) -> None:
    with pytest.raises(InvalidArgument):
        store.collection("things").document(name).set({})
    with pytest.raises(InvalidArgument):
        store.collection("things").document(name).get()
    with pytest.raises(InvalidArgument):
        store.collection("things").document(name).delete()


@pytest.mark.parametrize("name", [".", ".."])
def test_a_documents_id_is_no_step_in_a_path(emulators: Emulators, store: firestore.Client, name: str) -> None:
    with pytest.raises(InvalidArgument):
        store.collection("things").document(name).set({})


@pytest.mark.parametrize("name", ["_", "__x", "x" * 1_500, "a.b", "%2F", "..."])
def test_other_ids_are_good(store: firestore.Client, name: str) -> None:
    store.collection("things").document(name).set({"a": 1})
    assert store.collection("things").document(name).get().to_dict() == {"a": 1}


def test_a_reserved_name_of_a_field_is_refused(store: firestore.Client) -> None:
    with pytest.raises(InvalidArgument):
        store.collection("things").document("a").set({"__a__": 1})


def test_a_commit_has_at_most_ten_mebibytes(store: firestore.Client) -> None:
    batch = store.batch()
    for number in range(11):
        batch.set(store.collection("things").document(str(number)), {"text": "x" * (MIB - 10_000)})
    with pytest.raises(InvalidArgument, match="payload size"):
        batch.commit()


def test_a_query_without_an_index_is_refused_and_names_its_fields_alone(emulators: Emulators, tmp_path: Path) -> None:
    path = tmp_path / "indexes.json"
    process = ProxyProcess(Spec("some", emulators.addresses.firestore, "firestore", str(path)))
    try:
        with firestore_through(process.proxies["some"].address, emulators.project()) as store:
            things = store.collection("things")
            things.document("a").set({"x": "a-value", "y": 1, "z": 2})
            query = things.where(filter=FieldFilter("x", "==", "a-value")).order_by("y")
            with pytest.raises(FailedPrecondition, match="requires an index") as caught:
                query.get()
            assert "a-value" not in str(caught.value)
            with pytest.raises(FailedPrecondition):
                count_of(query)
            assert len(things.where(filter=FieldFilter("x", "==", "a-value")).get()) == 1
            fields = [{"fieldPath": "x", "order": "ASCENDING"}, {"fieldPath": "y", "order": "ASCENDING"}]
            override = {"collectionGroup": "things", "fieldPath": "z", "indexes": []}
            path.write_bytes(
                msgspec.json.encode(
                    {
                        "indexes": [{"collectionGroup": "things", "queryScope": "COLLECTION", "fields": fields}],
                        "fieldOverrides": [override],
                    }
                )
            )
            assert len(query.get()) == 1
            assert count_of(query) == 1
            with pytest.raises(FailedPrecondition):
                things.order_by("z").get()
    finally:
        process.close()


def test_reads_and_writes_are_billed_as_google_bills_them(emulators: Emulators, store: firestore.Client) -> None:
    proxy = emulators.proxies.firestore

    def billed() -> Bill:
        return proxy.reset_counts().billed

    things = store.collection("things")
    billed()
    batch = store.batch()
    for number in range(3):
        batch.set(things.document(str(number)), {"n": number, "at": firestore.SERVER_TIMESTAMP})
    batch.delete(things.document("none"))
    batch.commit()
    assert billed() == Bill(writes=3, deletes=1)
    with pytest.raises(AlreadyExists):
        things.document("0").create({})
    assert billed() == Bill()
    list(store.get_all([things.document("0"), things.document("none")]))
    assert billed() == Bill(reads=2)
    things.where(filter=FieldFilter("n", ">", 0)).get()
    assert billed() == Bill(reads=2)
    things.where(filter=FieldFilter("n", ">", 9)).get()
    assert billed() == Bill(reads=1)
    assert count_of(things) == 3
    assert billed() == Bill(aggregation_reads=1)


def test_metadata_of_a_call_passes_through(emulators: Emulators, store: firestore.Client) -> None:
    # The emulator lists documents for its owner alone.
    for name in ("a", "b"):
        store.collection("things").document(name).set({})
    emulators.proxies.firestore.reset_counts()
    listed = store._firestore_api.list_documents(
        request={"parent": f"{store._database_string}/documents", "collection_id": "things", "show_missing": True},
        metadata=[("authorization", "Bearer owner")],
    )
    assert len(list(listed)) == 2
    assert emulators.proxies.firestore.reset_counts().billed == Bill(reads=2)


def test_transactions_preconditions_and_their_failures_pass_through(store: firestore.Client) -> None:
    thing = store.collection("things").document("a")
    with pytest.raises(NotFound):
        thing.update({"n": 1})
    thing.set({"n": 0})

    @firestore.transactional
    def add(transaction: firestore.Transaction) -> None:
        transaction.update(thing, {"n": thing.get(transaction=transaction).get("n") + 1})

    for _ in range(3):
        add(store.transaction())
    snapshot = thing.get()
    assert snapshot.get("n") == 3
    thing.update({"n": 4})
    with pytest.raises(FailedPrecondition):
        thing.update({"n": 5}, option=store.write_option(last_update_time=snapshot.update_time))


def test_a_listener_hears_of_changes(store: firestore.Client) -> None:
    heard = threading.Event()
    watch: Any = store.collection("things").document("a").on_snapshot(
        lambda snapshots, *_: heard.set() if snapshots and snapshots[0].exists else None
    )
    store.collection("things").document("a").set({"n": 1})
    assert heard.wait(30)
    watch.unsubscribe()


# the proxy itself
def get(store: firestore.Client, timeout_s: float = 10.0) -> dict[str, Any] | None:
    result: dict[str, Any] | None = store.collection("things").document("a").get(timeout=timeout_s, retry=None).to_dict()
    return result


def test_what_is_down_refuses_connections_and_is_there_again_afterwards(emulators: Emulators, store: firestore.Client) -> None:
    store.collection("things").document("a").set({"n": 1})
    address = emulators.firestore
    with emulators.proxies.firestore.unreachable(), pytest.raises(ServiceUnavailable):
        get(store)
    assert emulators.firestore == address
    for _ in range(600):
        try:
            assert get(store) == {"n": 1}
            break
        except ServiceUnavailable:  # the client's channel is still in its back-off
            time.sleep(0.05)
    else:
        raise AssertionError("never came back")


def test_going_down_breaks_calls_under_way(emulators: Emulators, store: firestore.Client) -> None:
    proxy = emulators.proxies.firestore
    proxy.reset_counts()
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            get(store, timeout_s=60)
        except Exception as error:
            failed.append(error)

    asking = threading.Thread(target=ask)
    with proxy.delayed(60):
        asking.start()
        while not proxy.counts.calls:
            time.sleep(0.01)
        with proxy.unreachable():
            asking.join(timeout=30)
    assert [type(error) for error in failed] == [ServiceUnavailable]


def test_a_delay_makes_calls_late(emulators: Emulators, store: firestore.Client) -> None:
    with emulators.proxies.firestore.delayed(30), pytest.raises(DeadlineExceeded):
        get(store, timeout_s=0.5)
    assert get(store) is None


def test_an_event_loop_of_the_tests_own_can_call_through_it(emulators: Emulators, topic: str) -> None:
    request = PublishRequest.serialize(PublishRequest(topic=topic, messages=messages(1)))

    async def publish() -> list[Any]:
        channel = grpc.aio.insecure_channel(emulators.pubsub)
        call: Any = channel.unary_unary("/google.pubsub.v1.Publisher/Publish")
        try:
            return await asyncio.gather(*[call(request) for _ in range(50)])
        finally:
            await channel.close()

    for _ in range(2):
        assert len(asyncio.run(publish())) == 50


def test_a_place_is_empty_has_a_topic_and_shares_nothing_with_another(emulators: Emulators, publisher: PublisherClient) -> None:
    first, second = place(emulators), place(emulators)
    assert first["GOOGLE_CLOUD_PROJECT"] != second["GOOGLE_CLOUD_PROJECT"]
    for one in (first, second):
        publisher.publish(
            request={"topic": f"projects/{one['GOOGLE_CLOUD_PROJECT']}/topics/diy-relay", "messages": messages(1)}
        )
    assert {name: one for name, one in first.items() if name.endswith("_HOST")} == {
        "PUBSUB_EMULATOR_HOST": emulators.pubsub,
        "FIRESTORE_EMULATOR_HOST": emulators.firestore,
        "SECRET_MANAGER_EMULATOR_HOST": emulators.secret_manager,
        "STORAGE_EMULATOR_HOST": emulators.storage.address,
    }


