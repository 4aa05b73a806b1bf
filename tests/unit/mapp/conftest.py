"""One server for all tests of a process, a new receiver and a new queue for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.mapp.edge import Edge, Server

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def edge(server: Server, tmp_path: Path) -> Iterator[Edge]:
    edge = Edge(server, tmp_path / "state")
    yield edge
    edge.close()


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Lines:
    """The log lines since the last time."""
    return lambda: [msgspec.json.decode(line) for line in capfd.readouterr().err.splitlines()]
