"""An embedded back end on the machine's clock, in a directory of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.domain.clock import SystemClock


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def backend(state_dir: Path) -> Iterator[EmbeddedBackend]:
    opened = EmbeddedBackend.open(state_dir, SystemClock())
    yield opened
    opened.close()
