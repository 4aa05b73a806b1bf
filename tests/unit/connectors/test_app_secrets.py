"""Secrets that connectors can take from an app of the installation instead of naming their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from adapters.contract import Description, Field
from relay.backends.interfaces import Backend
from relay.connectors.completeness import missing
from relay.connectors.publishing import Publishing
from relay.connectors.secret_names import partner_secrets, secret_names
from relay.domain.connector import Connector
from relay.domain.errors import Conflict, DocumentError
from tests.clock import TurnedClock
from tests.unit.connectors.example import ACME, DOCUMENT, expanded, hold

SHARED = replace(
    ACME,
    app="acme",
    secrets=(
        Field("client_id", "Client ID", required=True, app=True),
        Field("client_secret", "Client secret", required=True, app=True),
        Field("extra", "Extra", app=True),
        Field("token", "API token", required=True),
    ),
)


def describe(name: str, settings: Mapping[str, Any] | None = None, /) -> Description | None:
    return SHARED if name == "acme" else None


@pytest.fixture
def connector() -> Connector:
    return expanded()[0]


def test_what_the_document_does_not_name_comes_from_the_app_and_what_it_names_is_its_own(connector: Connector) -> None:
    assert partner_secrets(connector, SHARED) == {
        "client_id": "app-acme-client-id",
        "client_secret": "app-acme-client-secret",
        "extra": "app-acme-extra",
        "token": "acme-token",
    }
    own = replace(connector, secrets={"client_id": "acme-client-id", "token": "acme-token"})
    assert partner_secrets(own, SHARED)["client_id"] == "acme-client-id"


def test_an_adapter_without_an_app_has_no_shared_secrets(connector: Connector) -> None:
    assert partner_secrets(connector, replace(SHARED, app="")) == {"token": "acme-token"}
    assert partner_secrets(connector, None) == {"token": "acme-token"}


def test_what_is_missing_is_said_with_both_ways_to_give_it(backend: Backend, connector: Connector) -> None:
    for name in ("acme-hmac", "acme-basic", "acme-token"):
        backend.secrets.set(name, "user:password")
    assert missing(connector, SHARED, backend.secrets) == [
        "The document does not name the secret that holds 'Client ID' (`secrets.client_id`), and the app that all connectors can "
        "share has none: diy secrets set app-acme-client-id",
        "The document does not name the secret that holds 'Client secret' (`secrets.client_secret`), and the app that all "
        "connectors can share has none: diy secrets set app-acme-client-secret",
    ]
    backend.secrets.set("app-acme-client-id", "x")
    backend.secrets.set("app-acme-client-secret", "x")
    assert missing(connector, SHARED, backend.secrets) == []


def test_a_secret_that_the_document_names_is_missed_although_the_app_has_one(backend: Backend, connector: Connector) -> None:
    for name in ("acme-hmac", "acme-basic", "acme-token", "app-acme-client-id", "app-acme-client-secret"):
        backend.secrets.set(name, "user:password")
    own = replace(connector, secrets={**connector.secrets, "client_id": "acme-client-id"})
    (sentence,) = missing(own, SHARED, backend.secrets)
    assert sentence == "The secret 'acme-client-id' (Client ID) is not set: diy secrets set acme-client-id"


def test_the_apps_secrets_are_among_those_of_a_connector(connector: Connector) -> None:
    assert {"app-acme-client-id", "acme-token", "acme-hmac", "acme-basic"} <= secret_names(connector, describe)


def test_settings_that_the_adapter_no_longer_understands_leave_the_document_s_own_secrets(connector: Connector) -> None:
    def fails(name: str, settings: Mapping[str, Any] | None = None, /) -> Description | None:
        raise DocumentError([("base_url", "What is this?")])

    assert secret_names(connector, fails) == {"acme-token", "acme-hmac", "acme-basic"}


def test_what_waits_for_credentials_is_tried_again_when_the_apps_secret_changes(backend: Backend, clock: TurnedClock) -> None:
    publishing = Publishing(backend, describe, "somebody", clock)
    publishing.apply(DOCUMENT)
    hold(backend, clock, "credentials_refused")
    publishing.set_secret("app-other-client-id", "x")
    assert backend.audiences.due(clock.now()) == []
    publishing.set_secret("app-acme-client-id", "x")
    assert [audience.id for audience in backend.audiences.due(clock.now())] == ["a1"]


def test_a_secret_of_the_app_stays_while_a_connector_uses_it(backend: Backend, clock: TurnedClock) -> None:
    publishing = Publishing(backend, describe, "somebody", clock)
    publishing.apply(DOCUMENT)
    publishing.set_secret("app-acme-client-id", "x")
    with pytest.raises(Conflict, match="acme-eu"):
        publishing.delete_secret("app-acme-client-id")
