"""A world for each test: receiver, store, worker and a Pangolin, with a turned clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.pangolin.server import InThread
from tests.promise.world import TOKEN, World


@pytest.fixture(scope="module")
def pangolin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InThread]:
    with InThread(tmp_path_factory.mktemp("pangolin") / "pangolin.db", token=TOKEN) as server:
        yield server


@pytest.fixture
def make_world(pangolin: InThread, tmp_path: Path) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(**options: Any) -> World:
        # Long enough for a busy machine; tests of time-outs ask for less.
        options = {"answer": "5s", **options}
        made.append(World(tmp_path / f"state-{len(made)}", pangolin, f"{tmp_path.name}-{len(made)}-", **options))
        return made[-1]

    yield make
    for world in made:
        world.faults()
        world.backend.close()
        world.view.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()
