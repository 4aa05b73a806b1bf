"""A process with two workers, each of which asks for the same token: `python -m … STATE TOKEN_URL` prints what they got."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adapters.authentication import Secret
from adapters.authentication.oauth2 import OAuth2RefreshToken
from adapters.client import RequestsClient
from adapters.contract import Account, HttpRequest
from relay.backends.embedded import EmbeddedBackend
from relay.domain.clock import SystemClock
from relay.domain.connector import Timeouts
from tests.unit.adapters.authentication.conftest import CLIENT
from tests.unit.adapters.authentication.server import FIRST_REFRESH
from worker.tokens import SharedTokens


def refresh_token(account: Account, token_url: str) -> OAuth2RefreshToken:
    """The same for all processes."""
    return OAuth2RefreshToken(account, CLIENT, token_url=token_url, refresh_token=Secret("Refresh token", FIRST_REFRESH))


def account(backend: EmbeddedBackend) -> Account:
    """On the machine's own clock."""
    clock = SystemClock()
    client = RequestsClient(Timeouts(20, 20, 20), clock)
    return Account("acme", {}, {}, client, clock, SharedTokens(backend.tokens, clock))


def main(state: str, token_url: str) -> None:
    backend = EmbeddedBackend.open(Path(state), SystemClock())
    worker = refresh_token(account(backend), token_url)
    with ThreadPoolExecutor(2) as pool:
        got = pool.map(lambda _: worker.credentials(HttpRequest("GET", "https://api.example.com")).token, range(2))
        print(*got)
    backend.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
