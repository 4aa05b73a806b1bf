"""The topic and the push subscription of a local run, made on the emulator as deploy/deploy.sh makes them on Google."""

from __future__ import annotations

from contextlib import suppress

from google.api_core.exceptions import AlreadyExists, GoogleAPICallError
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1.services.publisher import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from relay.backends.google.channels import Channels
from relay.configuration import Configuration
from relay.domain.errors import StoreUnavailable

SHORTEST_ACK_DEADLINE_S = 10
LONGEST_ACK_DEADLINE_S = 600
"""https://cloud.google.com/pubsub/docs/reference/rpc/google.pubsub.v1#subscription"""

SUBSCRIPTION_SUFFIX = "-deliver"

BACK_OFF_S = (1, 10)
"""Seconds before a push that failed is made again, at first and at most. Shorter than on Google: here somebody is looking on."""

_TIMEOUT_S = 20.0


def subscribe(configuration: Configuration, *, endpoint: str, back_off_s: tuple[int, int] = BACK_OFF_S) -> None:
    """Makes the ordered subscription that pushes the topic's messages to `endpoint`, and the topic where there is none. Raises
    `StoreUnavailable`."""
    project = f"projects/{configuration.google_cloud_project}"
    topic = f"{project}/topics/{configuration.topic}"
    channels = Channels(configuration)
    try:
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channels.pubsub()))
        subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channels.pubsub()))
        with suppress(AlreadyExists):
            publisher.create_topic(request={"name": topic}, timeout=_TIMEOUT_S)
        subscriber.create_subscription(
            request={
                "name": f"{project}/subscriptions/{configuration.topic}{SUBSCRIPTION_SUFFIX}",
                "topic": topic,
                "push_config": {"push_endpoint": endpoint},
                "ack_deadline_seconds": int(configuration.ack_deadline_s),
                "enable_message_ordering": True,
                "retry_policy": {
                    "minimum_backoff": Duration(seconds=back_off_s[0]),
                    "maximum_backoff": Duration(seconds=back_off_s[1]),
                },
            },
            timeout=_TIMEOUT_S,
        )
    except GoogleAPICallError as error:
        raise StoreUnavailable(f"The Pub/Sub emulator refused the topic or its subscription: {error.message}") from error
    finally:
        channels.close()
