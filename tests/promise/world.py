"""The whole path in one process, with real parts (receiver, SQLite or Firestore, HTTP, Pangolin) and a turned clock: a test can
stop the worker between any two effects, freeze it, hand messages out again, and then compare the partner with what the DMP meant.

The queue is the embedded one in any case, since no other lets a test turn the clock of its leases.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import requests
from starlette.requests import Request
from starlette.responses import Response

from adapters.contract import Adapter
from adapters.registry import describe
from handlers.inbound import InboundView
from handlers.mapp.receiver import Receiver
from relay.backends import open_backend
from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Backend
from relay.configuration import read
from relay.connectors.publishing import Publishing
from relay.domain.audience import Hold
from relay.domain.connector import Connector
from relay.domain.message import VERSION, Message, Replay
from relay.pangolin.server import InThread
from tests.clock import TurnedClock
from worker.creation import Creation
from worker.creator import InProcessCreator
from worker.partners import Partners
from worker.tick import tick
from worker.turn import MOST_TOGETHER, Worker

TOKEN = "pangolin-token-value"
HMAC_SECRET = "hmac-secret-value"

DOCUMENT = """
name: pangolin
adapter: pangolin
inbound: {{hmac_secret: dmp-hmac, audience_id: {mode}, unknown_audience: {unknown}}}
settings: {{base_url: "{url}"}}
secrets: {{token: partner-token}}
actions:
  - {{name: Create audience, trigger: created, operation: create_audience}}
  - {{name: Add, trigger: joined, operation: add, mapping: {{id: lower(user.id)}}}}
  - {{name: Remove, trigger: left, operation: remove, mapping: {{id: lower(user.id)}}}}
