"""What `make run` starts, as a newcomer meets it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.end_to_end.stack import ROOT, eventually, free_port

HEADERS = {"Authorization": "Bearer local-pangolin-token"}


class LocalRun:
    """`python -m relay.local_run` on free ports."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.ports = [free_port() for _ in range(3)]
        self.lines: list[str] = []
        self.process: subprocess.Popen[str] | None = None

    def start(self, **variables: str) -> subprocess.Popen[str]:
        receiver, console, pangolin = map(str, self.ports)
        own = {"RECEIVER_PORT": receiver, "CONSOLE_PORT": console, "PANGOLIN_PORT": pangolin, "STATE_DIR": str(self.state)}
        process = subprocess.Popen(
            [sys.executable, "-m", "relay.local_run"],
            cwd=ROOT,
            env={**os.environ, "TRAFFIC": "0", **own, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines.clear()
        threading.Thread(target=self._read, args=(process,), daemon=True).start()
        self.process = process
        return process

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            self.lines.append(line.rstrip("\n"))

    def line(self, beginning: str) -> str:
        """The first line that begins so, as soon as it is printed."""
        found: str = eventually(lambda: next((line for line in self.lines if line.startswith(beginning)), None), within_s=150)
        return found

    def nothing_listens(self) -> bool:
        for port in self.ports:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return False
        return True

    def members(self, name: str) -> set[str]:
        """Of the audience with this name or reference on Pangolin."""
        url = f"http://127.0.0.1:{self.ports[2]}/api/audiences"
        for audience in requests.get(url, headers=HEADERS, timeout=10).json()["audiences"]:
            if name in (audience["name"], audience["reference"]):
                users = requests.get(f"{url}/{audience['id']}/users", params={"limit": "1000"}, headers=HEADERS, timeout=10)
                return {user["id"] for user in users.json()["users"]}
        return set()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[LocalRun]:
    run = LocalRun(tmp_path / "state")
    yield run
    if run.process and run.process.poll() is None:
        run.process.send_signal(signal.SIGTERM)
        run.process.wait(timeout=60)


def send(command: str) -> int:
    """Does what the printed curl does."""
    words = shlex.split(command)
    headers = dict(words[place + 1].split(": ", 1) for place, word in enumerate(words) if word == "-H")
    user, _, password = words[words.index("-u") + 1].partition(":")
    body = words[words.index("--data-raw") + 1]
    return requests.post(words[-1], data=body.encode(), headers=headers, auth=(user, password), timeout=10).status_code


def test_the_printed_command_adds_a_user_and_a_second_run_still_has_it(run: LocalRun) -> None:
    run.start()
    run.line("ready:")
    command = run.line("curl ")

    assert send(command) == 200
    logged = run.state / "logs" / "worker.log"
    eventually(lambda: '"event":"attempt"' in logged.read_text())
    assert logged.stat().st_mode & 0o777 == 0o600
    assert not [line for line in run.lines if line.startswith("{") or '"event"' in line], "what goes well is only in the logs"
    reference = "pangolin/a5940e473cea659.356693871497425011"
    eventually(lambda: run.members(reference) == {"my-first-user"})

    assert run.process
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(timeout=60) == 0
    assert run.nothing_listens()

    run.start()
    run.line("ready:")
    assert run.members(reference) == {"my-first-user"}
    assert run.line("connector pangolin:") == "connector pangolin: version 1, as it was"


def test_traffic_is_summed_up_and_arrives(run: LocalRun) -> None:
    run.start(TRAFFIC="1")

    ready = run.line("ready:")

    summary = run.line("simulated traffic:")
    assert "103 requests" in summary
    assert run.line("arrived: the ")
    assert run.lines.index(summary) < run.lines.index(ready)
    for port in run.ports:
        assert f"http://127.0.0.1:{port}/" in ready
    assert run.members("Sneaker fans")


def test_trouble_is_shown_in_the_terminal_in_short(run: LocalRun) -> None:
    run.start()
    run.line("ready:")
    faults = f"http://127.0.0.1:{run.ports[2]}/api/faults"
    requests.put(faults, json={"status": 503}, headers=HEADERS, timeout=10)

    assert send(run.line("curl ")) == 200

    shown = run.line("worker   | ")
    assert "WARNING attempt connector=pangolin audience=a5940e473cea659.356693871497425011 problem=" in shown
    assert "my-first-user" not in shown


def test_when_a_process_ends_the_others_end_too(run: LocalRun) -> None:
    process = run.start()
    run.line("ready:")

    os.kill(int(run.line("console started").split()[-1].rstrip(")")), signal.SIGKILL)

    assert process.wait(timeout=60) == 1
    assert run.line("console was ended by signal 9")
    assert run.nothing_listens()


def test_killed_it_leaves_nothing_behind(run: LocalRun) -> None:
    process = run.start()
    run.line("ready:")

    process.kill()

    eventually(run.nothing_listens)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"HOST": "0.0.0.0"}, lambda _: "leave HOST out"),  # noqa: S104
        ({"RECEIVER_PORT": "eighty"}, lambda _: "RECEIVER_PORT is 'eighty'"),
        ({"K_SERVICE": "diy"}, lambda _: "BACKEND=google"),
        ({"CONSOLE_PORT": "{taken}"}, lambda taken: f"Port {taken} is in use. Choose another one with CONSOLE_PORT="),
    ],
)
def test_what_cannot_be_is_one_clear_line(run: LocalRun, variables: dict[str, str], says: Callable[[int], str]) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]

        process = run.start(**{name: value.format(taken=taken) for name, value in variables.items()})

        assert process.wait(timeout=60) == 1
    eventually(lambda: run.lines)
    [line] = run.lines
    assert says(taken) in line
    assert not run.state.exists()


def test_without_a_python_that_is_new_enough_make_says_so_first(tmp_path: Path) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    environment = tmp_path / "environment"
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}

    ended = subprocess.run(
        [make, "run", "PYTHONS=no-python-at-all", f"VENV={environment}"],
        cwd=ROOT,
        env=own,  # not that of a make which runs these tests
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.splitlines()[0].startswith("DIY Relay needs Python 3.11 or later")
    assert not environment.exists()
