"""The worker's end of the queue: Pub/Sub calls it with each message, and learns from the answer what became of it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import grpc

from relay.backends.google.pubsub_messages import PublishResponse
from relay.backends.google.pubsub_wire import (
    PASSING,
    PUBLISH,
    Destination,
    PublishCall,
    calls_of,
    code_of,
    refused,
    require_confirmed,
)
from relay.backends.google.push import read_push
from relay.backends.interfaces import Leased, QueueDepth
from relay.configuration import Configuration
from relay.domain.clock import Clock
from relay.domain.message import Message

if TYPE_CHECKING:
    from relay.backends.google.channels import Channels

DEADLINE_S = 5.0
"""For one call with its repetitions. Nobody waits for an answer here, and what is published is published again if this fails."""

_FIRST_PAUSE_S = 0.1

_MOST_REMEMBERED = 1_000


class GoogleQueue:
    """`interfaces.PushQueue` on Pub/Sub. Used by several threads at once.

    A push is a lease: Pub/Sub hands out nothing else of its key until it is answered or its acknowledgement deadline has passed.
    """

    def __init__(self, channels: Channels, configuration: Configuration, clock: Clock) -> None:
        self._channels = channels
        self._destination = Destination(configuration)
        self._lease_s = configuration.ack_deadline_s
        self._clock = clock
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._acknowledged: dict[str, float] = {}

    def publish(self, messages: Sequence[Message]) -> None:
        """One key after the other, each in its order, every call confirmed before the next."""
        for ordering_key, bodies in self._destination.bodies(messages).items():
            for call in calls_of(self._destination.topic, ordering_key, bodies):
                self._publish(call)

    def receive(self, body: bytes) -> Leased:
        push = read_push(body)
        message = push.message
        return Leased(
            message_id=message.message_id,
            key=message.key,
            position=message.position,
            body=message.data,
            deliveries=push.delivery_attempt or 1,
            lease=f"{message.message_id}/{next(self._numbers)}",
            lease_until=self._clock.now() + self._lease_s,
        )

    def acknowledge(self, leased: Leased) -> bool:
        """What the call is answered depends on it: see `settled`. After the end of the lease that answer would come too late."""
        now = self._clock.now()
        if now >= leased.lease_until:
            return False
        with self._lock:
            if len(self._acknowledged) >= _MOST_REMEMBERED:
                # Of calls that ended before they asked.
                self._acknowledged = {lease: until for lease, until in self._acknowledged.items() if until > now}
            self._acknowledged[leased.lease] = leased.lease_until
        return True

    def give_back(self, leased: Leased, *, delay_s: float) -> None:  # noqa: ARG002 - the protocol's
        """A call that is answered with a failure is made again after Pub/Sub's own back-off, whatever the delay asked for: 10 s
        at first and more each time, as the subscription is made (https://cloud.google.com/pubsub/docs/handling-failures)."""
        with self._lock:
            self._acknowledged.pop(leased.lease, None)

    def settled(self, leased: Leased) -> bool:
        with self._lock:
            return self._acknowledged.pop(leased.lease, None) is not None

    def depth(self) -> QueueDepth | None:
        """None: only Cloud Monitoring knows, minutes late."""
        return None

    def _publish(self, call: PublishCall) -> None:
        channel = self._channels.pubsub()
        publish: Callable[..., Any] = channel.unary_unary(PUBLISH, response_deserializer=PublishResponse.FromString)
        give_up_at = self._clock.monotonic() + DEADLINE_S
        pause, patient = _FIRST_PAUSE_S, False
        while True:
            left = give_up_at - self._clock.monotonic()
            try:
                # Half of what is left, so that a call that hangs is not the only one.
                response = publish(
                    call.request, timeout=max(left / 2, pause), metadata=self._destination.metadata, wait_for_ready=patient
                )
            except grpc.RpcError as error:
                if code_of(error) not in PASSING or left <= 2 * pause:
                    raise refused(error) from error
                self._clock.sleep(pause)
                pause, patient = 2 * pause, True
            else:
                require_confirmed(call, response)
                return