limits: {{batch: {{max_items: {max_items}, max_age: {max_age}}}, rate: {rate}}}
timeouts: {{connect: 1s, answer: {answer}, batch_answer: {answer}}}
"""

EFFECTS = {
    "audiences": (
        "begin_turn", "join", "settle", "expand", "mark_asked", "claim_creation", "created", "creation_failed", "remember_answer",
    ),
    "queue": ("publish", "acknowledge", "finish", "give_back"),
    "reports": ("attempt",),
    "connectors": ("not_before", "admit"),
}  # fmt: skip
"""The store's effects of a turn. The partner's are `send` and `create_audience`."""


class Abort(BaseException):
    """The process ends here."""


class Effects:
    """Told of every effect of a turn, before and after it; `on` may raise `Abort`, or wait. What the end of a turn of several
    messages writes is one effect, `finish`, as far as the store makes one of it."""

    def __init__(self) -> None:
        self.on: Callable[[int, str], None] | None = None
        self.count = 0
        self.names: list[str] = []

    def moment(self, name: str) -> None:
        self.count += 1
        self.names.append(name)
        if self.on:
            self.on(self.count, name)


class Tapped:
    """An object whose effects are told."""

    def __init__(
        self, inner: Any, names: Sequence[str], effects: Effects, is_part: Callable[[], bool] = lambda: False
    ) -> None:
        """is_part: whether what is done now is a part of another effect."""
        self._inner, self._names, self._effects, self._is_part = inner, names, effects, is_part

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name not in self._names:
            return value
        if name == "finish":
            return self._finishing(value)

        def call(*arguments: Any, **named: Any) -> Any:
            if self._is_part():
                return value(*arguments, **named)
            self._effects.moment(f"before {name}")
            result = value(*arguments, **named)
            self._effects.moment(f"after {name}")
            return result

        return call

    def _finishing(self, value: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def finish(*arguments: Any) -> Iterator[None]:
            self._effects.moment("before finish")
            with value(*arguments):
                yield
            self._effects.moment("after finish")

        return finish


class TwoPlaces:
    """Everything is kept in one back end, and queued in another."""

    def __init__(self, stores: Backend, queueing: EmbeddedBackend) -> None:
        self._stores, self._queueing = stores, queueing
        self.queue, self.publisher = queueing.queue, queueing.publisher

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stores, name)

    def close(self) -> None:
        self._stores.close()
        self._queueing.close()


class TappedBackend:
    """A back end whose effects are told."""

    def __init__(self, backend: Any, effects: Effects) -> None:
        self._backend = backend
        self._parts = {part: Tapped(getattr(backend, part), names, effects, self._is_part) for part, names in EFFECTS.items()}

    def _is_part(self) -> bool:
        """Whether this thread writes several things, of which the store makes one."""
        database = getattr(self._backend, "database", None)
        held = getattr(database._own, "held", None) if database is not None else None
        return held is not None and held.whole is not None

    def __getattr__(self, name: str) -> Any:
        return self._parts.get(name) or getattr(self._backend, name)


class TappedPartners:
    """Adapters whose calls are told."""

    def __init__(self, inner: Partners, effects: Effects) -> None:
        self._inner, self._effects = inner, effects

    def open(self, connector: Connector, login: str = "") -> Adapter:
        return Tapped(self._inner.open(connector, login), ("send", "create_audience"), self._effects)

    def forget(self, connector: Connector) -> None:
        self._inner.forget(connector)


class World:
    """One relay and its DMP, in front of a Pangolin that others may share: audiences carry this world's own prefix."""

    def __init__(
        self,
        state: Path,
        pangolin: InThread,
        prefix: str,
        *,
        max_items: int = 100,
        max_age: str = "0s",
        mode: str = "own",
        unknown: str = "create",
        rate: str = "{concurrency: 8}",
        answer: str = "250ms",
        junk: bool = False,
        journal: str = "off",
        place: dict[str, str] | None = None,
        together: bool = False,
    ) -> None:
        """place: environment variables of another back end that keeps everything but the queue. together: messages that wait one
        behind the other are taken together, which only one back end for all can do."""
        self.place = place
        self.most = MOST_TOGETHER if together and place is None else 1
        self.state, self.pangolin, self.prefix = state, pangolin, prefix
        self.junk = junk
        self.clock = TurnedClock()
        self.effects = Effects()
        self.accepted: dict[tuple[str, str], tuple[str, int, str]] = {}
        self.users: dict[tuple[str, int], str] = {}
        self.unreadable: set[tuple[str, int]] = set()
        self.refusable: dict[str, str] = {}
        self.late: list[threading.Thread] = []
        self._start()
        publishing = self.publishing()
        publishing.set_secret("partner-token", TOKEN)
        publishing.set_secret("dmp-hmac", HMAC_SECRET)
        self.document = DOCUMENT.format(
            url=pangolin.url, max_items=max_items, max_age=max_age, mode=mode, unknown=unknown, rate=rate, answer=answer
        )
        if journal != "off":
            self.document += f"retention: {{journal: {journal}}}\n"
        publishing.apply(self.document)
        self.view = InboundView(self.backend.inbound, reread_s=3600)
        self.faults()

    def _start(self) -> None:
        embedded = EmbeddedBackend.open(self.state, self.clock)
        self.queue = embedded.queue
        self.backend: Any = embedded
        if self.place is not None:
            self.backend = TwoPlaces(open_backend(read(self.place), self.clock), embedded)
        self.tapped: Any = TappedBackend(self.backend, self.effects)
        self.worker = Worker(self.tapped, self.clock, random.Random(1))
        partners: Any = TappedPartners(self.worker.partners, self.effects)
        self.worker.partners = partners
        self.worker.creation = Creation(self.tapped, self.worker.catalog, partners, self.clock)

    def publishing(self) -> Publishing:
        """What an operator changes connectors with."""
        return Publishing(self.backend, describe, "test")

    def gathering(self, max_age: str) -> str:
        """The connector's document with another `max_age`."""
        return re.sub(r"max_age: \w+", f"max_age: {max_age}", self.document)

    def restart(self) -> None:
        """The process is gone, with its locks, and another one starts."""
        self.backend.close()
        self._start()

    # the DMP

    def accept(self, mutations: Sequence[tuple[str, str, str]]) -> None:
        """One signed request with these (audience, user, `joined` or `left`); each must be accepted. With `junk`, one of an even
        number has a mutation behind them that cannot be read."""
        entries: list[dict[str, str]] = [
            {"Audience": self.prefix + audience, "User": user, "Operation": "add" if direction == "joined" else "remove"}
            for audience, user, direction in mutations
        ]
        if self.junk and len(mutations) % 2 == 0:
            entries.append({"Audience": entries[-1]["Audience"]})
        body = msgspec.json.encode({"Type": "ADD_TO_AUDIENCE", "Mutations": entries})
        answer = self.post("ADD_TO_AUDIENCE", body)
        assert answer.status_code == 200, answer.body
        request_id = answer.headers["X-Request-Id"]
        self.unreadable |= {(request_id, index) for index in range(len(mutations), len(entries))}
        for index, (audience, user, direction) in enumerate(mutations):
            self.accepted[self.prefix + audience, user.lower()] = (request_id, index, direction)
            self.users[request_id, index] = user.lower()

    def post(self, kind: str, body: bytes) -> Response:
        """A signed POST through the receiver."""
        return asyncio.run(self._post(kind, body))

    async def _post(self, kind: str, body: bytes) -> Response:
        signature = hmac.new(HMAC_SECRET.encode(), body, hashlib.sha1).hexdigest()
        scope = {
            "type": "http", "method": "POST", "path": "/pangolin", "raw_path": b"/pangolin", "root_path": "", "scheme": "http",
            "query_string": f"type={kind}".encode(), "server": ("127.0.0.1", 8080), "client": ("127.0.0.1", 1),
            "headers": [(b"host", b"127.0.0.1"), (b"x-hmac", signature.encode()), (b"content-length", b"%d" % len(body))],
        }  # fmt: skip
        sent = False

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if sent:
                return {"type": "http.disconnect"}
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        publisher = self.backend.publisher()
        try:
            receiver = Receiver(self.view, publisher, InProcessCreator(self.backend, self.clock), self.clock)
            return await receiver(Request(scope, receive))
        finally:
            await publisher.close()

    def replay(self, audience: str, *, since: float = 0.0) -> str:
        """An operator asks for a replay of what was accepted since; the ID of that request."""
        message = Message(
            version=VERSION,
            kind="replay",
            connector="pangolin",
            audience=self.prefix + audience,
            request_id=uuid.uuid4().hex,
            received_at=self.clock.now(),
            replay=Replay(since=since),
        )
        self.backend.queue.publish([message])
        return message.request_id

    # the worker

    def work(self, on: Callable[[int, str], None] | None = None) -> bool:
        """Handles one message, or several together; `on` is told of every effect. False if none waits. An `Abort` restarts the
        process."""
        leased = self.queue.take(most=self.most)
        if leased is None:
            return False
        self.effects.on, self.effects.count, self.effects.names = on, 0, []
        try:
            self.worker.handle(leased)
        except Abort:
            self.effects.on = None
            self.restart()
        finally:
            self.effects.on = None
        return True

    def freeze(self, at: int | Sequence[str]) -> Callable[[], None]:
        """Handles one message, or several together, in a thread that freezes at that effect (0: before it begins); returns what
        wakes it. Partner calls are not frozen: no program can check its time and call in one step.

        at: the number of the effect; or names of writes, at the first of which it freezes together with all of its clocks, so
        that only the fence can stop it.
        """
        leased = self.queue.take(most=self.most)
        frozen, woken = threading.Event(), threading.Event()

        effects = Effects()
        tapped: Any = TappedBackend(self.backend, effects)
        clock = self.clock if isinstance(at, int) else TurnedClock(self.clock.now())
        zombie = Worker(tapped, clock, random.Random(2))

        def on(count: int, name: str) -> None:
            if count == at or (not isinstance(at, int) and name in at):
                frozen.set()
                woken.wait(30)

        effects.on = on

        def run() -> None:
            if at == 0:
                frozen.set()
                woken.wait(30)
            if leased is not None:
                zombie.handle(leased)
            frozen.set()

        thread = threading.Thread(target=run)
        thread.start()
        frozen.wait(30)

        def wake() -> None:
            woken.set()
            thread.join(30)
            assert not thread.is_alive()

        return wake

    def tick(self, seconds: float) -> None:
        """Time passes, and due holds are looked at. Answers that are under way at the partner have arrived by then."""
        if seconds >= 1 and self.slow:
            time.sleep(0.35)
        self.clock.advance(seconds)
        tick(self.tapped, self.worker.catalog, self.clock)

    # the partner

    def faults(self, **faults: Any) -> None:
        self.slow = "latency_ms" in faults or "hang" in faults or getattr(self, "slow", False)
        self.refusable |= dict.fromkeys(faults.get("reject_users", ()), "user_rejected")
        self.refusable |= dict.fromkeys(faults.get("poison_users", ()), "call_refused")
        answer = requests.put(f"{self.pangolin.url}/api/faults", json=faults, headers=self.authorization, timeout=5)
        assert answer.status_code < 300, answer.text

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {TOKEN}"}

    def members(self) -> dict[str, set[str]]:
        """Our audience ID → members at the partner."""
        found: dict[str, set[str]] = {}
        listed = self._get("/api/audiences?limit=10000")["audiences"]
        for audience in listed:
            reference = audience["reference"].removeprefix("pangolin/")
            if reference.startswith(self.prefix):
                users = self._get(f"/api/audiences/{audience['id']}/users?limit=10000")["users"]
                assert reference not in found, "two audiences at the partner for one of ours"
                found[reference] = {user["id"] for user in users}
        return found

    def _get(self, path: str) -> Any:
        return requests.get(self.pangolin.url + path, headers=self.authorization, timeout=5).json()

    def calls(self) -> list[dict[str, Any]]:
        """The calls that changed members, oldest first."""
        listed = requests.get(f"{self.pangolin.url}/api/calls", headers=self.authorization, timeout=5).json()
        return [call for call in listed if call["path"].endswith("/users") and call["method"] in ("POST", "DELETE")]

    def take_out(self, audience: str, users: Sequence[str]) -> None:
        """Somebody takes these users out of the partner's list."""
        path = f"/api/audiences/{self.partner_id(audience)}/users"
        self._change("DELETE", path, {"users": [{"id": user} for user in users]})

    def delete_list(self, audience: str) -> None:
        """Somebody deletes the partner's list."""
        self._change("DELETE", f"/api/audiences/{self.partner_id(audience)}", None)

    def partner_id(self, audience: str) -> str | None:
        """What we know of it."""
        record = self.backend.audiences.get("pangolin", self.prefix + audience)
        return record.partner_id if record else None

    def _change(self, method: str, path: str, body: Any) -> None:
        answer = requests.request(method, self.pangolin.url + path, json=body, headers=self.authorization, timeout=5)
        assert answer.status_code < 300, answer.text

    # what an operator sees

    def held(self, audience: str = "a.1") -> Hold | None:
        """The hold of an audience."""
        record = self.backend.audiences.get("pangolin", self.prefix + audience)
        return record.hold if record else None

    def rejected(self) -> list[tuple[int, str]]:
        """(index, code) of the rejections, oldest first."""
        return [(one.index, one.code) for _, one in self.backend.reports.rejections(limit=10_000)]

    # the comparison

    def drain(self) -> None:
        """The weather is calm again; everything that waits is delivered, by itself."""
        self.faults()
        publishing = self.publishing()
        publishing.set_enabled("pangolin", True)
        publishing.set_action("pangolin", "Remove", None)
        self.backend.connectors.set_paused("pangolin", False)
        for audience in self.backend.audiences.all():
            self.backend.audiences.set_paused("pangolin", audience.id, False)
        for _ in range(100):
            while self.work():
                pass
            if not self.queue.depth().messages and not any(one.hold for one in self.backend.audiences.all()):
                return
            self.tick(300)
        raise AssertionError("does not drain")

    def assert_last_mutation_wins(self) -> None:
        """Every user whose last mutation was not rejected is a member exactly if that mutation was `joined`; and nobody was
        rejected but users whom the partner was told to refuse."""
        rejected = dict[tuple[str, int], str]()
        for _, rejection in self.backend.reports.rejections(limit=100_000):
            rejected[rejection.request_id, rejection.index] = rejection.code
        unread = {place for place, code in rejected.items() if code == "unreadable"}
        assert unread == self.unreadable, "what cannot be read is kept"
        unjust = [
            (place, code)
            for place, code in rejected.items()
            if place not in unread and self.refusable.get(self.users[place]) != code
        ]
        assert not unjust, "rejected, and the partner had not refused them"
        members = self.members()
        wrong = [
            (audience, user, direction)
            for (audience, user), (request_id, index, direction) in self.accepted.items()
            if (request_id, index) not in rejected and (user in members.get(audience, set())) != (direction == "joined")
        ]
        assert not wrong
