"""An account whose client and tokens are real, and an authorization server of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.authentication import Secret
from adapters.authentication.token_call import Client
from adapters.client import RequestsClient
from adapters.contract import Account
from relay.backends.embedded import EmbeddedBackend
from relay.domain.connector import Timeouts
from tests.clock import TurnedClock
from tests.unit.adapters.authentication.server import CLIENT_ID, CLIENT_SECRET, AuthorizationServer, authorization_server
from worker.tokens import SharedTokens

CLIENT = Client(Secret("Client ID", CLIENT_ID), Secret("Client secret", CLIENT_SECRET))

MakeAccount = Callable[..., Account]


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with authorization_server() as made:
        yield made


@pytest.fixture
def make_account(tmp_path: Path, clock: TurnedClock) -> Iterator[MakeAccount]:
    """An account of the connector of that name; each has a store of tokens like that of a process of its own."""
    backends: list[EmbeddedBackend] = []

    def make(connector: str = "acme", clock: TurnedClock = clock) -> Account:
        backends.append(EmbeddedBackend.open(tmp_path / "state", clock))
        tokens = SharedTokens(backends[-1].tokens, clock)
        return Account(connector, {}, {}, RequestsClient(Timeouts(20, 20, 20), clock), clock, tokens)

    yield make
    for backend in backends:
        backend.close()


@pytest.fixture
def account(make_account: MakeAccount) -> Account:
    return make_account()
