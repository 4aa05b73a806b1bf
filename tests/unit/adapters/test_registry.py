"""Adapters by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import HttpAnswer, HttpRequest
from adapters.registry import called, describe, names, open_adapter
from relay.domain.clock import SystemClock
from relay.domain.connector import BatchLimits, Connector, Inbound, Limits
from relay.domain.errors import Misconfigured
from tests.contract.adapters.harness import NoTokens

ROOT = Path(__file__).parents[3]


def connector(adapter: str, settings: dict[str, Any]) -> Connector:
    limits = Limits(batch=BatchLimits(max_items=1, max_bytes=1))
    return Connector("c", "c", 1, adapter, Inbound(hmac_secret="x"), (), limits, settings)


def opened(adapter: str, settings: dict[str, Any]) -> Any:
    return open_adapter(connector(adapter, settings), {}, clock=SystemClock(), tokens=NoTokens())


def test_every_name_is_described_under_this_name() -> None:
    assert [describe(name) and describe(name).name for name in names()] == list(names())  # type: ignore[union-attr]


def test_what_is_not_there_is_not_described() -> None:
    assert describe("nowhere") is None


@pytest.mark.parametrize(
    ("adapter", "settings", "name"),
    [
        ("pangolin", {"base_url": "http://127.0.0.1:1"}, "Pangolin"),
        ("http", {"partner": "Acme", "base_url": "https://api.acme.example"}, "Acme"),
        ("http", {"base_url": "https://api.acme.example/v2"}, "api.acme.example"),
        ("http", {"base_url": "https://[", "operations": "nonsense"}, "the partner"),
        ("http", {"base_url": 7, "partner": ["x"]}, "the partner"),
        ("gone", {}, "gone"),
    ],
)
def test_a_connectors_partner_has_a_name_whatever_else_is_wrong(adapter: str, settings: dict[str, Any], name: str) -> None:
    assert called(connector(adapter, settings)) == name


def test_an_unknown_adapter_is_for_someone_to_put_right() -> None:
    with pytest.raises(Misconfigured, match="no adapter named 'nowhere'"):
        opened("nowhere", {})


@pytest.mark.parametrize("settings", [{}, {"base_url": ""}, {"base_url": None}])
def test_a_missing_setting_is_for_someone_to_put_right(settings: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match="'base_url'"):
        opened("pangolin", settings)


def test_a_client_is_made_unless_one_is_given() -> None:
    class Given:
        def send(self, request: HttpRequest, *, auth: object) -> HttpAnswer:
            raise AssertionError

    usual = opened("pangolin", {"base_url": "http://127.0.0.1:1"})
    assert type(usual.account.client).__name__ == "RequestsClient"
    given = Given()
    settings = {"base_url": "http://127.0.0.1:1"}
    own = open_adapter(connector("pangolin", settings), {}, clock=SystemClock(), tokens=NoTokens(), client=given)
    assert own.account.client is given  # type: ignore[attr-defined]


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    program = (
        "import sys, adapters.registry as r; r.names(); "
        "print('adapters.pangolin' in sys.modules); r.describe('pangolin'); "
        "print('adapters.pangolin' in sys.modules, 'requests' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True", "False"]
