"""The body of a push: what Pub/Sub sends to the worker with each message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import unquote

import msgspec

from relay.domain.errors import BadPush

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_Id = Annotated[str, msgspec.Meta(min_length=1)]


class PushedMessage(msgspec.Struct, frozen=True, rename="camel"):
    """A message as it is pushed; `data` is what was published.

    ordering_key   empty if it was published without one
    publish_time   when Pub/Sub took it; of one key, never before that of the message before
    """

    data: bytes
    message_id: _Id
    publish_time: _Moment
    ordering_key: str = ""

    @property
    def position(self) -> int:
        """Its place in the order of its key: microseconds since the epoch."""
        return (self.publish_time - _EPOCH) // timedelta(microseconds=1)

    @property
    def key(self) -> str:
        """`Message.key` of what it carries, be it of a version that this program cannot read; else as its ordering key says."""
        try:
            addressed = _addressed.decode(self.data)
        except (ValueError, RecursionError):
            return unquote(self.ordering_key, errors="replace")
        return f"{addressed.connector}/{addressed.audience}"


class Push(msgspec.Struct, frozen=True, rename="camel"):
    """The body (https://cloud.google.com/pubsub/docs/push#receive_push).

    delivery_attempt  how often it was pushed, this time included; only subscriptions that forward dead letters say so
    """

    message: PushedMessage
    delivery_attempt: int | None = None


class _Addressed(msgspec.Struct):
    connector: str
    audience: str


_addressed = msgspec.json.Decoder(_Addressed)
_push = msgspec.json.Decoder(Push)


def read_push(body: bytes) -> Push:
    """Raises `BadPush` for anything else; its text says nothing of what the body holds."""
    try:
        return _push.decode(body)
    except (ValueError, RecursionError):
        # Without the cause, whose text may quote the body.
        raise BadPush("This is no message that Pub/Sub pushed: its data, ID or time of publishing is missing.") from None
