"""Creations in the receiver's own process: one connector's trouble is not the other's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.domain.clock import SystemClock
from relay.pangolin.server import InThread
from worker.creator import InProcessCreator

DOCUMENT = """
name: {name}
adapter: pangolin
inbound: {{hmac_secret: dmp-hmac}}
settings: {{base_url: "http://127.0.0.1:{port}"}}
secrets: {{token: partner-token}}
timeouts: {{answer: 60s}}
limits: {{rate: {{concurrency: 8}}}}
actions:
  - {{name: Create audience, trigger: created, operation: create_audience}}
  - {{name: Add, trigger: joined, operation: add, mapping: {{id: user.id}}}}
  - {{name: Remove, trigger: left, operation: remove, mapping: {{id: user.id}}}}
"""


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[EmbeddedBackend]:
    backend = EmbeddedBackend.open(tmp_path / "state", SystemClock())
    yield backend
    backend.close()


def test_a_partner_that_never_answers_does_not_hold_up_the_creations_of_another_connector(
    backend: EmbeddedBackend, tmp_path: Path
) -> None:
    async def create(connector: str, audience: str) -> str:
        return await creator.create(
            connector=connector, audience=audience, name=audience, customer=None, mode="own", request_id="r"
        )

    async def both() -> None:
        dead = [asyncio.ensure_future(create("dead", f"d.{number}")) for number in range(40)]
        await asyncio.sleep(0)  # they are asked for first
        try:
            assert await create("living", "l.1")
            assert not any(one.done() for one in dead)
        finally:
            silent.close()  # breaks the connections
            await asyncio.wait(dead)

    creator = InProcessCreator(backend, SystemClock())
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent, InThread(tmp_path / "pangolin.db") as living:
        publishing = Publishing(backend, describe, "test")
        publishing.set_secret("dmp-hmac", "a-secret")
        publishing.set_secret("partner-token", living.token)
        for name, port in {"dead": silent.getsockname()[1], "living": living.port}.items():
            publishing.apply(DOCUMENT.format(name=name, port=port))
        asyncio.run(both())
