"""One server and one gateway for all tests of a process, a new function and a new queue for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.wide_log import set_threshold
from tests.unit.mapp.edge import Server
from tests.unit.mediarithmics.gateway import Gateway
from tests.unit.mediarithmics.platform import Platform

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def feed_server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def running_gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    yield gateway
    gateway.close()


@pytest.fixture
def gateway(running_gateway: Gateway) -> Gateway:
    running_gateway.reset()
    return running_gateway


@pytest.fixture
def platform(feed_server: Server, gateway: Gateway, tmp_path: Path) -> Iterator[Platform]:
    platform = Platform(feed_server, gateway, tmp_path / "state")
    yield platform
    platform.close()
    set_threshold("INFO")


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Lines:
    """The log lines since the last time."""
    def read() -> list[dict[str, Any]]:
        text = capfd.readouterr().err
        assert all(line.startswith("{") for line in text.splitlines()), text[:3000]
        return [msgspec.json.decode(line) for line in text.splitlines()]

    return read
