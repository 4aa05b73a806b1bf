"""The emulators of a test run: started once for all of its processes, and gone with it, Java included."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.local_run import emulators
from tests.emulators.running import VARIABLE

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[3]

FIRST = "from tests.emulators.running import Run; run = Run(); print(run.directory, flush=True); input(); run.end()"
WORKER = "from tests.emulators.running import addresses; found = addresses(); print(found.pubsub, found.firestore, flush=True)"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python with a program, without the emulators of this run."""
    if obstacle := emulators.obstacle():
        pytest.skip(obstacle)
    hidden = {VARIABLE, "PUBSUB_EMULATOR_HOST", "FIRESTORE_EMULATOR_HOST"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    started: list[subprocess.Popen[str]] = []

    def start_one(program: str, **variables: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", program],
                cwd=ROOT, env={**environment, **variables}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
        return started[-1]

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def said_by(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def left_of(groups: list[int]) -> list[str]:
    """Processes of these groups that live."""
    command = [shutil.which("ps") or "ps", "-eo", "pgid=,stat=,args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    fields = [line.split(None, 2) for line in listed.splitlines()]
    return [field[2] for field in fields if int(field[0]) in groups and not field[1].startswith("Z")]


def eventually(holds: Callable[[], object]) -> None:
    for _ in range(1_200):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("never came true")


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True], ids=["ended", "killed"])
def test_the_processes_of_a_run_share_emulators_that_are_gone_when_it_is_over(start: Start, killed: bool) -> None:
    first = start(FIRST)
    directory = Path(said_by(first)[0])
    workers = [start(WORKER, **{VARIABLE: str(directory)}) for _ in range(2)]
    one, other = (said_by(worker) for worker in workers)
    assert one == other
    groups = [int(line) for line in (directory / "groups").read_text().split()]
    assert len(groups) == 2
    assert sum(re.match(r"(\S*/)?java ", command) is not None for command in left_of(groups)) == 2

    if killed:
        first.send_signal(signal.SIGKILL)
    else:
        first.communicate("\n", timeout=60)
        assert not directory.exists()
    eventually(lambda: left_of(groups) == [])
    shutil.rmtree(directory, ignore_errors=True)


def test_a_run_that_needs_no_emulators_starts_none_and_leaves_nothing(start: Start) -> None:
    first = start(FIRST)
    directory = Path(said_by(first)[0])
    assert sorted(path.name for path in directory.iterdir()) == ["lifeline"]
    first.communicate("\n", timeout=60)
    assert not directory.exists()
