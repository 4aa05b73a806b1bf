"""Whatever is sent: one of the answers that are documented, with a sentence that tells nothing of what was sent; cheaply; and a
200 only for what is in the queue."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from handlers.inbound import InboundView
from handlers.mapp.receiver import Receiver
from relay.backends.embedded import EmbeddedBackend
from relay.domain.clock import SystemClock
from relay.domain.connector import VERSION, InboundDocument
from relay.domain.message import decode, encode
from tests.hostile.documents import CANARY
from tests.hostile.exchanges import Exchange, answered, exchange
from tests.unit.mapp.edge import CREDENTIALS, PREVIOUS_SECRET, SECRET, ScriptedCreator, connector

DOCUMENTED = {200, 400, 401, 404, 405, 413}
"""Without trouble of the store or the partner, and on connectors with secrets of their own."""

CPU_S_PER_MEGABYTE = 1.0
_CPU_S_FOR_ANY = 0.25
"""Of a request that is nearly empty, in a process that also commits to the disk and has a garbage collector."""

Lines = Callable[[], list[str]]


class World:
    """A receiver on a real queue, and what came of each request."""

    def __init__(self, state: Path) -> None:
        self.backend = EmbeddedBackend.open(state, SystemClock())
        connectors = (connector(), connector("with-basic", credentials=(CREDENTIALS,)))
        self.backend.inbound.write(InboundDocument(version=VERSION, connectors=connectors, default="pangolin"))
        self.creator = ScriptedCreator()
        self._publisher = self.backend.publisher()
        self._view = InboundView(self.backend.inbound, reread_s=3_600)
        self.receiver = Receiver(self._view, self._publisher, self.creator, SystemClock())
        self._seen = 0

    async def close(self) -> None:
        await self._publisher.close()
        self._view.close()
        self.backend.close()

    def newly_queued(self) -> list[Any]:
        """The messages since the last time."""
        rows = self.backend.database.rows("SELECT id, body FROM messages WHERE id > ? ORDER BY id", (self._seen,))
        self._seen = rows[-1][0] if rows else self._seen
        return [decode(body) for _, body in rows]


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Lines:
    """What was written to the log since the last time."""

    def since() -> list[str]:
        return capfd.readouterr().err.splitlines()

    return since


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "state")


@pytest.mark.timeout(0)
def test_what_went_wrong_in_any_way_is_answered_as_documented(world: World, lines: Lines, fuzz_seconds: float) -> None:
    statuses = asyncio.run(_tried(world, lines, fuzz_seconds))
    assert statuses[200] > statuses.total() / 10, "most of them are refused too early to try anything"
    assert statuses[400] > statuses.total() / 10
    assert {401, 404, 405} <= statuses.keys()


async def _tried(world: World, lines: Lines, seconds: float) -> Counter[int]:
    statuses: Counter[int] = Counter()
    until = time.monotonic() + seconds
    for number in itertools.count():
        if time.monotonic() > until:
            break
        asked = exchange(random.Random(number))
        try:
            statuses[await _check(world, asked, lines)] += 1
        except AssertionError as error:
            shown = f"{asked.method} {asked.path!r} ?{asked.query!r} {asked.headers!r} {asked.body[:2_000]!r}"
            raise AssertionError(f"case {number}: {shown[:4_000]}") from error
    await world.close()
    return statuses


async def _check(world: World, asked: Exchange, lines: Lines) -> int:
    world.creator.asked.clear()
    began = time.process_time()
    status, content, headers = await answered(world.receiver, asked)
    cpu_s = time.process_time() - began
    queued = world.newly_queued()
    assert status in DOCUMENTED
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"]
    answer = json.loads(content)
    if status == 200:
        _check_kept(world, answer, queued)
    else:
        assert not queued
        assert list(answer) == ["error"]
        assert answer["error"].endswith((".", ")"))
    log = lines()
    for text in (content.decode(), *log):
        assert not any(secret in text for secret in (CANARY, SECRET, PREVIOUS_SECRET, CREDENTIALS))
        assert "Traceback" not in text
    assert all(msgspec.json.decode(line)["severity"] != "ERROR" for line in log)
    allowed_s = _CPU_S_FOR_ANY + CPU_S_PER_MEGABYTE * len(asked.body) / 1e6
    if cpu_s > allowed_s:
        assert await _least_cpu_s(world, asked) <= allowed_s
    return status


def _check_kept(world: World, answer: dict[str, Any], queued: list[Any]) -> None:
    """A 200 says how many mutations there are, and the queue has as many; the other answers carry none."""
    said = answer.get("accepted", 0) + answer.get("unreadable", 0)
    assert sum(len(message.mutations) for message in queued) == said
    assert sum(each.unreadable is not None for message in queued for each in message.mutations) == answer.get("unreadable", 0)
    assert set(answer) in ({"accepted", "unreadable"}, set())
    assert not answer or not world.creator.asked
    for message in queued:
        assert decode(encode(message)) == message


async def _least_cpu_s(world: World, asked: Exchange) -> float:
    """Of three more: what another thread did meanwhile does not count."""
    found = []
    for _ in range(3):
        began = time.process_time()
        await answered(world.receiver, asked)
        found.append(time.process_time() - began)
    world.newly_queued()
    return min(found)
