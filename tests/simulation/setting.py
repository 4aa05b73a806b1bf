"""How a story's connector is configured, and the state directory in which it is applied."""

from __future__ import annotations

import atexit
import re
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from tests.simulation.clock import Machine
from tests.simulation.partner import CONNECT_S, TOKEN, URL

CONNECTOR = "pangolin"

DOCUMENT = """
name: pangolin
adapter: pangolin
inbound: {{hmac_secret: dmp-hmac, audience_id: own}}
settings: {{base_url: "{url}"}}
secrets: {{token: partner-token}}
actions:
  - {{name: Create audience, trigger: created, operation: create_audience}}
  - {{name: Add, trigger: joined, operation: add, mapping: {{id: lower(user.id)}}}}
  - {{name: Remove, trigger: left, operation: remove, mapping: {{id: lower(user.id)}}}}
retention: {{journal: "{journal}"}}
limits: {{batch: {{max_items: {max_items}, max_age: {max_age}}}, rate: {rate}}}
timeouts: {{connect: {connect_s:g}s, answer: 5s, batch_answer: 10s}}
"""


class Setting(NamedTuple):
    """How the connector is configured, and how many workers there are."""

    max_items: int = 100
    max_age: str = "0s"
    calls: int = 0
    per_s: float = 10.0
    workers: int = 1
    pushed: bool = False
    journal_days: int = 0

    @property
    def document(self) -> str:
        rate = f"{{calls: {self.calls}, per: {self.per_s:g}s}}" if self.calls else "{concurrency: 8}"
        return DOCUMENT.format(
            url=URL,
            max_items=self.max_items,
            max_age=self.max_age,
            rate=rate,
            connect_s=CONNECT_S,
            journal=f"{self.journal_days}d" if self.journal_days else "off",
        )


@cache
def _template(document: str) -> Path:
    """A state directory with the connector applied."""
    state = Path(mkdtemp(prefix="simulated-", dir=_memory()))
    atexit.register(shutil.rmtree, state, ignore_errors=True)
    machine = Machine(lambda: -60.0)

    class Clock:
        def now(self) -> float:
            return machine.now()

        def monotonic(self) -> float:
            return 0.0

        def sleep(self, seconds: float) -> None:
            raise AssertionError("nobody waits here")

    backend = EmbeddedBackend.open(state, Clock())
    publishing = Publishing(backend, describe, "test", Clock())
    publishing.set_secret("partner-token", TOKEN)
    publishing.set_secret("dmp-hmac", "hmac-secret-value")
    publishing.apply(document)
    publishing.apply(re.sub(r"max_age: \w+", "max_age: 60s", document) + "# gathers\n", draft=True)
    backend.close()
    return state


def state_of(document: str) -> Path:
    """A directory of its own for each story."""
    template = _template(document)
    state = Path(mkdtemp(prefix="simulated-", dir=_memory()))
    shutil.copy(template / "relay.db", state)
    (state / "secrets").symlink_to(template / "secrets")
    return state


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a directory of our own is made there
