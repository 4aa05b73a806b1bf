"""An embedded back end on the machine's clock, in a directory of its own; or as many as asked for, on any clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend, log_sync
from relay.domain.clock import Clock, SystemClock
from tests.clock import TurnedClock
from tests.unit.embedded.syncs import Syncs


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def backend(state_dir: Path) -> Iterator[EmbeddedBackend]:
    opened = EmbeddedBackend.open(state_dir, SystemClock())
    yield opened
    opened.close()


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def opened(state_dir: Path) -> Iterator[Callable[[Clock], EmbeddedBackend]]:
    """Opens the same place as often as asked, as further processes would."""
    backends: list[EmbeddedBackend] = []

    def open_again(clock: Clock) -> EmbeddedBackend:
        backends.append(EmbeddedBackend.open(state_dir, clock))
        return backends[-1]

    yield open_again
    for backend in backends:
        backend.close()


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    counted = Syncs()
    monkeypatch.setattr(log_sync, "_sync", counted)
    return counted
