"""Which state a command works on: named, never made in silence."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Diy

NEEDS_A_STATE = [
    ["connectors", "publish", "pangolin", "1"],
    ["connectors", "rollback", "pangolin"],
    ["connectors", "diff", "pangolin"],
    ["connectors", "list"],
    ["connectors", "show", "pangolin"],
    ["connectors", "versions", "pangolin"],
    ["connectors", "enable", "pangolin"],
    ["connectors", "disable", "pangolin"],
    ["connectors", "default"],
    ["connectors", "delete", "pangolin", "--yes"],
    ["connectors", "preview", "pangolin"],
    ["connectors", "test", "pangolin", "--user-id", "x"],
    ["connectors", "options", "pangolin", "field"],
    ["connectors", "check", "pangolin"],
    ["connectors", "activation", "pangolin"],
    ["actions", "enable", "pangolin", "Add"],
    ["actions", "disable", "pangolin", "Add", "--skip"],
    ["secrets", "rotate", "pangolin-hmac", "--generate"],
    ["secrets", "retire", "pangolin-hmac"],
    ["secrets", "list"],
    ["audiences", "list"],
    ["audiences", "show", "pangolin", "a.1"],
    ["audiences", "create", "pangolin", "a.1", "--name", "A"],
    ["audiences", "link", "pangolin", "a.1", "7"],
    ["audiences", "describe", "pangolin", "a.1"],
    ["holds", "list"],
    ["holds", "show", "pangolin", "a.1"],
    ["holds", "resume", "pangolin"],
    ["holds", "pause", "pangolin"],
    ["holds", "discard", "pangolin", "a.1", "--yes"],
    ["rejections", "list"],
    ["rejections", "export"],
    ["queue"],
    ["worker"],
    ["status"],
]


@pytest.mark.parametrize("command", NEEDS_A_STATE, ids=" ".join)
def test_without_a_state_a_command_says_so_in_one_line_and_makes_none(diy: Diy, command: list[str]) -> None:
    result = diy(*command)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert str(diy.state) in result.stderr
    assert not diy.state.exists()


def test_a_command_names_its_state_on_standard_error(diy: Diy) -> None:
    diy.apply()
    result = diy("queue")
    assert result.stderr.splitlines() == [f"state: {diy.state} (embedded)"]


@pytest.mark.parametrize("option", ["--quiet", "-q", "--json"])
def test_the_state_is_not_named_when_only_the_result_is_wanted(diy: Diy, option: str) -> None:
    diy.apply()
    assert diy("queue", option).stderr == ""


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_applying_a_connector_makes_a_state_and_says_so(diy: Diy, quiet: list[str]) -> None:
    result = diy("connectors", "apply", diy.document(), *quiet)
    assert result.exit_code == 0
    assert f"state: {diy.state} (embedded), new" in result.stderr
    assert ", new" not in diy("connectors", "apply", diy.document()).stderr


def test_setting_a_secret_makes_a_state_and_says_so(diy: Diy) -> None:
    result = diy("secrets", "set", "pangolin-token", input="value")
    assert result.exit_code == 0
    assert ", new" in result.stderr


def test_a_document_with_errors_makes_no_state(diy: Diy) -> None:
    assert diy("connectors", "apply", diy.document(more="retentoin: {}\n")).exit_code == 2
    assert not diy.state.exists()


def test_a_secret_without_a_value_makes_no_state(diy: Diy) -> None:
    assert diy("secrets", "set", "pangolin-token", input="").exit_code == 2
    assert not diy.state.exists()


def test_a_wrong_environment_is_one_line(diy: Diy) -> None:
    from click.testing import CliRunner

    from relay.cli import main

    result = CliRunner().invoke(main, ["queue"], env={"BACKEND": "floppy"})
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "BACKEND" in result.stderr
