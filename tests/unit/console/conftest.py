"""The console on a real store, with somebody logged in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.configuration import Configuration
from relay.connectors.publishing import Publishing
from relay.console import create_app
from relay.console.guard import PROXY_HEADER
from relay.console.identity import ProxyIdentity
from relay.console.roles import ROLES, Role
from tests.clock import TurnedClock
from tests.unit.console.compiled import Compiled
from tests.unit.console.signing_proxy import AUDIENCE, Proxy

DOCUMENT = """
name: shop
title: The shop's audiences
adapter: pangolin
inbound: {hmac_secret: shop-hmac}
settings: {base_url: "http://127.0.0.1:1"}
secrets: {token: shop-token}
actions:
  - {name: Create audience, trigger: created, operation: create_audience}
  - {name: Add, trigger: joined, operation: add, mapping: {id: user.id}}
  - {name: Remove, trigger: left, operation: remove, mapping: {id: user.id}}
"""

PASSWORD = "grün:secret"
CANARY = "canary-person"
"""An identifier of a person; no page may show it."""

NAME = "Ann"
"""Who is logged in."""

_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


class Browser:
    """A client that keeps its session, and answers forms as a browser does."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    @property
    def app(self) -> Flask:
        """The console that it looks at."""
        return self.client.application

    def log_in(self, password: str = PASSWORD, name: str = NAME) -> TestResponse:
        return self.post("/login", {"name": name, "password": password}, form="/login")

    def get(self, path: str, status: int = 200) -> TestResponse:
        answer = self.client.get(path)
        assert answer.status_code == status, (answer.status_code, answer.text[:500])
        return answer

    def text(self, path: str) -> str:
        """The page, in which all blanks are single."""
        return " ".join(self.get(path).text.split())

    def token(self, form: str = "/search") -> str:
        """What proves that a form comes from a page of the console."""
        found = _TOKEN.search(self.client.get(form).text)
        assert found, f"no form on {form}"
        return found.group(1)

    def post(self, path: str, data: dict[str, Any] | None = None, *, form: str = "/search") -> TestResponse:
        """Sends a form. `form`: a page that has one; each has that to log out."""
        return self.client.post(path, data={**(data or {}), "csrf_token": self.token(form)})


@pytest.fixture(scope="session", autouse=True)
def compiled() -> Iterator[None]:
    """A console is made for each test; its templates need not be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "jinja_options", {**Flask.jinja_options, "bytecode_cache": Compiled()})
        yield


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def backend(tmp_path: Path, clock: TurnedClock) -> Iterator[EmbeddedBackend]:
    backend = EmbeddedBackend.open(tmp_path / "state", clock)
    yield backend
    backend.close()


@pytest.fixture
def publishing(backend: EmbeddedBackend, clock: TurnedClock) -> Publishing:
    """With one complete connector, `shop`."""
    publishing = Publishing(backend, describe, "tester", clock)
    publishing.set_secret("shop-hmac", "canary-secret")
    publishing.set_secret("shop-token", "canary-secret")
    publishing.apply(DOCUMENT)
    return publishing


@pytest.fixture
def stranger(backend: EmbeddedBackend, clock: TurnedClock) -> Browser:
    """Nobody has logged in."""
    return Browser(create_app(Configuration(console_password=PASSWORD), backend, clock).test_client())


@pytest.fixture
def browser(stranger: Browser) -> Browser:
    """Somebody has logged in, as admin."""
    assert stranger.log_in().status_code == 302
    return stranger


@pytest.fixture(scope="session")
def proxy() -> Iterator[Proxy]:
    """Identity-Aware Proxy, with keys of its own."""
    made = Proxy()
    yield made
    made.stop()


@pytest.fixture
def somebody(backend: EmbeddedBackend, clock: TurnedClock, proxy: Proxy) -> Callable[[Role], Browser]:
    """Makes browsers of people whom the proxy let in, by their role."""
    configuration = Configuration(iap_audience=AUDIENCE, console_roles=",".join(f"{role}@example.com={role}" for role in ROLES))
    app = create_app(configuration, backend, clock, proxy=ProxyIdentity(AUDIENCE, clock, keys_url=proxy.url))

    def make(role: Role) -> Browser:
        client = app.test_client()
        header = f"HTTP_{PROXY_HEADER.upper().replace('-', '_')}"
        client.environ_base[header] = proxy.assertion(email=f"{role}@example.com")
        return Browser(client)

    return make
