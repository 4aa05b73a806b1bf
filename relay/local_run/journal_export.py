"""The journal of a local run: `python -m relay.local_run.journal_export --port N`. Subscriptions as deploy/deploy.sh makes them,
and what writes their messages to the bucket, which Pub/Sub does on Google, and its emulator does not.

What is written, and how it is named, follows https://cloud.google.com/pubsub/docs/create-cloudstorage-subscription. Documented
nowhere is under which name the ordering key is among a record's attributes; here it is one that nobody relies on.
"""

from __future__ import annotations

import io
import sys
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import fastavro
from google.api_core.exceptions import AlreadyExists, GoogleAPICallError
from google.pubsub_v1.services.subscriber import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import PullRequest, PullResponse

import relay.configuration
from relay.backends.google.channels import Channels
from relay.backends.google.failures import readable
from relay.backends.google.journal_objects import KEPT_DAYS
from relay.backends.google.pubsub_wire import JOURNAL, SERVICE
from relay.configuration import Configuration
from relay.domain.errors import ConfigurationError, StoreUnavailable
from relay.local_run.cloud_storage import StorageServer
from relay.local_run.kept_objects import KeptObjects
from relay.local_run.stand_in import given_port, told_to_end

SIGN = "the Cloud Storage stand-in listens on"
"""What the program prints when it can be used."""

ORDERING_KEY = "ordering_key_of_the_stand_in"
MOST_MESSAGES = 1_000
"""In one object."""

_ACK_DEADLINE_S = 60
_PULLED_AT_ONCE = 100
_TIMEOUT_S = 20.0
_PULL_S = 2.0

_SCHEMA = fastavro.parse_schema(
    {
        "type": "record",
        "namespace": "com.google.pubsub",
        "name": "PubsubMessageWithMetadata",
        "fields": [
            {"name": "subscription_name", "type": "string"},
            {"name": "message_id", "type": "string"},
            {"name": "publish_time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            {"name": "attributes", "type": {"type": "map", "values": "string"}},
            {"name": "data", "type": "bytes"},
        ],
    }
)


def subscription_name(configuration: Configuration, days: int) -> str:
    """Of the subscription for messages that are kept for so many days."""
    return f"projects/{configuration.google_cloud_project}/subscriptions/{configuration.topic}-journal-{days}"


def subscribe(configuration: Configuration) -> None:
    """Makes the journal's subscriptions; the topic is there. Raises `StoreUnavailable`."""
    channels = Channels(configuration)
    try:
        subscriber = _subscriber(channels)
        for days in KEPT_DAYS:
            with suppress(AlreadyExists):
                subscriber.create_subscription(
                    request={
                        "name": subscription_name(configuration, days),
                        "topic": f"projects/{configuration.google_cloud_project}/topics/{configuration.topic}",
                        "ack_deadline_seconds": _ACK_DEADLINE_S,
                        "enable_message_ordering": True,
                        "filter": f'attributes.{JOURNAL} = "{days}"',
                    },
                    timeout=_TIMEOUT_S,
                )
    except GoogleAPICallError as error:
        raise StoreUnavailable(f"The Pub/Sub emulator refused a subscription of the journal: {error.message}") from error
    finally:
        channels.close()


def unsubscribe(configuration: Configuration) -> None:
    """Deletes the journal's subscriptions, with what they have not handed out."""
    channels = Channels(configuration)
    try:
        for days in KEPT_DAYS:
            with suppress(GoogleAPICallError):
                request = {"subscription": subscription_name(configuration, days)}
                _subscriber(channels).delete_subscription(request=request, timeout=_TIMEOUT_S)
    finally:
        channels.close()


class Export:
    """Writes what the subscriptions hand out to the bucket."""

    def __init__(self, configuration: Configuration, kept: KeptObjects) -> None:
        self._configuration = configuration
        self._kept = kept
        self._channels = Channels(configuration)
        self._subscriber = _subscriber(self._channels)

    def close(self) -> None:
        """Ends the connection."""
        self._channels.close()

    def write(self, days: int) -> int:
        """Writes what waits in one subscription as an object. Returns how many messages it holds; 0: there is none. Raises
        `StoreUnavailable`."""
        subscription = subscription_name(self._configuration, days)
        pulled: list[Any] = []
        while len(pulled) < MOST_MESSAGES:
            answer = self._pull(PullRequest(subscription=subscription, max_messages=_PULLED_AT_ONCE, return_immediately=True))
            if not answer.received_messages:
                break
            pulled += answer.received_messages
        # The emulator takes a filter, and hands out everything.
        wanted = [one for one in pulled if one.message.attributes.get(JOURNAL) == str(days)]
        if wanted:
            name = f"{days}/{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}_{uuid.uuid4().hex}.avro"
            self._kept.put(name, written(subscription, wanted))
        # Only now: what is not in the bucket comes again.
        if pulled:
            request = {"subscription": subscription, "ack_ids": [one.ack_id for one in pulled]}
            with readable(SERVICE):
                self._subscriber.acknowledge(request=request, retry=None, timeout=_TIMEOUT_S)
        return len(wanted)

    def _pull(self, request: Any) -> Any:
        # Not by the client's method, which warns of every answer that is not waited for.
        pull: Any = self._channels.pubsub().unary_unary(
            "/google.pubsub.v1.Subscriber/Pull",
            request_serializer=PullRequest.serialize,
            response_deserializer=PullResponse.deserialize,
        )
        with readable(SERVICE):
            return pull(request, timeout=_PULL_S)


def written(subscription: str, received: Sequence[Any]) -> bytes:
    """The object that holds these messages (`ReceivedMessage`)."""
    content = io.BytesIO()
    fastavro.writer(content, _SCHEMA, [_record(subscription, one.message) for one in received])
    return content.getvalue()


def _record(subscription: str, message: Any) -> dict[str, Any]:
    key = {ORDERING_KEY: message.ordering_key} if message.ordering_key else {}
    return {
        "subscription_name": subscription,
        "message_id": message.message_id,
        "publish_time": message.publish_time,
        "attributes": {**dict(message.attributes), **key},
        "data": message.data,
    }


def _subscriber(channels: Channels) -> SubscriberClient:
    return SubscriberClient(transport=SubscriberGrpcTransport(channel=channels.pubsub()))


def main() -> int:
    """Serves the bucket and fills it until Ctrl-C or a TERM. The exit code: 1 if it could not start."""
    port = given_port("relay.local_run.journal_export", __doc__)
    over = told_to_end()
    configuration = relay.configuration.read()
    try:
        server = StorageServer(port)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    export = Export(configuration, server.make(configuration.journal_bucket))
    print(SIGN, server.address, flush=True)
    while not over.wait(configuration.journal_batch_s):
        for days in KEPT_DAYS:
            # Until the subscriptions are made, and whenever the emulator is busy with something else.
            with suppress(StoreUnavailable):
                export.write(days)
    export.close()
    server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
