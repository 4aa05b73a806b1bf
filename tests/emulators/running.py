"""The official emulators of a test run: started once, by the first process of the run that needs them, and ended with the run.

The process that pytest was started as begins and ends the run; under xdist its workers find the run's directory by a variable of
their environment. Where PUBSUB_EMULATOR_HOST and FIRESTORE_EMULATOR_HOST are set, those emulators are used, and nothing is
started.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

VARIABLE = "DIY_TEST_EMULATORS"
"""Names the directory of the run."""

_ROOT = Path(__file__).parents[2]
_PATIENCE_S = 90.0
_LAST_LINES = 15
_LIFELINE = "lifeline"
_STATE = "state.json"
_GROUPS = "groups"

_started: list[subprocess.Popen[bytes]] = []


class Unavailable(Exception):
    """The emulators cannot run on this machine; the text says why."""


class Addresses(msgspec.Struct, frozen=True):
    """host:port of both, or what is in the way of them."""

    pubsub: str = ""
    firestore: str = ""
    obstacle: str = ""


class Run:
    """One run of the tests, from its first process."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="diy-emulators-"))
        os.mkfifo(self.directory / _LIFELINE)
        # Whatever ends this process, it closes the pipe, and the lifeline at its other end takes the emulators down.
        self._pipe = os.open(self.directory / _LIFELINE, os.O_RDWR)
        os.environ[VARIABLE] = str(self.directory)

    def end(self) -> None:
        """Ends what was started for it: the whole groups, since gcloud leaves Java behind."""
        for group in _groups(self.directory):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        os.write(self._pipe, b"done\n")
        for process in _started:
            process.wait()
        _started.clear()
        os.close(self._pipe)
        shutil.rmtree(self.directory, ignore_errors=True)
        if os.environ.get(VARIABLE) == str(self.directory):
            del os.environ[VARIABLE]


def addresses() -> Addresses:
    """Where the run's emulators answer; starts them if nobody has.

    Raises `Unavailable`, or `RuntimeError` if they can run here and yet do not start.
    """
    given = Addresses(os.environ.get("PUBSUB_EMULATOR_HOST", ""), os.environ.get("FIRESTORE_EMULATOR_HOST", ""))
    if given.pubsub and given.firestore:
        return given
    directory = Path(os.environ[VARIABLE])
    with _alone(directory):
        state = directory / _STATE
        if not state.exists():
            state.write_bytes(msgspec.json.encode(_start(directory)))
        known = msgspec.json.decode(state.read_bytes(), type=Addresses)
    if known.obstacle:
        raise Unavailable(known.obstacle)
    return known


def _start(directory: Path) -> Addresses:
    # Here, since every run of the tests loads this module, and most need no emulators.
    from relay.local_run import emulators
    from relay.local_run.emulators import EMULATORS

    obstacle = emulators.obstacle()
    if obstacle:
        return Addresses(obstacle=obstacle)
    _start_lifeline(directory)
    ports = emulators.free_ports(len(EMULATORS))
    for emulator, port in zip(EMULATORS, ports, strict=True):
        _start_group(directory, emulator.command(port), directory / f"{port}.log")
    deadline = time.monotonic() + _PATIENCE_S
    for emulator, port, process in zip(EMULATORS, ports, _started[-len(EMULATORS) :], strict=True):
        ready = emulators.answers(port)
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                lines = (directory / f"{port}.log").read_text(errors="replace").splitlines()[-_LAST_LINES:]
                raise RuntimeError("\n".join([f"{emulator.title} did not start. Its last lines:", *lines]))
            time.sleep(0.1)
    pubsub, firestore = (emulators.address(port) for port in ports)
    return Addresses(pubsub, firestore)


def _start_group(directory: Path, command: list[str], log: Path) -> None:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    _started.append(process)
    line = f"{process.pid}\n".encode()
    with (directory / _GROUPS).open("ab") as groups, (directory / _LIFELINE).open("wb", buffering=0) as lifeline:
        groups.write(line)
        lifeline.write(line)


def _start_lifeline(directory: Path) -> None:
    with (directory / _LIFELINE).open("rb", buffering=0) as end:
        process = subprocess.Popen(
            [sys.executable, "-m", "relay.local_run.lifeline"],
            cwd=_ROOT, stdin=end, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    _started.append(process)


def _groups(directory: Path) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(line) for line in (directory / _GROUPS).read_text().split()]
    return []


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """One process of the run at a time."""
    with (directory / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
