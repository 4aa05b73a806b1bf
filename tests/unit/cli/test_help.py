"""Every verb explains itself, here and in the reference."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from relay.cli import main

ROOT = Path(__file__).parents[3]
REFERENCE = (ROOT / "docs" / "cli.md").read_text()


def verbs(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None, name
        yield from verbs(below, (*path, name))


VERBS = dict(verbs(main))
GROUPS = sorted({path[0] for path in VERBS if len(path) > 1})


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_help_explains_each_verb(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*path, "--help"])
    assert result.exit_code == 0
    assert f"Usage: main {' '.join(path)}" in result.stdout
    assert (VERBS[path].help or "").strip()


@pytest.mark.parametrize("path", [path for path in VERBS if path[0] != "simulate"], ids=" ".join)
def test_help_has_an_example_of_each_verb(path: tuple[str, ...]) -> None:
    examples = (VERBS[path].help or "").partition("Example")[2]
    assert f"diy {' '.join(path)}" in examples


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_the_reference_mentions_each_verb_and_its_options(path: tuple[str, ...]) -> None:
    assert re.search(rf"`diy {' '.join(path)}[ `]", REFERENCE)
    lines = [line for line in REFERENCE.splitlines() if f"`diy {' '.join(path)}" in line]
    if path[0] != "simulate":
        for option in (option for parameter in VERBS[path].params for option in parameter.opts if option.startswith("--")):
            assert option in ("--json", "--quiet") or any(option in line for line in lines), option


def test_the_reference_mentions_no_verb_that_is_not_there() -> None:
    mentioned = set(re.findall(r"^\| `diy ([a-z]+(?: [a-z]+)?)", REFERENCE, re.MULTILINE))
    assert mentioned <= {" ".join(path) for path in VERBS}


@pytest.mark.parametrize("group", [[], *([name] for name in GROUPS)], ids=" ".join)
def test_the_overview_cuts_no_explanation_off(group: list[str]) -> None:
    overview = CliRunner().invoke(main, [*group, "--help"], terminal_width=80).stdout.partition("Commands:")[2]
    assert overview
    assert [line for line in overview.splitlines() if line.endswith("...")] == []


def test_it_runs_as_a_process_and_an_unknown_verb_is_a_wrong_use() -> None:
    def run(argument: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "relay.cli", argument]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    helped = run("--help")
    assert helped.returncode == 0
    assert "Usage: diy" in helped.stdout
    unknown = run("frobnicate")
    assert unknown.returncode == 2
    assert "Traceback" not in unknown.stderr
