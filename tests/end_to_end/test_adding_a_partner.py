"""docs/adding-a-partner.md, followed to the letter in a fresh copy of the project: what it says to write is written, what it
says to type is typed, and what it says is printed is printed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from adapters.registry import describe
from relay.connectors.document import expand
from tests.end_to_end.stack import ROOT, eventually, free_port

TEXT = (ROOT / "docs" / "adding-a-partner.md").read_text()
MOST_LINES = 150
"""Of an adapter, as the page says."""

KNOW_ADAPTERS = (
    "tests/unit/adapters/test_registry.py",
    "tests/unit/cli/test_connectors.py",
    "tests/unit/connectors/test_reference.py",
    "tests/unit/test_imports.py",
)
"""Tests that look at all adapters, beside their own suite."""


class Block(msgspec.Struct, frozen=True):
    """A fenced block. `before`: the line of text above it."""

    language: str
    before: str
    content: str

    @property
    def file(self) -> str:
        """The file that is to be written with it; empty if there is none."""
        named = re.search(r"Write `([^`]+)`:$", self.before)
        return named[1] if named else ""


def blocks_of(text: str) -> list[Block]:
    found = re.findall(r"^([^\n]*)\n\n?```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(language, before, content) for before, language, content in found]


BLOCKS = blocks_of(TEXT)
FILES = {block.file: block.content for block in BLOCKS if block.file}
PIECES = [block.content for block in BLOCKS if block.language == "yaml" and not block.file]


# --- what can be seen without running it ------------------------------------------------------------------------------


def test_every_block_of_the_page_is_seen() -> None:
    assert len(BLOCKS) == TEXT.count("\n```") / 2
    assert {block.language for block in BLOCKS} == {"sh", "yaml", "python", "text"}
    assert set(FILES) == {"acme.yaml", "acme-by-code.yaml", "adapters/acme.py"}
    assert len(PIECES) > 8


def test_the_adapter_is_as_short_as_the_page_says() -> None:
    assert len(FILES["adapters/acme.py"].splitlines()) <= MOST_LINES


@pytest.mark.parametrize("piece", PIECES, ids=lambda text: " ".join(str(text).split()[:4]))
def test_each_piece_for_an_own_partner_fits_into_the_document(piece: str) -> None:
    document, given = yaml.safe_load(FILES["acme.yaml"]), yaml.safe_load(piece)
    settings = given.pop("settings", {})
    for name, operation in settings.pop("operations", {}).items():
        document["settings"]["operations"].setdefault(name, {}).update(operation)
    document["settings"].update(settings)
    document.update(given)

    [connector] = expand(yaml.safe_dump(document, sort_keys=False), describe=describe)

    assert connector.name == "acme"


# --- running it -------------------------------------------------------------------------------------------------------


class Reader:
    """Somebody with the page in one hand and two terminals in a fresh copy of the project."""

    def __init__(self, directory: Path) -> None:
        self.project = directory / "diy-relay"
        self.ports = {"RECEIVER_PORT": free_port(), "CONSOLE_PORT": free_port(), "PANGOLIN_PORT": free_port()}
        hidden = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "results")
        shutil.copytree(ROOT, self.project, ignore=hidden)
        self._install()
        self.running: subprocess.Popen[str] | None = None
        self.lines: list[str] = []
        self.shell = self._start("sh", "-e")
        self.said = ""

    def _install(self) -> None:
        """What `make run` and `make test` make in a minute, with the Python of this test."""
        place = self.project / ".venv" / "bin"
        place.mkdir(parents=True)
        for name, words in {"python": "", "diy": "-m relay.cli"}.items():
            (place / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
            (place / name).chmod(0o755)
        (place / "activate").write_text(f'PATH="{place}:$PATH"\n')
        for mark in (".installed", ".installed-dev"):
            (self.project / ".venv" / mark).touch()

    def _start(self, *command: str) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        return subprocess.Popen(
            command,
            cwd=self.project,
            env={**kept, **{name: str(port) for name, port in self.ports.items()}, "PYTHONPATH": str(self.project)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def follow(self, block: Block) -> None:
        """Does what this block of the page is there for."""
        content = block.content.replace("127.0.0.1:8082", f"127.0.0.1:{self.ports['PANGOLIN_PORT']}")
        if block.file:
            (self.project / block.file).write_text(content)
        elif block.language == "python":
            self._add_line(block.before, content)
        elif block.language == "text":
            expected = "".join(".*" if part == "…" else re.escape(part) for part in re.split("(…)", content.strip("\n")))
            assert re.fullmatch(expected, self.said, re.DOTALL), f"the page says:\n{content}\nand this was printed:\n{self.said}"
        elif "make run" in content:
            self._run(content)
        else:
            self.said = self.type(content)

    def type(self, commands: str) -> str:
        """What is printed, without the line that says which state it is. Each command must succeed."""
        assert self.shell.stdin
        assert self.shell.stdout
        self.shell.stdin.write(f"{{\n{commands}}} </dev/null\necho; echo 'typed and done'\n")
        self.shell.stdin.flush()
        lines: list[str] = []
        for line in self.shell.stdout:
            if line == "typed and done\n":
                return "".join(lines).strip("\n")
            if not line.startswith("state: "):
                lines.append(line)
        raise AssertionError(f"{commands}\nended with an error:\n{''.join(lines)}")

    def _add_line(self, before: str, line: str) -> None:
        named = re.fullmatch(r"Add one line to `(\w+)` in `([^`]+)`:", before)
        assert named, before
        file = self.project / named[2]
        text, number = re.subn(rf"^({named[1]}\b.*?)^}}", rf"\1{line}}}", file.read_text(), flags=re.MULTILINE | re.DOTALL)
        assert number == 1
        file.write_text(text)

    def _run(self, command: str) -> None:
        """In the other terminal, where what ran before is ended first."""
        self.interrupt()
        self.lines.clear()
        self.running = self._start("sh", "-c", command)
        threading.Thread(target=self._read, args=(self.running,), daemon=True).start()
        eventually(lambda: [line for line in self.lines if line.startswith("ready:")], within_s=90)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        self.lines.extend(process.stdout)

    def interrupt(self) -> None:
        """Ctrl-C."""
        if self.running and self.running.poll() is None:
            os.killpg(self.running.pid, signal.SIGINT)
            self.running.wait(timeout=60)

    def close(self) -> None:
        """Both terminals."""
        self.interrupt()
        if self.shell.poll() is None and self.shell.stdin:
            self.shell.stdin.close()
            self.shell.wait(timeout=60)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    if not shutil.which("make") or not shutil.which("curl"):
        pytest.skip("the page uses make and curl, and one of them is not installed")
    reader = Reader(tmp_path)
    try:
        yield reader
    finally:
        reader.close()


@pytest.mark.once
def test_followed_to_the_letter_the_page_gives_a_working_partner_by_yaml_and_one_by_code(reader: Reader) -> None:
    for block in BLOCKS:
        if block.content not in PIECES:
            reader.follow(block)

    members: dict[str, Any] = yaml.safe_load(reader.type("diy audiences describe acme-by-code diy-relay-test --quiet --json\n"))
    assert members["size"] == 0, "the test user has left again"
    reader.type(f"python -m pytest -q -p no:cacheprovider {' '.join(KNOW_ADAPTERS)}\n")
    reader.type("python -m ruff check adapters/acme.py adapters/registry.py\n")
