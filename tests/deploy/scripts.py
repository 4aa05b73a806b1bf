"""Running the scripts of deploy/, and reading what they print with --dry-run."""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACE = ("my-project", "europe-west1")

REAL_GCLOUD = shutil.which("gcloud")

needs_gcloud = pytest.mark.skipif(REAL_GCLOUD is None, reason="the Google Cloud CLI (gcloud) is not installed")

ANSWERS: Mapping[str, str] = {"PROJECT_NUMBER": "123456789012", "item": "x", "name": "x"}
"""What commands that the dry run only names would answer, where a command takes nothing else; all others are addresses."""

PAGES = (ROOT / "deploy" / "README.md", ROOT / "docs" / "operations.md")
"""What whoever installs and runs it on Google reads."""

EVERYWHERE = tuple(ROOT / page for page in ("README.md", "docs/quick-start.md", "docs/runbook.md"))
"""What whoever runs it anywhere reads."""

_OPERATORS = re.compile(r"[();<>|&]+")


def run(
    script: str, *words: str, environment: Mapping[str, str] | None = None, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """The script with these words; `typed` is its standard input."""
    command = [str(ROOT / "deploy" / script), *words]
    return subprocess.run(command, check=False, env=dict(environment or os.environ), input=typed, capture_output=True, text=True)


def dry_run(script: str, *words: str) -> str:
    """What it prints with --dry-run for `PLACE`."""
    ran = run(script, *PLACE, *words, "--dry-run", environment={"PATH": os.environ["PATH"]})
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


DRY_RUNS: Mapping[str, tuple[str, ...]] = {
    "deploy": ("deploy.sh", "--notify", "ops@example.com"),
    "deploy without --notify": ("deploy.sh",),
    "deploy with roles": ("deploy.sh", "--roles", "alice@example.com=admin,*@example.com=viewer"),
    "deploy with the journal": ("deploy.sh", "--journal"),
    "deploy with feeds": ("deploy.sh", "--feeds", "plugin-gateway.platform:8080"),
    "teardown": ("teardown.sh",),
    "teardown with the data": ("teardown.sh", "--delete-data"),
    "smoke": ("smoke.sh",),
    "smoke with a connector": ("smoke.sh", "--connector", "acme"),
}
"""Together they show every command that the scripts can run."""


@functools.cache
def shown(title: str) -> str:
    """What this one of `DRY_RUNS` prints."""
    return dry_run(*DRY_RUNS[title])


def commands(text: str, program: str = "gcloud") -> list[list[str]]:
    """The words behind `gcloud` of each of its commands in a shell script, as the shell would split them."""
    found = []
    for line in text.splitlines():
        words = list(_split(line))
        while program in words:
            words = words[words.index(program) + 1 :]
            end = next((at for at, word in enumerate(words) if _OPERATORS.fullmatch(word)), len(words))
            found.append(words[:end])
            words = words[end:]
    return found


def shown_on(page: str, program: str) -> list[list[str]]:
    """The words behind `program` of each of its commands that a page in Markdown shows, indented or in backticks."""
    indented = "\n".join(
        lines.replace("\\\n", " ")
        for lines in re.findall(r"^    (.*(?:\\\n.*)*)", page, re.MULTILINE)
        if re.search(rf"\b{program}\b", lines)
    )
    within = "\n".join(re.findall(rf"`({program} [^`\n]+)`", page))
    return commands(f"{indented}\n{within}", program)


def _split(line: str) -> Iterator[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return iter(lexer)


def answered(words: list[str]) -> list[str]:
    """The words, with something in place of the answers of earlier commands."""
    return [
        re.sub(r"\$\{(\w+)\}", lambda found: ANSWERS.get(found[1], "https://answer.example.com"), word).replace(
            "$(basename x)", "x"
        )
        for word in words
    ]
