"""What is missing before a connector can run is said in sentences."""

from __future__ import annotations

from msgspec.structs import replace

from relay.backends.interfaces import Backend
from relay.connectors.completeness import missing
from relay.domain.connector import Connector
from tests.unit.connectors.example import ACME, expanded


def set_all(backend: Backend) -> None:
    for name, value in {"acme-hmac": "k", "acme-basic": "mapp:pass:word", "acme-token": "t"}.items():
        backend.secrets.set(name, value)


def found(backend: Backend, connector: Connector | None = None) -> list[str]:
    return missing(connector or expanded()[0], ACME, backend.secrets)


def test_nothing_is_missing_once_all_secrets_are_set(backend: Backend) -> None:
    set_all(backend)
    assert found(backend) == []


def test_each_unset_secret_is_named_with_its_purpose_and_its_command(backend: Backend) -> None:
    assert found(backend) == [
        "The secret 'acme-hmac' (signature of the DMP, X-HMAC) is not set: diy secrets set acme-hmac",
        "The secret 'acme-basic' (Basic user and password of the DMP, as user:password) is not set: diy secrets set acme-basic",
        "The secret 'acme-token' (API token) is not set: diy secrets set acme-token",
    ]


def test_an_optional_secret_counts_once_the_document_names_it(backend: Backend) -> None:
    set_all(backend)
    connector = expanded()[0]
    named = replace(connector, secrets={**connector.secrets, "proxy": "acme-proxy"})
    assert found(backend, named) == ["The secret 'acme-proxy' (Proxy password) is not set: diy secrets set acme-proxy"]


def test_a_required_secret_that_the_document_does_not_name(backend: Backend) -> None:
    set_all(backend)
    (sentence,) = found(backend, replace(expanded()[0], secrets={}))
    assert "`secrets.token`" in sentence


def test_basic_credentials_without_a_colon_are_missing_a_part_and_are_not_shown(backend: Backend) -> None:
    set_all(backend)
    for value in ("hunter2", ":hunter2", "hunter2:"):
        backend.secrets.set("acme-basic", value)
        (sentence,) = found(backend)
        assert "user:password" in sentence
        assert "hunter2" not in sentence


def test_a_required_setting_that_is_empty(backend: Backend) -> None:
    set_all(backend)
    for settings in ({}, {"base_url": ""}):
        (sentence,) = found(backend, replace(expanded()[0], settings=settings))
        assert sentence == "The setting 'Address' (`settings.base_url`) is empty."


def test_a_required_trigger_needs_an_action_that_is_enabled(backend: Backend) -> None:
    set_all(backend)
    connector = expanded()[0]
    create, add, remove = connector.actions
    assert found(backend, replace(connector, actions=(create, add))) == [
        "No action is enabled for when a user leaves an audience (trigger `left`)."
    ]
    assert found(backend, replace(connector, actions=(create, add, replace(remove, enabled=False)))) == [
        "No action is enabled for when a user leaves an audience (trigger `left`)."
    ]
