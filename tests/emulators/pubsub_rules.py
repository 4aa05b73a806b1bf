"""What Pub/Sub refuses of a publish call though its emulator accepts it, and what a call costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from google.pubsub_v1 import types

from tests.emulators.counts import Bill
from tests.emulators.refusal import Cost, Refusal, free

MAX_MESSAGES = 1_000
MAX_REQUEST_BYTES = 10_000_000
MAX_KEY_BYTES = 1_024
MAX_ATTRIBUTES = 100
MAX_ATTRIBUTE_KEY_BYTES = 256
MAX_ATTRIBUTE_VALUE_BYTES = 1_024
"""https://cloud.google.com/pubsub/quotas#resource_limits"""

LEAST_BILLED_BYTES = 1_000
_OVERHEAD_BYTES = 20
"""A message's time stamp in what is billed (https://cloud.google.com/pubsub/pricing#message_delivery_basic)."""

_REQUEST = types.PublishRequest.pb()
_RESPONSE = types.PublishResponse.pb()
_INVALID = grpc.StatusCode.INVALID_ARGUMENT


class PubsubRules:
    """Those of `google.pubsub.v1`."""

    def check(self, method: str, request: bytes) -> Cost:
        if method != "Publish":
            return free
        if len(request) > MAX_REQUEST_BYTES:
            raise _too_large("request_size", len(request), MAX_REQUEST_BYTES)
        messages = _REQUEST.FromString(request).messages
        if len(messages) > MAX_MESSAGES:
            raise _too_large("message_count", len(messages), MAX_MESSAGES)
        if len({message.ordering_key for message in messages}) > 1:
            raise Refusal(
                grpc.StatusCode.FAILED_PRECONDITION,
                "In a single publish request, all messages must have no ordering key or they must all have the same ordering "
                "key.",
            )
        for message in messages:
            _check_message(message)

        def cost(answers: Sequence[bytes]) -> Bill:
            ids = _RESPONSE.FromString(answers[0]).message_ids
            size = sum(_billed_bytes(message, message_id) for message, message_id in zip(messages, ids, strict=True))
            return Bill(messages=len(messages), message_bytes=max(LEAST_BILLED_BYTES, size))

        return cost


def _check_message(message: Any) -> None:
    if not message.data and not message.attributes:
        raise Refusal(_INVALID, "Each message must contain either non-empty data, or at least one attribute.")
    key_bytes = len(message.ordering_key.encode())
    if key_bytes > MAX_KEY_BYTES:
        raise _too_large("ordering_key", key_bytes, MAX_KEY_BYTES)
    if len(message.attributes) > MAX_ATTRIBUTES:
        raise _too_large("attribute_count", len(message.attributes), MAX_ATTRIBUTES)
    for key, value in message.attributes.items():
        if not key or len(key.encode()) > MAX_ATTRIBUTE_KEY_BYTES or key.startswith("goog"):
            raise Refusal(_INVALID, "A message has an attribute whose key is empty, too long or reserved.")
        if len(value.encode()) > MAX_ATTRIBUTE_VALUE_BYTES:
            raise _too_large("attribute_value", len(value.encode()), MAX_ATTRIBUTE_VALUE_BYTES)


def _too_large(what: str, size: int, most: int) -> Refusal:
    return Refusal(
        _INVALID, f"The value for {what} is too large. You passed {size} in the request, but the maximum value is {most}."
    )


def _billed_bytes(message: Any, message_id: str) -> int:
    texts = (message.ordering_key, message_id, *message.attributes.keys(), *message.attributes.values())
    return len(message.data) + sum(len(text.encode()) for text in texts) + _OVERHEAD_BYTES
