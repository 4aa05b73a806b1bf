"""An installation on an embedded state of its own: the operator's `diy`, the DMP's requests, a worker whose clock is turned."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from handlers.inbound import CompiledInbound
from handlers.mapp.arrival import Arrival, BodyFields, Countdown
from handlers.mapp.changing import read_changes
from handlers.mapp.request_log import RequestRecord
from relay.backends.embedded import EmbeddedBackend
from relay.cli import main
from relay.domain.connector import InboundConnector
from relay.domain.message import Direction
from relay.domain.outcome import hash_user
from tests.clock import TurnedClock
from worker.tick import tick
from worker.turn import Worker

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"

_PARTNERS_WORDS = " The partner says: "
_SECRET = re.compile(r"^#   diy secrets set (?P<name>[a-z-]+) ", re.MULTILINE)


def text_of(example: str) -> str:
    """The document as it can be copied."""
    return (EXAMPLES / f"{example}.yaml").read_text(encoding="utf-8")


def name_of(example: str) -> str:
    """What its connector is called."""
    name: str = yaml.safe_load(text_of(example))["name"]
    return name


def secrets_of(example: str) -> list[str]:
    """The secrets that its head says are to be set."""
    return [found["name"] for found in _SECRET.finditer(text_of(example))]


def users(*identifiers: str, field: str = "User") -> list[dict[str, Any]]:
    """Each as the DMP sends it, with this field."""
    return [{field: identifier} for identifier in identifiers]


class Installation:
    """`clock`: the worker's; it begins now, so that both it and the command see one time."""

    def __init__(self, directory: Path) -> None:
        self.clock = TurnedClock(time.time())
        self._directory = directory
        self._state = directory / "state"
        self._requests = 0
        self._sent: dict[str, str] = {}

    # the operator

    def run(self, *arguments: str, input: str | None = None) -> Result:
        """One command."""
        state = {"STATE_DIR": str(self._state), "BACKEND": "embedded"}
        environment = {**state, "USER": "operator", "K_SERVICE": None, "PUBLIC_URL": ""}
        result = CliRunner().invoke(main, list(arguments), input=input, env=environment, terminal_width=200)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def diy(self, *arguments: str, input: str | None = None) -> str:
        """What a command writes that must succeed."""
        result = self.run(*arguments, input=input)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str) -> Any:
        """What a command says that must succeed, or say that someone must act."""
        result = self.run(*arguments, "--json")
        assert result.exit_code in (0, 1), result.output
        return json.loads(result.stdout)

    def apply(self, example: str, settings: dict[str, Any], secrets: dict[str, str]) -> str:
        """The example with an environment `test` beside it, which overrides these settings and nothing else, as a user would do
        for a sandbox, and with its secrets set. The name of the environment's connector."""
        file = self._directory / f"{example}.yaml"
        environment = yaml.safe_dump({"environments": {"test": {"settings": settings}}})
        file.write_text(f"{text_of(example)}\n{environment}", encoding="utf-8")
        self.diy("connectors", "apply", str(file))
        for name in secrets_of(example):
            self.diy("secrets", "set", name, input=secrets.get(name, "a-secret-of-the-dmp"))
        return f"{name_of(example)}@test"

    # the DMP

    def joined(self, connector: str, audience: str, *users: dict[str, Any]) -> None:
        """ADD_TO_AUDIENCE, and what comes of it."""
        self._receive(connector, "joined", audience, users)

    def left(self, connector: str, audience: str, *users: dict[str, Any]) -> None:
        """REMOVE_FROM_AUDIENCE, and what comes of it."""
        self._receive(connector, "left", audience, users)

    def _receive(self, connector: str, direction: Direction, audience: str, users: tuple[dict[str, Any], ...]) -> None:
        """Read as the receiver does, queued, and handled by a worker."""
        self._requests += 1
        with self._opened() as (backend, worker):
            described = worker.catalog.get(backend.connectors.state(connector)).connector
            inbound = CompiledInbound(InboundConnector(connector, described.inbound))
            body = BodyFields({"Mutations": [{"Audience": audience, **user} for user in users]})
            record = RequestRecord(f"request-{self._requests}")
            messages = read_changes(Arrival(inbound, body, record, self.clock.now(), Countdown(self.clock)), direction)
            assert record.unreadable == 0
            self._sent |= {hash_user(value): value for user in users for value in user.values()}
            backend.queue.publish(messages)
            _work(backend, worker)

    # the worker

    def pass_time(self, seconds: float) -> None:
        """Time passes, holds that are due are resumed, and a worker takes its turns."""
        self.clock.advance(seconds)
        with self._opened() as (backend, worker):
            tick(backend, worker.catalog, self.clock)
            _work(backend, worker)

    def waiting(self) -> list[tuple[str, str, str]]:
        """What is not done with: audience, reason and detail of each hold. Nothing may be left in the queue."""
        with self._opened() as (backend, _):
            depth = backend.queue.depth()
            assert depth is not None
            assert depth.messages == 0, "the worker gave a message back; the log says why"
            held = [(audience.id, audience.hold) for audience in backend.audiences.held()]
            return [(audience, hold.reason, hold.detail) for audience, hold in held if hold]

    def rejections(self) -> dict[str, tuple[str, str]]:
        """User → code and hint of the rejection, without what the partner says itself."""
        with self._opened() as (backend, _):
            connectors = {one["name"] for one in self.json("connectors", "list")}
            found = [one for name in sorted(connectors) for _, one in backend.reports.rejections(name, limit=100)]
        rejections = {self._sent[one.user_hash]: (one.code, one.hint.partition(_PARTNERS_WORDS)[0]) for one in found}
        assert len(rejections) == len(found), "somebody was rejected more than once"
        return rejections

    @contextmanager
    def _opened(self) -> Iterator[tuple[EmbeddedBackend, Worker]]:
        backend = EmbeddedBackend.open(self._state, self.clock, create=False)
        try:
            yield backend, Worker(backend, self.clock, random.Random(1))
        finally:
            backend.close()


def _work(backend: EmbeddedBackend, worker: Worker) -> None:
    """Until nothing is in the queue that may be handed out."""
    for _ in range(1_000):
        leased = backend.queue.take()
        if leased is None:
            return
        worker.handle(leased)
    raise AssertionError("the worker turns in circles")
