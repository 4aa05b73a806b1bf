"""The servers that are measured: ours, and the floors and peers of `bench/floors`, each a process group of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path

import msgspec

from bench.load import Answers, Load, send
from bench.processes import cpu_s
from tests.end_to_end.stack import HMAC_SECRET, ROOT, Stack, eventually, free_port

FLOORS = Path(__file__).parent / "floors"
NODE = FLOORS / "peer_node"
OLDEST_NODE = 18
"""As the packages say that it needs."""

_FOR_FLOORS = {"FLOOR_SECRET": HMAC_SECRET, "METADATA_SERVER_DETECTION": "none"}
"""Google's client in Node would look for Google's machines at each start."""


class Server(msgspec.Struct, frozen=True):
    """One that listens. `leader`: process ID of its group's first process."""

    name: str
    port: int
    leader: int

    def cpu_s(self) -> float:
        """CPU seconds that it has used until now."""
        return cpu_s(self.leader)


def ours(stack: Stack, name: str = "receiver") -> Server:
    """A process of the stack that was started."""
    return Server(f"our {name}", stack.ports[name], stack.processes[name].pid)


def floor_command(source: Path, port: int) -> list[str]:
    """The command that serves a floor or peer, as `Stack.function` serves ours."""
    if source.is_dir():
        program = source / "node_modules" / ".bin" / "functions-framework"
        return ["node", str(program), f"--source={source}", "--target=floor", f"--port={port}"]
    framework = [sys.executable, "-m", "functions_framework", "--source", str(source)]
    return [*framework, "--target", "floor", "--host", "127.0.0.1", "--port", str(port)]


def for_floors(more: Mapping[str, str]) -> dict[str, str]:
    """The environment variables of a floor, with these."""
    return {**_FOR_FLOORS, **more}


@contextmanager
def floor(source: Path, directory: Path, more: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A floor or peer, while the context lasts. more: environment variables beside the secret."""
    port = free_port()
    log = directory / f"{source.stem}.log"
    process = start(floor_command(source, port), log, for_floors(more or {}))
    server = Server(source.stem, port, process.pid)
    try:
        eventually(lambda: _listens(process, port, log), every_s=0.02)
        yield server
    finally:
        end(process)


def start(command: list[str], log: Path, more: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The process, as the leader of a group of its own."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    with log.open("ab") as output:
        return subprocess.Popen(
            command, cwd=ROOT, env={**kept, **more}, stdout=output, stderr=output, start_new_session=True
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """kill -9, children included."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def node_obstacle() -> str:
    """Why the peer in Node cannot be measured here; empty if it can. Installs what it needs, once."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "the peer in Node.js: there is no node and npm on this machine"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    if not version.startswith("v") or int(version[1:].partition(".")[0]) < OLDEST_NODE:
        return f"the peer in Node.js: it needs Node.js {OLDEST_NODE} or later"
    if not (NODE / "node_modules" / ".package-lock.json").exists():  # which npm writes last
        installed = subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=NODE, capture_output=True, check=False)
        if installed.returncode:
            return "the peer in Node.js: npm could not install what it needs"
    return ""


class Loaded(msgspec.Struct, frozen=True):
    """What came of a load: answers, and microseconds of the server's CPU for each of them."""

    answers: Answers
    cpu_us: float


class Loader:
    """Sends loads from processes of its own, and accounts for what they cost a server."""

    def __init__(self) -> None:
        # Spawned, so that nothing of this process is in the way of the load.
        self._pool = ProcessPoolExecutor(2, mp_context=get_context("spawn"))

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def start(self, load: Load) -> Future[Answers]:
        """Begins a load; at most two are under way."""
        return self._pool.submit(send, load)

    def load(self, server: Server, load: Load) -> Loaded:
        """Returns when the load has ended. Raises `AssertionError` unless all of it was answered with 200."""
        before = server.cpu_s()
        answers = self.start(load).result()
        answers.require_success(server.name)
        time.sleep(0.02)  # what it does right after its last answer is part of it
        return Loaded(answers, (server.cpu_s() - before) * 1e6 / sum(answers.statuses.values()))


def _listens(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert process.poll() is None, f"it has ended: {log.read_text(errors='replace')[-2_000:]}"
    return is_taken(port)


def is_taken(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
