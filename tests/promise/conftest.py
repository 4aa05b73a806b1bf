"""One Pangolin for all worlds of a test process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.pangolin.server import InThread
from tests.promise.world import TOKEN


@pytest.fixture(scope="session")
def pangolin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InThread]:
    with InThread(Path(tmp_path_factory.mktemp("pangolin")) / "pangolin.db", token=TOKEN) as server:
        yield server
