"""What the routes' handlers work with."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from handlers.body import MAX_HELD_BYTES
from handlers.mediarithmics.context import WAIT_S, Contexts
from handlers.mediarithmics.destination import Destination
from handlers.mediarithmics.gateway import GatewayClient, soon
from handlers.mediarithmics.overload import MAX_IN_FLIGHT, MAX_WAITING, Waiting
from handlers.mediarithmics.received import Received
from handlers.mediarithmics.request_log import FeedRecord
from handlers.mediarithmics.settings import FeedSettings
from handlers.mediarithmics.threads import T, Threads
from relay.domain.clock import Clock

if TYPE_CHECKING:
    from relay.backends.interfaces import Publisher, Replies


class Bounds(msgspec.Struct, frozen=True):
    """How long things may take, in seconds, and how much there may be.

    body_s     a body has so long to arrive
    partner_s  a route waits so long for the partner; what was begun goes on
    gateway_s  nor longer for what the platform's gateway knows
    publish_s  until messages are safe
    reply_s    somebody waits so long for what becomes of a message
    max_body   bytes
    max_held   bytes of all bodies that are held, and of what is made of them, together
    in_flight  requests
    waiting    requests that wait for the deliveries of one connector
    """

    body_s: float = 30.0
    partner_s: float = 25.0
    gateway_s: float = WAIT_S
    publish_s: float = 5.0
    reply_s: float = 20.0
    max_body: int = 12 * 1024 * 1024
    max_held: int = 2 * MAX_HELD_BYTES
    in_flight: int = MAX_IN_FLIGHT
    waiting: int = MAX_WAITING


class Desk:
    """Made once for each process."""

    def __init__(
        self,
        settings: FeedSettings,
        destination: Destination,
        publisher: Publisher,
        replies: Replies,
        clock: Clock,
        *,
        chance: random.Random,
        bounds: Bounds,
    ) -> None:
        self.settings = settings
        self.destination = destination
        self.publisher = publisher
        self.replies = replies
        self.clock = clock
        self.bounds = bounds
        self.threads = Threads()
        self.received = Received(clock)
        self.waiting = Waiting(bounds.waiting)
        self.gateway = GatewayClient(settings.gateway, clock)
        self.contexts = Contexts(self.gateway, destination, self.threads, clock, chance, wait_s=bounds.gateway_s)

    async def from_gateway(self, what: str, work: Callable[[], T]) -> T:
        """What the gateway is asked for, in the time that there is. Raises `Trouble`."""
        return await soon(what, self.threads.gateway(work), self.bounds.gateway_s)


class Asked(msgspec.Struct, frozen=True):
    """One request: its JSON object, when it came (seconds since the epoch), and what the log says of it."""

    content: dict[str, object]
    received_at: float
    record: FeedRecord
