"""A running Pangolin and a customer of it, over real HTTP."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from relay.pangolin.server import InThread
from tests.clock import TurnedClock

TOKEN = "a-token-for-tests"


class Customer:
    """Calls Pangolin as a partner's customer does."""

    def __init__(self, server: InThread) -> None:
        self.server = server
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {server.token}"

    def call(self, method: str, path: str, body: Any = None, *, timeout: float = 30, **options: Any) -> requests.Response:
        return self.session.request(method, self.server.url + path, json=body, timeout=timeout, **options)

    def create(self, reference: str, name: str = "An audience") -> str:
        answer = self.call("POST", "/api/audiences", {"name": name, "reference": reference})
        return str(answer.json()["id"])

    def add(self, audience: str, *users: str) -> requests.Response:
        return self.call("POST", f"/api/audiences/{audience}/users", {"users": [{"id": user} for user in users]})

    def remove(self, audience: str, *users: str) -> requests.Response:
        return self.call("DELETE", f"/api/audiences/{audience}/users", {"users": [{"id": user} for user in users]})

    def members(self, audience: str) -> list[str]:
        return [user["id"] for user in self.call("GET", f"/api/audiences/{audience}/users").json()["users"]]

    def size(self, audience: str) -> int:
        return int(self.call("GET", f"/api/audiences/{audience}").json()["size"])

    def break_it(self, **faults: Any) -> None:
        answer = self.call("PUT", "/api/faults", faults)
        assert answer.status_code == 200, answer.text

    def mend(self) -> None:
        self.call("DELETE", "/api/faults")

    def calls(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.call("GET", "/api/calls").json()
        return listed


class Chance:
    """Chance that a test turns."""

    def __init__(self) -> None:
        self.next: Callable[[], float] = random.Random(1).random

    def __call__(self) -> float:
        return self.next()


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def chance() -> Chance:
    return Chance()


@pytest.fixture
def server(tmp_path: Path, clock: TurnedClock, chance: Chance) -> Iterator[InThread]:
    with InThread(tmp_path / "state" / "pangolin.db", token=TOKEN, clock=clock, chance=chance) as running:
        yield running


@pytest.fixture
def customer(server: InThread) -> Customer:
    return Customer(server)


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Customer]:
    """A customer of a Pangolin that many tests share: for those that leave nothing behind that matters to others."""
    with InThread(tmp_path_factory.mktemp("pangolin") / "pangolin.db", token=TOKEN) as running:
        yield Customer(running)
