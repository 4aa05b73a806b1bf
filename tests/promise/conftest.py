"""One Pangolin for all worlds of a test process, and the places where they keep things."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.pangolin.server import InThread
from tests.emulators import place
from tests.promise.world import TOKEN


@pytest.fixture(scope="session")
def pangolin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InThread]:
    with InThread(Path(tmp_path_factory.mktemp("pangolin")) / "pangolin.db", token=TOKEN) as server:
        yield server


Places = Callable[[], dict[str, str] | None]


@pytest.fixture(params=["embedded", pytest.param("google", marks=pytest.mark.once)])
def places(request: pytest.FixtureRequest) -> Places:
    """Makes a place for each world: where it keeps everything but its queue. None: beside its queue."""
    if request.param == "embedded":
        return lambda: None
    emulators = request.getfixturevalue("emulators")
    return lambda: place(emulators)


@pytest.fixture
def cases(request: pytest.FixtureRequest) -> int:
    """Runs of a property that were asked for (`--cases`); 0: as many as the test itself finds enough."""
    number: int = request.config.getoption("--cases")
    return number
