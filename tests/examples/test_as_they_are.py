"""Every example can be copied: applied as it is, shown as incomplete, and previewed with neither secret nor partner audience."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from tests.examples.installation import EXAMPLES, Installation, name_of, secrets_of, text_of

ALL = sorted(file.stem for file in EXAMPLES.glob("*.yaml"))
_COMMAND = re.compile(r"^#   diy ((?:[^\s'\"]+|'[^']*'|\"[^\"]*\"|(?<! ) (?! ))+)", re.MULTILINE)

ASK_THE_PARTNER = (["connectors", "check"], ["connectors", "options"])


def commands_of(example: str) -> list[list[str]]:
    """The commands that its head shows."""
    return [shlex.split(found[1]) for found in _COMMAND.finditer(text_of(example))]


def preview_of(example: str) -> list[str]:
    """The one of these that previews."""
    [found] = [words for words in commands_of(example) if words[:2] == ["connectors", "preview"]]
    return found


@pytest.mark.parametrize("example", ALL)
def test_an_example_is_applied_as_it_is_and_shown_as_incomplete_with_what_is_missing(
    installation: Installation, example: str
) -> None:
    name = name_of(example)
    result = installation.run("connectors", "apply", str(EXAMPLES / f"{example}.yaml"))
    assert result.exit_code == 0, result.output
    assert f"{name} version 1 runs" in result.stdout
    said = [line for line in result.stderr.splitlines() if line.startswith(f"Before {name} can run: ")]
    assert [line.rpartition(" ")[2] for line in said] == secrets_of(example)
    assert all("is not set: diy secrets set " in line for line in said)
    [shown] = installation.json("connectors", "list")
    assert (shown["name"], shown["standing"]) == (name, "incomplete")
    [status] = installation.json("status")["connectors"]
    assert status["standing"] == "incomplete"
    assert [one["do"] for one in status["concerns"]] == [f"diy secrets set {secret}" for secret in secrets_of(example)]
    assert all(one["what"].startswith("It does not run: The secret ") for one in status["concerns"])


@pytest.mark.parametrize("example", ALL)
def test_with_the_secrets_that_its_head_names_an_example_is_complete(installation: Installation, example: str) -> None:
    installation.diy("connectors", "apply", str(EXAMPLES / f"{example}.yaml"))
    for secret in secrets_of(example):
        installation.diy("secrets", "set", secret, input="a-value")
    [status] = installation.json("status")["connectors"]
    assert (status["standing"], status["concerns"]) == ("running", [])


EXPECTED: dict[str, list[dict[str, Any]]] = {
    "meta": [{"method": "POST", "url": "/{audience}/users"}],
    "rokt": [{"method": "POST", "url": "https://data.rokt.com/v3/import/suppression"}],
    "rokt-audiences-over-http": [{"method": "POST", "url": "https://data.rokt.com/v3/import/suppression"}],
    "pangolin-over-http": [{"method": "POST", "url": "http://127.0.0.1:8082/api/audiences/{audience}/users"}],
    "salesforce-bulk": [
        {"method": "POST", "url": "/services/data/v66.0/jobs/ingest"},
        {"method": "PUT", "url": "/services/data/v66.0/jobs/ingest/{steps.job.id}/batches"},
        {"method": "PATCH", "url": "/services/data/v66.0/jobs/ingest/{steps.job.id}"},
        {"method": "GET", "url": "/services/data/v66.0/jobs/ingest/{steps.job.id}"},
        {"method": "GET", "url": "/services/data/v66.0/jobs/ingest/{steps.job.id}/failedResults/"},
    ],
    "discord-roles": [
        {"method": "PUT", "url": "/api/v10/guilds/000000000000000000/members/80351110224678912/roles/{audience}"}
    ],
}


@pytest.mark.parametrize("example", ALL)
def test_the_preview_in_its_head_needs_neither_secret_nor_audience_and_shows_every_request(
    installation: Installation, example: str
) -> None:
    installation.diy("connectors", "apply", str(EXAMPLES / f"{example}.yaml"))
    shown = installation.json(*preview_of(example))
    assert shown["not_sent"] == []
    assert len(shown["requests"]) == len(EXPECTED[example])
    for request, expected in zip(shown["requests"], EXPECTED[example], strict=True):
        assert request["method"] == expected["method"]
        assert request["url"].endswith(expected["url"])


@pytest.mark.parametrize("example", ALL)
def test_a_user_who_leaves_and_an_audience_that_is_made_are_previewed_too(installation: Installation, example: str) -> None:
    installation.diy("connectors", "apply", str(EXAMPLES / f"{example}.yaml"))
    assert installation.json(*preview_of(example), "--trigger", "left")["requests"] != []
    installation.diy(*preview_of(example), "--trigger", "created")


def test_the_preview_of_a_job_shows_the_lines_under_a_column_for_the_audience(installation: Installation) -> None:
    installation.diy("connectors", "apply", str(EXAMPLES / "salesforce-bulk.yaml"))
    shown = installation.diy(*preview_of("salesforce-bulk"))
    assert "External_ID__c,{audience}\nC-1,true\n" in shown
    assert "Authorization: ***" in shown


@pytest.mark.parametrize("example", ALL)
def test_the_commands_in_the_head_of_an_example_work_in_their_order(
    installation: Installation, example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(EXAMPLES.parents[1])
    commands = commands_of(example)
    assert commands[0] == ["connectors", "apply", f"docs/examples/{example}.yaml"]
    for words in commands:
        if words[:2] in ASK_THE_PARTNER:
            assert words[2] == name_of(example)
            assert installation.run(*words, "--help").exit_code == 0
        else:
            installation.diy(*words, input="a-value" if words[0] == "secrets" else None)


@pytest.mark.parametrize("example", ALL)
def test_an_example_links_to_what_the_partner_says_itself(example: str) -> None:
    if example == "pangolin-over-http":
        assert (EXAMPLES.parents[1] / "relay" / "pangolin" / "application.py").is_file()
        assert "relay/pangolin/application.py" in text_of(example)
        return
    hosts = {"meta": "developers.facebook.com", "rokt": "docs.rokt.com", "salesforce": "developer.salesforce.com"}
    host = hosts.get(example.partition("-")[0], "docs.discord.com")
    assert f"https://{host}/" in text_of(example)


def test_the_list_of_examples_has_all_of_them() -> None:
    listed = re.findall(r"^\| \[([a-z-]+)\.yaml\]\(\1\.yaml\) \|", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == ALL
