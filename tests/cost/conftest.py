"""A world of its own for each test, behind proxies that nothing else uses: what they count is the test's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.backends.google import documents
from relay.pangolin.server import InThread
from tests.cost.pushes import PATIENCE_S
from tests.cost.world import TOKEN, World
from tests.emulators import Emulators


@pytest.fixture(scope="module")
def counting(emulators: Emulators) -> Iterator[Emulators]:
    own = Emulators(emulators.addresses)
    yield own
    own.close()


@pytest.fixture
def make_world(counting: Emulators, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    # What is repeated because the machine is slow would be counted, too.
    for name in ("_TRY_S", "_IN_ALL_S"):
        monkeypatch.setattr(documents, name, PATIENCE_S)
    made: list[World] = []
    with InThread(tmp_path / "pangolin.db", token=TOKEN) as pangolin:

        def make(**options: Any) -> World:
            made.append(World(counting, pangolin, tmp_path, **options))
            return made[-1]

        yield make
        for world in made:
            world.close()
