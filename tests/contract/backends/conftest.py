"""The back ends that the suite runs against, each in a place of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.backends import open_backend
from relay.backends.interfaces import Backend, PullQueue
from relay.configuration import read
from relay.domain.clock import Clock
from tests import emulators
from tests.clock import TurnedClock
from tests.contract.backends.deliveries import Deliveries, Pulled, Pushed

Place = dict[str, str]
"""Environment variables that name a back end and an empty place in it: other processes open it by them."""


@pytest.fixture(params=["embedded", "google"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "google":
        return emulators.place(request.getfixturevalue("emulators"))
    return {"BACKEND": "embedded", "STATE_DIR": str(tmp_path / "state")}


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


@pytest.fixture
def deliveries(backend: Backend, place: Place) -> Iterator[Deliveries]:
    """The messages of the place's queue as they are handed out."""
    if isinstance(backend.queue, PullQueue):
        yield Pulled(backend)
    else:
        with Pushed(backend, place) as pushed:
            yield pushed


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no store that cannot be reached."""
    monkeypatch.setattr("relay.backends.google.documents._TRY_S", 30.0)
    monkeypatch.setattr("relay.backends.google.documents._IN_ALL_S", 60.0)
