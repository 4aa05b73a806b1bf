"""A partner on this machine, and adapters for it that are described by settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.client import RequestsClient
from adapters.contract import Account, Row, Target
from adapters.http import Http
from relay.backends.embedded import EmbeddedBackend
from relay.connectors.yaml_text import load
from relay.domain.connector import Timeouts
from tests.clock import TurnedClock
from tests.unit.adapters.http.partner import Partner
from worker.tokens import SharedTokens

TARGET = Target("a.1", "Spring & Summer", "p/1", "acme/a.1")

Opening = Callable[..., Http]


def rows(*values: dict[str, Any]) -> list[Row]:
    """Rows with these values, prepared."""
    return [Row(one, f"00000000-0000-4000-8000-{number:012}", 1_800_000_000.0) for number, one in enumerate(values)]


def users(ids: Sequence[str]) -> list[Row]:
    """Rows with nothing but an ID."""
    return rows(*({"id": one} for one in ids))


def settings_of(text: str, url: str = "http://127.0.0.1:1") -> dict[str, Any]:
    """Settings written as in a document, with the partner's address in the place of URL."""
    return {"base_url": url, "allow_private_network": True, **load(text.replace("URL", url))}


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def partner() -> Iterator[Partner]:
    with Partner() as started:
        yield started


@pytest.fixture
def open_http(partner: Partner, clock: TurnedClock, tmp_path: Path) -> Iterator[Opening]:
    """Opens the adapter with these settings, as text of a document, and secrets."""
    backend = EmbeddedBackend.open(tmp_path / "state", clock)

    def opening(settings: str, **secrets: str) -> Http:
        client = RequestsClient(Timeouts(20, 20, 20), clock)
        tokens = SharedTokens(backend.tokens, clock)
        return Http(Account("acme", settings_of(settings, partner.url), secrets, client, clock, tokens))

    yield opening
    backend.close()
