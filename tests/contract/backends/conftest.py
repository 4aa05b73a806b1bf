"""The back ends that the suite runs against, each in a place of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.backends import open_backend
from relay.backends.interfaces import Backend
from relay.configuration import read
from relay.domain.clock import Clock
from tests.clock import TurnedClock

Place = dict[str, str]
"""Environment variables that name a back end and an empty place in it: other processes open it by them."""


@pytest.fixture(params=["embedded"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return {"BACKEND": str(request.param), "STATE_DIR": str(tmp_path / "state")}


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def opened(place: Place) -> Iterator[Callable[[Clock], Backend]]:
    """Opens the same place as often as asked, as further processes would."""
    backends: list[Backend] = []

    def open_again(clock: Clock) -> Backend:
        backends.append(open_backend(read(place), clock))
        return backends[-1]

    yield open_again
    for backend in backends:
        backend.close()


@pytest.fixture
def backend(opened: Callable[[Clock], Backend], clock: TurnedClock) -> Backend:
    return opened(clock)
