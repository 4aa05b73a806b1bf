"""A rolling upgrade: receivers and workers are replaced one after the other, so each meets messages of the other's version."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from relay.domain.message import NEWEST, VERSION
from tests.end_to_end.stack import ROOT, Stack, eventually


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """This program as it will be one version later: another tree, whose messages say so."""
    tree = tmp_path / "newer"
    ignored = shutil.ignore_patterns(".*", "tests", "docs", "deploy", "bench", "__pycache__", "build", "*.egg-info")
    shutil.copytree(ROOT, tree, ignore=ignored)
    module = tree / "relay" / "domain" / "message.py"
    said = rf"^(VERSION|NEWEST) = (?:{VERSION}|{NEWEST})$"
    text, changed = re.subn(said, rf"\1 = {NEWEST + 1}", module.read_text(), flags=re.MULTILINE)
    assert changed == 2
    module.write_text(text)
    return tree


def test_a_worker_leaves_messages_of_a_newer_receiver_to_a_newer_worker(stack: Stack, newer: Path) -> None:
    stack.start()
    assert stack.change("up.1", ["u1"]).status_code == 200
    eventually(lambda: stack.members("up.1") == {"u1"})
    stack.kill("receiver")
    stack.start("receiver", source=newer)
    assert stack.change("up.1", ["u2"]).status_code == 200
    assert stack.change("up.1", ["u1"], kind="REMOVE_FROM_AUDIENCE").status_code == 200
    eventually(lambda: "message_unreadable" in stack.output("worker"))
    assert stack.members("up.1") == {"u1"}
    assert stack.terminate("worker") == 0
    stack.start("worker", source=newer)
    eventually(lambda: stack.members("up.1") == {"u2"}, within_s=90)


def test_a_newer_worker_takes_messages_of_an_older_receiver(stack: Stack, newer: Path) -> None:
    stack.start("pangolin", "receiver")
    assert stack.change("up.1", ["u1"]).status_code == 200
    others = [name for name in stack.everything if name not in ("pangolin", "receiver")]
    stack.start(*others, source=newer)
    eventually(lambda: stack.members("up.1") == {"u1"}, within_s=90)
