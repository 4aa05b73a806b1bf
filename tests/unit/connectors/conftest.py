"""A real back end for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.backends import open_backend
from relay.backends.interfaces import Backend
from relay.configuration import Configuration
from relay.connectors.publishing import Publishing
from tests.clock import TurnedClock
from tests.unit.connectors.example import describe


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def backend(tmp_path: Path, clock: TurnedClock) -> Iterator[Backend]:
    backend = open_backend(Configuration(state_dir=tmp_path), clock)
    yield backend
    backend.close()


@pytest.fixture
def publishing(backend: Backend, clock: TurnedClock) -> Publishing:
    return Publishing(backend, describe, "ada", clock)
