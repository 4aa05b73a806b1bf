"""The activation sheet says, field by field, what to paste into the DMP."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from relay.backends.interfaces import Backend
from relay.connectors.activation import activation_sheet
from relay.domain.connector import Connector
from tests.unit.connectors.example import expanded

URL = "https://relay.example/"
Sheet = dict[str, tuple[str, str]]


def sheet(backend: Backend, connector: Connector | None = None, url: str = URL, *, show: bool = True) -> Sheet:
    fields = activation_sheet(connector or expanded()[0], url, backend.secrets, show_secrets=show)
    return {one.field: (one.value, one.help) for one in fields}


@pytest.fixture(autouse=True)
def secrets(backend: Backend) -> None:
    backend.secrets.set("acme-hmac", "hunter2-key")
    backend.secrets.set("acme-basic", "mapp:hunter2:pass")


def test_the_form_is_filled_in_ready_to_paste(backend: Backend) -> None:
    assert {field: value for field, (value, _help) in sheet(backend).items()} == {
        "Endpoint URL": "https://relay.example/acme-eu",
        "Secret for X-HMAC": "hunter2-key",
        "Basic authentication: user": "mapp",
        "Basic authentication: password": "hunter2:pass",
        "Audience ID": "the DMP's own",
    }


def test_secrets_are_hidden_unless_asked_for(backend: Backend) -> None:
    shown = sheet(backend, show=False)
    assert "hunter2" not in str(shown)
    assert shown["Basic authentication: user"][0] == "mapp"
    assert shown["Secret for X-HMAC"][0] == "(set, not shown)"


def test_after_a_rotation_the_new_value_is_the_one_to_paste(backend: Backend) -> None:
    backend.secrets.rotate("acme-hmac", "newer-key")
    assert sheet(backend)["Secret for X-HMAC"][0] == "newer-key"


def test_a_secret_that_is_not_set_is_named_with_its_command(backend: Backend) -> None:
    connector = expanded()[0]
    bare = replace(connector, inbound=replace(connector.inbound, hmac_secret="other"))
    assert sheet(backend, bare)["Secret for X-HMAC"][0] == "(not set: diy secrets set other)"


def test_a_basic_secret_without_a_colon_is_never_shown_as_a_user(backend: Backend) -> None:
    backend.secrets.set("acme-basic", "hunter2")
    assert "hunter2" not in str({key: value for key, value in sheet(backend).items() if "Basic" in key})


def test_without_basic_authentication_the_sheet_recommends_it(backend: Backend) -> None:
    connector = expanded()[0]
    value, help_ = sheet(backend, replace(connector, inbound=replace(connector.inbound, basic_auth=None)))["Basic authentication"]
    assert value == "(off)"
    assert "inbound.basic_auth" in help_


def test_the_partners_ids_are_announced(backend: Backend) -> None:
    connector = expanded()[0]
    partner = replace(connector, inbound=replace(connector.inbound, audience_id="partner"))
    assert sheet(backend, partner)["Audience ID"][0] == "the partner's"


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("https://relay.example", ""),
        ("http://relay.example", "HTTPS is required"),
        ("http://10.0.0.5:8080", "HTTPS is required"),
        ("http://127.0.0.1:8080", "this machine only"),
        ("http://[::1]:8080", "this machine only"),
        ("http://localhost:8080", "this machine only"),
    ],
)
def test_an_address_that_the_dmp_should_not_use_comes_with_a_hint(backend: Backend, url: str, hint: str) -> None:
    value, help_ = sheet(backend, url=url)["Endpoint URL"]
    assert value == f"{url}/acme-eu"
    assert hint in help_
    assert not hint or "PUBLIC_URL" in help_


def test_an_environment_has_an_address_of_its_own(backend: Backend) -> None:
    assert sheet(backend, replace(expanded()[0], name="acme-eu@sandbox"))["Endpoint URL"][0] == "https://relay.example/acme-eu@sandbox"
