"""The platform's side: a receiver behind a real HTTP server, a real gateway beside it, and the queue as the worker meets it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from msgspec.structs import replace

from handlers.mediarithmics.desk import Bounds
from handlers.mediarithmics.receiver import FeedReceiver
from handlers.mediarithmics.settings import FeedSettings, Plugin
from handlers.mediarithmics.settings import Gateway as GatewaySettings
from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Publisher
from relay.domain.clock import Clock, SystemClock
from relay.domain.message import Message, decode
from relay.domain.outcome import Outcome
from relay.domain.reply import VERSION, MutationReply, Reply
from tests.unit.mapp.edge import Server
from tests.unit.mediarithmics.gateway import TOKEN, WORKER_ID, Gateway
from tests.unit.mediarithmics.pipes import Pipes

IDS = {"feed_id": "1000", "datamart_id": "1", "segment_id": "100"}
AUDIENCE = "mics.1.100"
POINT = {"type": "USER_POINT", "user_point_id": "c87ff324-150f-427d-882a-b1f24c801980"}
OTHER_POINT = {"type": "USER_POINT", "user_point_id": "113d1008-41c9-47f0-99d5-de78a3beec59"}

PLUGIN = Plugin("com.example", "relay-feed", "AUDIENCE_SEGMENT_EXTERNAL_FEED", version="1.2.3", build="77")


class Platform:
    """What calls the function, and what is around it."""

    def __init__(self, server: Server, gateway: Gateway, state_dir: Path) -> None:
        self._server = server
        self.gateway = gateway
        self.backend = EmbeddedBackend.open(state_dir, SystemClock())
        self.publisher: Publisher = self.backend.publisher()
        self.pipes = Pipes()
        self.url = f"http://127.0.0.1:{server.port}"
        self.port = server.port
        self.settings = FeedSettings(
            gateway=GatewaySettings(gateway.url, WORKER_ID, TOKEN),
            redirect_url="https://platform.example/back",
            plugin=PLUGIN,
        )
        self.bounds = Bounds(reply_s=5.0)
        self.clock: Clock = SystemClock()
        self.worker: Worker | None = None
        self.serve()

    def serve(self, *, settings: dict[str, Any] | None = None, **bounds: Any) -> None:
        """The function starts anew."""
        self.settings = replace(self.settings, **(settings or {}))
        self.bounds = replace(self.bounds, **bounds)
        self._server.receiver = FeedReceiver(
            self.settings, self.pipes, self.publisher, self.backend.replies, self.clock, bounds=self.bounds
        )

    def work(self, answer: Callable[[Message], Reply | None]) -> None:
        """A worker that takes messages and says what became of them."""
        self.worker = Worker(self.backend, answer)

    def call(
        self, method: str, path: str, body: object = None, *, headers: dict[str, str] | None = None
    ) -> requests.Response:
        data = body if isinstance(body, bytes | None) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        return requests.request(method, self.url + path, data=data, headers=headers or {}, timeout=30, allow_redirects=False)

    def post(self, route: str, body: object = None, **rest: Any) -> requests.Response:
        return self.call("POST", f"/v1/{route}", body, **rest)

    def update(self, *identifiers: object, **fields: Any) -> requests.Response:
        return self.post("user_segment_update", {**IDS, "user_identifiers": list(identifiers), **fields})

    def queued(self) -> list[Message]:
        """Takes everything out of the queue, in order."""
        found = []
        while (leased := self.backend.queue.take()) is not None:
            found.append(decode(leased.body))
            assert self.backend.queue.acknowledge(leased)
        return found

    def close(self) -> None:
        if self.worker is not None:
            self.worker.stop()
        asyncio.run(self.publisher.close())
        self.backend.close()


class Worker:
    """Takes messages from the real queue in a thread; the reply is the test's."""

    def __init__(self, backend: EmbeddedBackend, answer: Callable[[Message], Reply | None]) -> None:
        self._backend = backend
        self._answer = answer
        self.taken: list[Message] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopping.is_set():
            leased = self._backend.queue.take()
            if leased is None:
                time.sleep(0.005)
                continue
            message = decode(leased.body)
            self.taken.append(message)
            reply = self._answer(message)
            if reply is not None:
                self._backend.replies.give(reply)
            self._backend.queue.acknowledge(leased)


def replying(outcomes: dict[str, Any] | list[str] | str, **more: Any) -> Callable[[Message], Reply]:
    """Replies with these outcomes by user key, or the same for all. An outcome may be a list with code and hint."""

    def answer(message: Message) -> Reply:
        mutations = []
        for each in message.mutations:
            given = outcomes.get(each.user_key, "delivered") if isinstance(outcomes, dict) else outcomes
            outcome, code, hint = given if isinstance(given, list) else (given, "", "")
            mutations.append(MutationReply(each.index, _outcome(outcome), code, hint))
        due_in = more.get("due_in", 0)
        return Reply(
            VERSION,
            message.request_id,
            message.part,
            time.time(),
            tuple(mutations),
            reason=more.get("reason", ""),
            hint=more.get("hint", ""),
            due_at=time.time() + due_in if due_in else 0,
        )

    return answer


def _outcome(name: str) -> Outcome:
    known: dict[str, Outcome] = {
        "delivered": "delivered", "rejected": "rejected", "retry": "retry", "superseded": "superseded", "skipped": "skipped"
    }  # fmt: skip
    return known[name]
