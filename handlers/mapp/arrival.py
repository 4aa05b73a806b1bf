"""A genuine request on its way to the queue: what is known of it, and how much time it has left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from handlers.inbound import CompiledInbound
from handlers.mapp.request_log import RequestRecord
from relay.domain.clock import Clock


class Deadlines(NamedTuple):
    """How long the steps of a request may take, in seconds.

    body_s      for the body to arrive: longer than any source waits, and short enough that a server which is told to end, and is
                killed ten seconds later, has answered before
    publish_s   additions and removals: from the end of the body until they are safe. The source expects an answer within 1 s
    creator_s   a creation: from the end of the body until the partner's answer
    creation_s  a creation in whole, publishing included. The source expects an answer within 3 s
    store_s     what the store gets at least, from the moment it has the messages, whatever was left: a request that takes long
                to read would otherwise fail every time it is sent
    """

    body_s: float = 5.0
    publish_s: float = 0.9
    creator_s: float = 2.5
    creation_s: float = 2.9
    store_s: float = 0.5


class Countdown:
    """Runs from the moment it is made: when the request had been read in full."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()

    def left(self, of_s: float) -> float:
        """What is left of so many seconds; 0 at least."""
        return max(0.0, of_s - (self._clock.monotonic() - self._began))


class BodyFields:
    """The fields of a request's body, taken out one by one by their names in lower case. `rest`: those not taken yet.

    A name that occurs twice in different case counts with its last spelling.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.rest = dict(body)
        self._spelled = {name.lower(): name for name in body}

    def get(self, name: str) -> Any:
        """Its value; None if there is none."""
        spelled = self._spelled.get(name)
        return None if spelled is None else self.rest.get(spelled)

    def take(self, name: str) -> Any:
        """Its value, which leaves `rest`; None if there is none."""
        spelled = self._spelled.get(name)
        return None if spelled is None else self.rest.pop(spelled, None)


class Arrival(NamedTuple):
    """received_at: seconds since the epoch."""

    connector: CompiledInbound
    fields: BodyFields
    record: RequestRecord
    received_at: float
    countdown: Countdown
