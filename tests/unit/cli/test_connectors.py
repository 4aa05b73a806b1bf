"""`diy connectors`: documents, versions, switches."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.registry import names
from tests.unit.cli.conftest import Diy

ROOT = Path(__file__).parents[3]


def test_validating_lists_every_problem_on_a_line_with_its_place(diy: Diy) -> None:
    file = diy.directory / "broken.yaml"
    file.write_text("name: Pangolin!\nadapter: pangolin\nactions: []\nretentoin: {}\n")
    result = diy("connectors", "validate", str(file))
    assert result.exit_code == 2
    places = [line.partition(":")[0] for line in result.stderr.splitlines()]
    assert {"name", "retentoin", "actions", "inbound"} <= set(places)
    assert not diy.state.exists()


def test_the_problems_are_there_for_scripts_too(diy: Diy) -> None:
    assert diy.json("connectors", "validate", diy.document()) == {"valid": True, "problems": [], "connectors": ["pangolin"]}
    result = diy("connectors", "validate", diy.document(more="retentoin: {}\n"), "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["valid"], [problem["path"] for problem in found["problems"]]) == (2, False, ["retentoin"])


def test_a_valid_document_names_the_connectors_that_it_makes(diy: Diy) -> None:
    file = diy.document(more="environments: {sandbox: {settings: {base_url: 'http://127.0.0.1:1'}}}\n")
    assert "pangolin, pangolin@sandbox" in diy.fine("connectors", "validate", file)


def test_a_document_can_be_piped_in(diy: Diy) -> None:
    text = Path(diy.document()).read_text()
    assert "pangolin version 1 runs" in diy.fine("connectors", "apply", "-", input=text)


def test_a_file_that_is_not_text_is_one_clear_line(diy: Diy) -> None:
    file = diy.directory / "picture.yaml"
    file.write_bytes(b"\xff\xd8\xff")
    result = diy("connectors", "validate", str(file))
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)


def test_applying_says_what_is_still_missing(diy: Diy) -> None:
    result = diy("connectors", "apply", diy.document())
    assert result.exit_code == 0
    for secret in ("pangolin-hmac", "pangolin-basic", "pangolin-token"):
        assert f"diy secrets set {secret}" in result.stderr


def test_what_several_connectors_of_a_document_lack_is_said_once(diy: Diy) -> None:
    result = diy("connectors", "apply", diy.document(more="environments: {sandbox: {settings: {base_url: 'http://127.0.0.1:1'}}}\n"))
    (line,) = [line for line in result.stderr.splitlines() if "pangolin-token" in line]
    assert line.startswith("Before pangolin and pangolin@sandbox can run: ")


def test_a_draft_is_kept_and_does_not_run_until_it_is_published(diy: Diy) -> None:
    diy.apply()
    diy.fine("connectors", "apply", diy.document(more="title: Second\n"), "--draft", "--note", "for the spring")
    versions = diy.json("connectors", "versions", "pangolin")
    assert [(one["version"], one["runs"], one["note"]) for one in versions] == [(1, True, ""), (2, False, "for the spring")]
    diy.fine("connectors", "publish", "pangolin", "2")
    assert diy.json("connectors", "list")[0]["version"] == 2


def test_rolling_back_publishes_the_version_before(diy: Diy) -> None:
    diy.apply()
    diy.apply(more="title: Second\n")
    assert "pangolin version 1 runs" in diy.fine("connectors", "rollback", "pangolin")
    assert "pangolin version 2 runs" in diy.fine("connectors", "rollback", "pangolin", "2")


def test_who_applied_a_version_is_kept(diy: Diy) -> None:
    diy.apply()
    assert diy.json("connectors", "versions", "pangolin")[0]["by"] == "the-operator"


def test_diff_shows_what_the_newest_version_changed(diy: Diy) -> None:
    diy.apply()
    diy.fine("connectors", "apply", diy.document(more="title: Second\n"), "--draft")
    assert "+title: Second" in diy.fine("connectors", "diff", "pangolin").splitlines()
    backwards = diy.json("connectors", "diff", "pangolin", "2", "1")
    assert (backwards["from"], backwards["to"]) == (2, 1)
    assert "-title: Second" in backwards["diff"]


def test_diff_of_the_running_newest_version_goes_back_to_the_one_before(diy: Diy) -> None:
    diy.apply()
    diy.apply(more="title: Second\n")
    assert "+title: Second" in diy.fine("connectors", "diff", "pangolin")


def test_show_gives_the_document_as_it_was_applied(diy: Diy) -> None:
    diy.apply()
    text = Path(diy.document()).read_text()
    assert diy.fine("connectors", "show", "pangolin", "--yaml") == text
    assert text in diy.fine("connectors", "show", "pangolin")
    assert diy.json("connectors", "show", "pangolin")["text"] == text


def test_show_of_another_version(diy: Diy) -> None:
    diy.apply()
    diy.apply(more="title: Second\n")
    assert "Second" not in diy.fine("connectors", "show", "pangolin", "--version", "1", "--yaml")
    missing = diy("connectors", "show", "pangolin", "--version", "9")
    assert missing.exit_code == 1
    assert "no version 9" in missing.stderr


def test_switching_off_and_on(diy: Diy) -> None:
    diy.apply()
    diy.fine("connectors", "disable", "pangolin")
    assert diy.json("connectors", "list")[0]["standing"] == "off"
    diy.fine("connectors", "enable", "pangolin")
    assert diy.json("connectors", "list")[0]["standing"] == "running"


def test_the_default_connector_is_the_first_until_another_is_chosen(diy: Diy) -> None:
    diy.apply("first")
    diy.apply("second")
    assert diy.json("connectors", "default") == {"default": "first"}
    assert diy.fine("connectors", "default", "second") == "second answers at /.\n"
    assert [one["name"] for one in diy.json("connectors", "list") if one["default"]] == ["second"]


def test_deleting_asks_first(diy: Diy) -> None:
    diy.apply()
    refused = diy("connectors", "delete", "pangolin", input="n\n")
    assert refused.exit_code == 1
    assert diy.json("connectors", "list")
    diy.fine("connectors", "delete", "pangolin", input="y\n")
    assert diy.json("connectors", "list") == []


def test_deleting_is_refused_while_batches_wait(diy: Diy) -> None:
    diy.apply()
    diy.hold()
    result = diy("connectors", "delete", "pangolin", "--yes")
    assert result.exit_code == 1
    assert diy.json("connectors", "list")


def test_an_action_is_switched_off_by_waiting_or_skipping(diy: Diy) -> None:
    diy.apply()
    diy.fine("actions", "disable", "pangolin", "Add", "--pause")
    diy.fine("actions", "disable", "pangolin", "Remove", input="skip\n")
    assert diy.json("connectors", "list")[0]["actions_off"] == {"Add": "paused", "Remove": "skipped"}
    diy.fine("actions", "enable", "pangolin", "Add")
    assert diy.json("connectors", "list")[0]["actions_off"] == {"Remove": "skipped"}


def test_switching_an_action_off_without_saying_how_changes_nothing(diy: Diy) -> None:
    diy.apply()
    assert diy("actions", "disable", "pangolin", "Add", input="").exit_code == 1
    assert diy.json("connectors", "list")[0]["actions_off"] == {}


def test_an_action_is_not_both_paused_and_skipped(diy: Diy) -> None:
    diy.apply()
    result = diy("actions", "disable", "pangolin", "Add", "--skip", "--pause")
    assert result.exit_code == 2
    assert "not both" in result.stderr
    assert diy.json("connectors", "list")[0]["actions_off"] == {}


def test_scripts_are_shown_every_setting_as_it_runs_defaults_too(diy: Diy) -> None:
    diy.apply()
    (connector,) = diy.json("connectors", "show", "pangolin")["connectors"]
    assert connector["timeouts"] == {"connect_s": 5.0, "answer_s": 5.0, "batch_answer_s": 10.0}
    assert connector["limits"]["rate"] == {"calls": None, "items": None, "per_s": 1.0, "concurrency": 8}
    assert (connector["inbound"]["unknown_audience"], connector["retention"]["holds_s"]) == ("create", 2_592_000.0)
    assert [action["enabled"] for action in connector["actions"]] == [True] * 3


def test_diff_of_the_only_version_says_that_there_is_no_other(diy: Diy) -> None:
    diy.apply()
    result = diy("connectors", "diff", "pangolin")
    assert result.exit_code == 0
    assert "There is only version 1 of pangolin." in result.stderr


@pytest.mark.parametrize("verb", [["default"], ["delete", "--yes"], ["publish", "1"], ["rollback"]], ids=lambda verb: verb[0])
def test_an_environment_goes_with_its_document(diy: Diy, verb: list[str]) -> None:
    diy.apply(more="environments: {sandbox: {settings: {base_url: 'http://127.0.0.1:1'}}}\n")
    version = [verb.pop()] if verb[0] == "publish" else []
    result = diy("connectors", *verb, "pangolin@sandbox", *version)
    assert result.exit_code == 2
    assert "an environment, which goes with its document: name pangolin instead" in result.stderr
    assert len(diy.json("connectors", "list")) == 2


def test_the_adapters_are_described_without_a_state(diy: Diy) -> None:
    assert "pangolin" in diy.fine("connectors", "adapters")
    shown = diy.fine("connectors", "adapters", "pangolin")
    for expected in ("docs/connectors.md#pangolin", "base_url", "Where Pangolin listens", "token", "operation remove", "on left"):
        assert expected in shown
    described = diy.json("connectors", "adapters", "pangolin")
    assert described in diy.json("connectors", "adapters")
    assert described["operations"][1]["fields"][0]["required"] is True
    assert (described["partner_page"], described["unsupported"]) == ("", {})
    assert not diy.state.exists()


def test_an_adapter_that_is_not_there_is_answered_with_those_that_are(diy: Diy) -> None:
    result = diy("connectors", "adapters", "pangolim")
    assert result.exit_code == 1
    assert f"there is {', '.join(names())}. Did you mean 'pangolin'?" in result.stderr


def test_unknown_names_fail_with_a_sentence(diy: Diy) -> None:
    diy.apply()
    for command in (
        ["connectors", "show", "pangolim"],
        ["connectors", "enable", "pangolim"],
        ["connectors", "activation", "pangolim"],
        ["connectors", "show", "pangolin@nowhere"],
        ["actions", "enable", "pangolin", "Ad"],
        ["holds", "pause", "pangolim"],
        ["holds", "show", "pangolin", "a.1"],
        ["audiences", "show", "pangolin", "a.1"],
        ["rejections", "list", "pangolim"],
    ):
        result = diy(*command)
        assert result.exit_code == 1, command
        assert result.stderr.splitlines()[-1].startswith("Error: "), command
        assert "Traceback" not in result.stderr


def test_a_refusal_of_a_real_process_is_one_line_and_no_traceback(diy: Diy) -> None:
    diy.apply()
    run = subprocess.run(
        [sys.executable, "-m", "relay.cli", "connectors", "show", "pangolim", "-q"],
        cwd=ROOT,
        env={"STATE_DIR": str(diy.state), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1
    assert run.stdout == ""
