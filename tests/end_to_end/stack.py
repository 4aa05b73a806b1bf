"""Receiver, worker and Pangolin as real processes on a state directory of their own.

`tests.end_to_end.google_stack` has the same on the google back end.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import requests

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.configuration import LOCAL_SECRETS
from relay.connectors.publishing import Publishing
from relay.domain.clock import SystemClock

ROOT = Path(__file__).parents[2]

HMAC_SECRET = "an-hmac-secret-of-the-test"
BASIC = "dmp:pass:word"
TOKEN = LOCAL_SECRETS["pangolin-token"]

DOCUMENT = """
name: pangolin
adapter: pangolin
inbound: {{hmac_secret: dmp-hmac, basic_auth: dmp-basic, audience_id: {mode}}}
settings: {{base_url: "http://127.0.0.1:{port}"}}
secrets: {{token: partner-token}}
actions:
  - {{name: Create audience, trigger: created, operation: create_audience}}
  - {{name: Add, trigger: joined, operation: add, mapping: {{id: user.id}}}}
  - {{name: Remove, trigger: left, operation: remove, mapping: {{id: user.id}}}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(holds: Callable[[], Any], *, within_s: float = 30.0, every_s: float = 0.1) -> Any:
    """Waits until `holds` returns something true, and returns it; fails after `within_s`."""
    give_up_at = time.monotonic() + within_s
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not within {within_s} s")
        time.sleep(every_s)


class Stack:
    """The processes, and what the DMP and an operator do to them."""

    servers: tuple[str, ...] = ("pangolin", "receiver")
    """The processes that listen on a port."""

    everything: tuple[str, ...] = ("pangolin", "worker", "receiver")
    """The processes that deliver by themselves what comes in, in the order in which they start."""

    def __init__(self, directory: Path, *, mode: str = "own", debug: bool = False) -> None:
        self.directory, self.state, self.debug = directory, directory / "state", debug
        self.ports = {name: free_port() for name in self.servers}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.backend = self.open_backend()
        self.publishing = Publishing(self.backend, describe, "test")
        self.set_up(mode)

    def set_up(self, mode: str) -> None:
        """What is there before the processes start."""
        for name, value in {"dmp-hmac": HMAC_SECRET, "dmp-basic": BASIC, "partner-token": TOKEN}.items():
            self.publishing.set_secret(name, value)
        self.publishing.apply(DOCUMENT.format(port=self.ports["pangolin"], mode=mode))

    def open_backend(self) -> Any:
        """What the processes use, for the test's own part as operator."""
        return EmbeddedBackend.open(self.state, SystemClock())

    # processes

    def function(self, target: str, name: str = "") -> list[str]:
        """The command that serves one function of main.py as the process of this name."""
        framework = [sys.executable, "-m", "functions_framework", "--source", str(ROOT / "main.py"), "--host", "127.0.0.1"]
        debug = ["--debug"] if self.debug else []
        return [*framework, "--target", target, "--port", str(self.ports[name or target]), *debug]

    @property
    def commands(self) -> dict[str, list[str]]:
        return {
            "receiver": self.function("diy", "receiver"),
            "worker": [sys.executable, "-m", "relay.cli", "worker"],
            "pangolin": [sys.executable, "-m", "relay.pangolin"],
        }

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        return {
            **kept,
            "PYTHONPATH": str(ROOT),
            "STATE_DIR": str(self.state),
            "PANGOLIN_PORT": str(self.ports["pangolin"]),
            "HOST": "127.0.0.1",
        }

    def start(self, *names: str, source: Path = ROOT) -> None:
        """source: the tree whose program runs."""
        for name in names or self.everything:
            command = [part.replace(str(ROOT / "main.py"), str(source / "main.py")) for part in self.commands[name]]
            environment = {**self.environment, "PYTHONPATH": str(source)}
            with (self.directory / f"{name}.log").open("ab") as output:
                self.processes[name] = subprocess.Popen(
                    command, cwd=source, env=environment, stdout=output, stderr=output, start_new_session=True
                )
        for name in names or self.everything:
            if name in self.ports:
                eventually(functools.partial(self.listens, name))

    def start_second_worker(self) -> None:
        """Beside the one that runs, for the same queue."""
        first = self.processes.pop("worker")
        self.start("worker")
        self.processes["first worker"] = first

    def listens(self, name: str) -> bool:
        assert self.processes[name].poll() is None, self.output(name)
        return self._port_is_taken(name)

    def _port_is_taken(self, name: str) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports[name])) == 0

    def kill(self, name: str) -> None:
        """kill -9, children included."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if name in self.ports:
            # A child may hold the port a moment longer, and who starts the process again would take it for the new one.
            eventually(lambda: not self._port_is_taken(name), every_s=0.01)

    def terminate(self, name: str) -> int:
        """SIGTERM; returns the exit code."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            return process.wait(20)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def stop(self) -> None:
        for name in list(self.processes):
            self.kill(name)
        self.backend.close()

    def output(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def outputs(self) -> str:
        return "\n".join(file.read_text(errors="replace") for file in self.directory.glob("*.log"))

    # the DMP

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['receiver']}/pangolin"

    def post(
        self, kind: str, body: dict[str, Any], *, secret: str = HMAC_SECRET, timeout: float = 10.0
    ) -> requests.Response:
        raw = msgspec.json.encode({"Type": kind, **body})
        headers = {
            "X-HMAC": hmac.new(secret.encode(), raw, hashlib.sha1).hexdigest(),
            "Authorization": "Basic " + base64.b64encode(BASIC.encode()).decode(),
            "Content-Type": "application/json",
        }
        return requests.post(f"{self.url}?type={kind}", data=raw, headers=headers, timeout=timeout)

    def change(self, audience: str, users: list[str], *, kind: str = "ADD_TO_AUDIENCE", **more: Any) -> requests.Response:
        return self.post(kind, {"Mutations": [{"Audience": audience, "User": user} for user in users]}, **more)

    # the partner

    def pangolin(self, method: str, path: str, **body: Any) -> Any:
        url = f"http://127.0.0.1:{self.ports['pangolin']}{path}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = requests.request(method, url, json=body or None, headers=headers, timeout=10)
        return answer.json() if answer.content else None

    def members(self, audience: str) -> set[str]:
        """The members of our audience at the partner, by its reference."""
        listed = self.pangolin("GET", "/api/audiences?limit=10000")["audiences"]
        matching = [one["id"] for one in listed if one["reference"] == f"pangolin/{audience}"]
        assert len(matching) <= 1
        if not matching:
            return set()
        return {user["id"] for user in self.pangolin("GET", f"/api/audiences/{matching[0]}/users?limit=10000")["users"]}

    def size(self, audience: str) -> int:
        """How many members our audience has at the partner."""
        listed = self.pangolin("GET", "/api/audiences?limit=10000")["audiences"]
        return next((int(one["size"]) for one in listed if one["reference"] == f"pangolin/{audience}"), 0)

    def drained(self) -> bool:
        """Whether nothing waits, neither in the queue, where that can be told, nor in holds."""
        depth = self.backend.queue.depth()
        return not (depth and depth.messages) and not self.backend.audiences.held()
