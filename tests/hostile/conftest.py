"""How long it is tried: some seconds, or as long as `--fuzz-seconds` says."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def fuzz_seconds(request: pytest.FixtureRequest) -> float:
    """For each of the tests that try as many cases as they can."""
    seconds: float = request.config.getoption("--fuzz-seconds", 15.0)
    return seconds
