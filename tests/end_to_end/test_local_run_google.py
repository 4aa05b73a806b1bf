"""What `make run BACKEND=google` starts, as a newcomer meets it: the whole path between the official emulators."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from relay.local_run.emulators import obstacle
from tests.end_to_end.stack import ROOT, eventually
from tests.end_to_end.test_local_run import LocalRun, send

pytestmark = [pytest.mark.once, pytest.mark.timeout(400)]  # ten processes and Java twice, beside other tests

STARTED = ("pubsub", "firestore", "secrets", "journal", "pangolin", "create", "deliver", "tick", "receiver", "console")


class GoogleRun(LocalRun):
    """With traffic or without, on free ports."""

    def start(self, **variables: str) -> subprocess.Popen[str]:
        return super().start(BACKEND="google", **variables)

    def diy(self, *arguments: str) -> str:
        """What a command prints, with the variables that the banner names."""
        variables = dict(word.split("=", 1) for word in shlex.split(self.line("So that diy works").partition("export ")[2]))
        ran = subprocess.run(
            [sys.executable, "-m", "relay.cli", *arguments],
            cwd=ROOT,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stdout

    def url(self, place: str) -> str:
        """Of something in the banner."""
        [line] = [line for line in self.lines if line.startswith(f"  {place} ")]
        return line.split()[1]

    def group_of(self, name: str) -> int:
        return int(re.findall(r"\d+", self.line(f"{name} started"))[-1])

    def nothing_is_left(self) -> bool:
        return self.nothing_listens() and not any(_group_lives(self.group_of(name)) for name in STARTED)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def run(tmp_path: Path) -> Iterator[GoogleRun]:
    if missing := obstacle():
        pytest.skip(missing)
    run = GoogleRun(tmp_path / "state")
    yield run
    if run.process and run.process.poll() is None:
        run.process.send_signal(signal.SIGTERM)
        run.process.wait(timeout=90)


def held(run: GoogleRun) -> Any:
    return [line for line in run.diy("holds", "list", "--quiet").splitlines() if "pangolin" in line]


def test_traffic_goes_through_receiver_pubsub_deliver_and_pangolin_and_operators_find_their_way(run: GoogleRun) -> None:
    run.start(TRAFFIC="1")
    run.line("ready:")
    assert "103 requests" in run.line("simulated traffic:")
    assert run.line("arrived: the ")

    assert run.diy("queue", "--json").strip() == "null"
    run.diy("connectors", "disable", "pangolin", "--quiet")
    assert send(run.line("curl ")) == 200
    eventually(lambda: held(run), every_s=1)
    run.diy("connectors", "enable", "pangolin", "--quiet")
    # Its own scheduler may have been faster.
    assert requests.post(run.url("tick"), timeout=90).json()["resumed"] in (0, 1)
    eventually(lambda: "my-first-user" in run.members("Sneaker fans"))

    assert run.process
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(timeout=90) == 0
    eventually(run.nothing_is_left)


def test_a_rotated_secret_is_known_to_the_receiver_and_the_one_before_goes_on_until_it_is_retired(run: GoogleRun) -> None:
    run.start()
    run.line("ready:")

    run.diy("secrets", "rotate", "pangolin-hmac", "--generate", "--quiet")
    assert send(run.line("curl ")) == 200
    run.diy("secrets", "retire", "pangolin-hmac", "--quiet")

    eventually(lambda: send(run.line("curl ")) == 401)


def test_when_an_emulator_ends_everything_ends(run: GoogleRun) -> None:
    process = run.start()
    run.line("ready:")

    os.killpg(run.group_of("firestore"), signal.SIGKILL)

    assert process.wait(timeout=120) == 1
    assert run.line("firestore was ended by signal 9")
    eventually(run.nothing_is_left)


def test_killed_it_leaves_nothing_behind(run: GoogleRun) -> None:
    process = run.start()
    run.line("ready:")

    process.kill()

    eventually(run.nothing_is_left, within_s=60)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"PATH": "/nowhere"}, "BACKEND=google cannot run on this machine. The Google Cloud CLI (gcloud) is not installed"),
        ({"ACK_DEADLINE_S": "5"}, "ACK_DEADLINE_S is 5; Pub/Sub takes 10 to 600 seconds."),
        ({"K_SERVICE": "diy"}, "K_SERVICE is set"),
    ],
)
def test_what_cannot_be_is_one_clear_line(tmp_path: Path, variables: dict[str, str], says: str) -> None:
    run = GoogleRun(tmp_path / "state")
    if "PATH" not in variables and (missing := obstacle()):
        pytest.skip(missing)

    assert run.start(**variables).wait(timeout=60) == 1

    eventually(lambda: run.lines)
    [line] = run.lines
    assert line.startswith(says)
    assert not run.state.exists()
