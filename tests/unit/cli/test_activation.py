"""`diy connectors activation`: what to paste into the DMP."""

from __future__ import annotations

from tests.unit.cli.conftest import Diy


def test_the_address_is_that_of_public_url(diy: Diy) -> None:
    diy.apply()
    result = diy("connectors", "activation", "pangolin", public_url="https://relay.example.com/")
    assert "https://relay.example.com/pangolin\n" in result.stdout
    assert "Settings > Integrations > Mapp Self-Service" in result.stdout


def test_a_local_address_says_that_the_dmp_cannot_reach_it(diy: Diy) -> None:
    diy.apply()
    assert "Set PUBLIC_URL" in diy.fine("connectors", "activation", "pangolin")


def test_secrets_are_shown_only_on_demand_and_that_is_written_down(diy: Diy) -> None:
    diy.apply()
    hidden = diy("connectors", "activation", "pangolin")
    assert "an-hmac-secret" not in hidden.output
    assert "a:password" not in hidden.output
    shown = diy("connectors", "activation", "pangolin", "--show-secrets")
    assert "an-hmac-secret" in shown.stdout
    assert "a:password" in shown.stdout
    with diy.backend() as backend:
        assert [(one.what, one.by) for one in backend.audit.newest(limit=1)] == [("show secrets", "the-operator")]


def test_as_json_each_field_has_a_name_a_value_and_help(diy: Diy) -> None:
    diy.apply()
    sheet = diy.json("connectors", "activation", "pangolin")
    assert sheet["fields"]
    assert all(set(field) == {"field", "value", "help"} for field in sheet["fields"])
