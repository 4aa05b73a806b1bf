"""What Pub/Sub is sent when messages are published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import grpc

from relay.backends.google.failures import unavailable
from relay.backends.google.names import safe_name
from relay.backends.google.pubsub_messages import PublishRequest
from relay.configuration import Configuration
from relay.domain.errors import StoreUnavailable
from relay.domain.message import Message, encode

SERVICE = "Pub/Sub"

PUBLISH = "/google.pubsub.v1.Publisher/Publish"

MOST_MESSAGES = 1_000
"""In one call (https://cloud.google.com/pubsub/quotas#resource_limits)."""

MOST_BYTES = 9_000_000
"""In one call as we count; Google refuses more than 10,000,000 (the same page)."""

_FRAME_BYTES = 32
"""What a message takes in a call beyond its body and its key, at most."""

JOURNAL = "journal"
"""The attribute of a message that is to be kept in the journal: for so many days. The journal's subscriptions filter by it."""

PASSING = frozenset(
    {
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNKNOWN,
    }
)
"""Answers after which the same call can succeed (https://cloud.google.com/pubsub/docs/reference/error-codes)."""


class PublishCall(NamedTuple):
    """One call: all of it concerns one ordering key. `messages`: how many it carries."""

    request: bytes
    messages: int


class Destination:
    """The topic, and what every call to it says."""

    def __init__(self, configuration: Configuration) -> None:
        self.topic = f"projects/{configuration.google_cloud_project}/topics/{configuration.topic}"
        self.metadata = (("x-goog-request-params", f"topic={quote(self.topic, safe='')}"),)

    def bodies(self, messages: Sequence[Message]) -> dict[str, list[Body]]:
        """By ordering key, in the order in which the keys appear. Every message is encoded before this returns: what cannot be
        encoded raises (`UnicodeEncodeError`, `TypeError`) before anything was sent."""
        bodies: dict[str, list[Body]] = {}
        for message in messages:
            bodies.setdefault(message.key, []).append(Body(encode(message), message.journal_days, message.received_at))
        return {safe_name(key): of_key for key, of_key in bodies.items()}


class Body(NamedTuple):
    """A message, encoded. `journal_days` and `received_at`: see `Message`."""

    data: bytes
    journal_days: int
    received_at: float

    def size(self, ordering_key: str) -> int:
        """The bytes that it takes in a call, at most."""
        return len(self.data) + len(ordering_key) + _FRAME_BYTES


def calls_of(topic: str, ordering_key: str, bodies: Sequence[Body]) -> Iterator[PublishCall]:
    """The calls of one key in order, each made when it is asked for: the whole of a large request is not held twice."""
    for part in _parts(bodies, ordering_key):
        request = PublishRequest(topic=topic)
        for body in part:
            message = request.messages.add(data=body.data, ordering_key=ordering_key)
            if body.journal_days:
                message.attributes[JOURNAL] = str(body.journal_days)
        yield PublishCall(request.SerializeToString(), len(part))


def _parts(bodies: Sequence[Body], ordering_key: str) -> Iterator[list[Body]]:
    part: list[Body] = []
    filled = 0
    for body in bodies:
        size = body.size(ordering_key)
        if part and (len(part) == MOST_MESSAGES or filled + size > MOST_BYTES):
            yield part
            part, filled = [], 0
        part.append(body)
        filled += size
    yield part


def require_confirmed(call: PublishCall, response: Any) -> None:
    """Raises `StoreUnavailable` unless the answer names every message of the call."""
    if len(response.message_ids) != call.messages:
        raise StoreUnavailable(f"{SERVICE} did not confirm every message.")


def refused(error: grpc.RpcError) -> StoreUnavailable:
    """The error for a call that failed for good, or for the last time."""
    return unavailable(SERVICE, code_of(error))


def is_passing(error: StoreUnavailable) -> bool:
    """Whether what `refused` made may succeed when it is tried again."""
    return isinstance(error.__cause__, grpc.RpcError) and code_of(error.__cause__) in PASSING


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    """Why a call failed. Errors of both kinds of channel have it, which the base class does not say."""
    code: grpc.StatusCode = error.code()
    return code
