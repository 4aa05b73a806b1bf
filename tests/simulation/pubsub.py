"""Pub/Sub as a script, below the real queue (`relay.backends.google.queue`): what its documentation promises, and no more.

At least once. Of one ordering key one message at a time, in the order in which they were accepted; when one is delivered again,
so is everything behind it of that key, acknowledged or not (https://cloud.google.com/pubsub/docs/ordering). A push that is not
answered with success before its deadline is made again, after 10 to 60 seconds. Equal publish times within a key are possible,
smaller ones are not.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import grpc
import msgspec

from relay.backends.google.pubsub_messages import PublishRequest, PublishResponse
from relay.backends.google.queue import GoogleQueue
from relay.backends.interfaces import Leased
from relay.configuration import read
from relay.domain.message import Message, decode
from tests.simulation.scheduler import Task

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.world import World

CONFIGURATION = read({"BACKEND": "google", "GOOGLE_CLOUD_PROJECT": "simulated"})

ACK_DEADLINE_S = CONFIGURATION.ack_deadline_s
LEAST_RETRY_S = 10.0
LONGEST_RETRY_S = 60.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Accepting = Literal["yes", "no", "unconfirmed", "lost"]
"""What becomes of one publish call: accepted; refused; accepted, and no answer in time; no answer in time, and not accepted."""


class _Failed(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__()
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


class Published(NamedTuple):
    """A message in the topic. `at`: microseconds since the epoch."""

    id: str
    key: str
    at: int
    data: bytes


class _Key:
    """One ordering key. `settled`: so many of its messages are acknowledged. `task` hands them out."""

    def __init__(self) -> None:
        self.messages: list[Published] = []
        self.settled = 0
        self.task: Task | None = None
        self.answer: bool | None = None
        self.wait_s = LEAST_RETRY_S


class PubSub:
    """One topic with its subscription.

    accepting      asked for each publish call
    answer_is_lost whether an acknowledgement does not count: asked when it comes, it says how many messages the key goes back
    breaks_off     whether a push ends before its worker does: asked for each, the seconds after which it does, or 0
    equal_times    whether a message has the publish time of the one before it
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._keys: dict[str, _Key] = {}
        self._numbers = 0
        self._newest = 0
        self.accepting: Callable[[], Accepting] = lambda: "yes"
        self.goes_back: Callable[[], int] = lambda: 0
        self.breaks_off: Callable[[], float] = lambda: 0.0
        self.equal_times: Callable[[], bool] = lambda: False

    def queue_for(self, process: Process) -> GoogleQueue:
        """A process's queue, on a channel of this topic."""
        channels: Any = _Channels(lambda request, timeout_s: self._publish(process, request, timeout_s))
        return GoogleQueue(channels, CONFIGURATION, process.clock)

    def bodies(self, key: str) -> list[bytes]:
        """What is not acknowledged of a key, in order."""
        known = self._keys.get(key)
        return [message.data for message in known.messages[known.settled :]] if known else []

    def is_empty(self) -> bool:
        return all(len(key.messages) == key.settled for key in self._keys.values())

    # taking

    def _publish(self, process: Process, request: Any, timeout_s: float) -> Any:
        accepting = self.accepting()
        if accepting == "no":
            raise _Failed(grpc.StatusCode.UNAVAILABLE)
        ids = [] if accepting == "lost" else [self._accept(process, one.ordering_key, one.data) for one in request.messages]
        if accepting != "yes":
            process.clock.sleep(timeout_s)
            raise _Failed(grpc.StatusCode.DEADLINE_EXCEEDED)
        return PublishResponse(message_ids=ids)

    def _accept(self, process: Process, ordering_key: str, data: bytes) -> str:
        message = decode(data)
        known = self._keys.setdefault(message.key, _Key())
        self._numbers += 1
        at = round(self._world.machine.now() * 1e6)
        if known.messages and self.equal_times() and not self._world.setting.journal_days:
            at = known.messages[-1].at
        else:
            self._newest = at = max(at, self._newest + 1)
        known.messages.append(Published(f"m{self._numbers}", ordering_key, at, data))
        self._journal(message, at, data)
        self._world.accepted(process, [message])
        if known.task is None:
            known.task = self._world.scheduler.spawn(f"pushes {message.key}", self._world.cloud, lambda: self._push_all(known))
        else:
            self._world.scheduler.wake(known.task)
        return f"m{self._numbers}"

    def _journal(self, message: Message, at: int, data: bytes) -> None:
        """A copy for replays, at once and under its position here. Of two with one position the store's journal can keep one, so
        there are none where there is a journal."""
        plain = self._world.plain
        if message.kind != "change" or not plain.connectors.state(message.connector).journal_since:
            return
        with plain.database.transaction(durable=False) as connection:
            connection.execute(
                "INSERT INTO journal (position, connector, audience, accepted_at, items, body) VALUES (?, ?, ?, ?, ?, ?)",
                (at, message.connector, message.audience, at / 1e6, len(message.mutations), data),
            )

    # handing out

    def _push_all(self, key: _Key) -> None:
        scheduler = self._world.scheduler
        while True:
            if key.settled == len(key.messages):
                scheduler.wait()
                continue
            process = self._someone()
            if process is None:
                scheduler.wait(1.0)
                continue
            message = key.messages[key.settled]
            if self._push(key, message, process):
                key.wait_s = LEAST_RETRY_S
                self._settle(key, message)
            else:
                scheduler.sleep(key.wait_s)
                key.wait_s = min(2 * key.wait_s, LONGEST_RETRY_S)

    def _someone(self) -> Process | None:
        able = [one for one in self._world.processes.values() if one.works and one.alive and not one.stopping]
        return self._world.chance.choice(able) if able else None

    def _push(self, key: _Key, message: Published, process: Process) -> bool:
        """Whether it was answered with success in time. Whoever it was pushed to may go on with it all the same."""
        scheduler = self._world.scheduler
        queue = process.relay.queue
        leased: Leased = queue.receive(_body(message))
        answers: list[bool] = []

        def answer() -> None:
            answers.append(queue.settled(leased))
            scheduler.stir()

        process.begin(leased, then=answer)
        broken_off_s = self.breaks_off()
        give_up_at = scheduler.time + (max(broken_off_s, LEAST_RETRY_S) if broken_off_s else ACK_DEADLINE_S)
        while not answers and process.alive and scheduler.time < give_up_at:
            scheduler.wait(give_up_at - scheduler.time)
        if not answers and process.alive:
            self._world.tell("pub/sub", f"gives up the push of {message.id}", _audience(message))
        return answers == [True]

    def _settle(self, key: _Key, message: Published) -> None:
        world, audience = self._world, _audience(message)
        key.settled += 1
        back = min(self.goes_back(), key.settled)
        if back:
            key.settled -= back
            again = " ".join(one.id for one in key.messages[key.settled :])
            world.tell("pub/sub", f"an acknowledgement was lost; delivers again: {again}", audience)
            world.scheduler.sleep(LEAST_RETRY_S)
        world.invariants.nothing_lost(audience)


class _Channels:
    def __init__(self, publish: Callable[[Any, float], Any]) -> None:
        self._publish = publish

    def pubsub(self) -> _Channels:
        return self

    def unary_unary(self, method: str, response_deserializer: Any) -> Callable[..., Any]:
        def call(request: bytes, timeout: float, metadata: Any, wait_for_ready: bool) -> Any:
            return self._publish(PublishRequest.FromString(request), timeout)

        return call


def _body(message: Published) -> bytes:
    return msgspec.json.encode(
        {
            "message": {
                "data": base64.b64encode(message.data).decode(),
                "messageId": message.id,
                "publishTime": (_EPOCH + timedelta(microseconds=message.at)).isoformat(),
                "orderingKey": message.key,
            },
            "subscription": "projects/simulated/subscriptions/deliver",
        }
    )


def _audience(message: Published) -> str:
    return decode(message.data).audience
