"""The command on a real embedded state of the test's own, with a real Pangolin as the partner."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay.backends.embedded import EmbeddedBackend
from relay.cli import main
from relay.domain.clock import SystemClock
from relay.domain.message import VERSION, Direction, Message, Mutation
from relay.pangolin.server import InThread
from worker.turn import Worker

TOKEN = "the-token-of-this-pangolin"
NOBODY_LISTENS = "http://127.0.0.1:9"

DOCUMENT = """\
name: {name}
adapter: pangolin
inbound: {{hmac_secret: {name}-hmac, basic_auth: {name}-basic, audience_id: {mode}}}
settings: {{base_url: "{base_url}"}}
secrets: {{token: {name}-token}}
actions:
  - {{name: Create audience, trigger: created, operation: create_audience}}
  - {{name: Add, trigger: joined, operation: add, mapping: {{id: user.id}}}}
  - {{name: Remove, trigger: left, operation: remove, mapping: {{id: user.id}}}}
"""


class Diy:
    """Runs `diy` on the state in `directory`, which is not there at first."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.user = "the-operator"

    def __call__(self, *arguments: str, input: str | bytes | None = None, public_url: str = "", columns: int = 200) -> Result:
        environment = {
            "STATE_DIR": str(self.state),
            "USER": self.user,
            "PUBLIC_URL": public_url,
            "BACKEND": "embedded",
            "K_SERVICE": None,
        }
        result = CliRunner().invoke(main, list(arguments), input=input, env=environment, terminal_width=columns)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, *arguments: str) -> Any:
        """The result of a command with --json, which must succeed or say that someone must act."""
        result = self(*arguments, "--json")
        assert result.exit_code in (0, 1), result.stderr
        return json.loads(result.stdout)

    def fine(self, *arguments: str, input: str | None = None) -> str:
        """Standard output of a command that must succeed."""
        result = self(*arguments, input=input)
        assert result.exit_code == 0, result.output
        return result.stdout

    def document(self, name: str = "pangolin", *, base_url: str = NOBODY_LISTENS, mode: str = "own", more: str = "") -> str:
        """Path of a document for Pangolin."""
        file = self.directory / f"{name}.yaml"
        file.write_text(DOCUMENT.format(name=name, base_url=base_url, mode=mode) + more)
        return str(file)

    def apply(self, name: str = "pangolin", *, base_url: str = NOBODY_LISTENS, mode: str = "own", more: str = "") -> None:
        """A complete connector."""
        self.fine("connectors", "apply", self.document(name, base_url=base_url, mode=mode, more=more))
        self.fine("secrets", "set", f"{name}-hmac", input="an-hmac-secret\n")
        self.fine("secrets", "set", f"{name}-basic", input="mapp:a:password\n")
        self.fine("secrets", "set", f"{name}-token", input=TOKEN)

    @contextmanager
    def backend(self) -> Iterator[EmbeddedBackend]:
        """The state as the other processes see it."""
        opened = EmbeddedBackend.open(self.state, SystemClock(), create=False)
        try:
            yield opened
        finally:
            opened.close()

    def receive(
        self, audience: str, *users: str, direction: Direction = "joined", connector: str = "pangolin", journal_days: int = 0
    ) -> None:
        """Queues one request's changes, as the receiver does."""
        clock = SystemClock()
        message = Message(
            version=VERSION,
            kind="change",
            connector=connector,
            audience=audience,
            request_id=f"request-{audience}-{len(users)}",
            received_at=clock.now(),
            mutations=tuple(Mutation(index=index, direction=direction, user={"id": user}) for index, user in enumerate(users)),
            journal_days=journal_days,
        )
        with self.backend() as backend:
            backend.queue.publish([message])

    def work(self) -> None:
        """Handles what is in the queue, as a worker does."""
        with self.backend() as backend:
            worker = Worker(backend, SystemClock())
            while (leased := backend.queue.take()) is not None:
                worker.handle(leased)

    def hold(self, audience: str = "a.1", *users: str) -> None:
        """Lets changes of an audience wait in a hold: the connector is paused."""
        self.fine("holds", "pause", "pangolin")
        self.receive(audience, *(users or ("user-1", "user-2")))
        self.work()


@pytest.fixture
def diy(tmp_path: Path) -> Diy:
    return Diy(tmp_path)


@pytest.fixture
def pangolin(tmp_path: Path) -> Iterator[InThread]:
    with InThread(tmp_path / "pangolin.db", TOKEN) as partner:
        yield partner


@pytest.fixture
def connected(diy: Diy, pangolin: InThread) -> Diy:
    """A complete connector `pangolin` whose partner is there."""
    diy.apply(base_url=pangolin.url)
    return diy

