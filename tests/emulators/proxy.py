"""The strict proxies of one process: run in a process of their own, and led from here."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from tests.emulators.counts import Counts

if TYPE_CHECKING:
    from tests.emulators.strict import StrictServer

ROOT = Path(__file__).parents[2]

_PATIENCE_S = 30.0
_PAUSE_S = 0.05


class Spec(msgspec.Struct, frozen=True):
    """One proxy: what it is called, host:port of the emulator, whose rules apply, and the file of Firestore's indexes."""

    name: str
    target: str
    rules: Literal["pubsub", "firestore", "none"]
    indexes: str = ""


class _Order(msgspec.Struct, frozen=True):
    proxy: str
    do: Literal["up", "down", "counts", "reset", "delay"]
    delay_s: float = 0.0


class _Report(msgspec.Struct, frozen=True):
    counts: Counts | None = None
    problem: str = ""


class StrictProxy:
    """One of them.

    address  host:port, the same for as long as it lives
    """

    def __init__(self, process: ProxyProcess, name: str, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self._process = process
        self._name = name

    @property
    def counts(self) -> Counts:
        """Since the beginning, or since they were reset."""
        return self._counted("counts")

    def reset_counts(self) -> Counts:
        """Begins to count anew. Returns what was counted till now."""
        return self._counted("reset")

    def down(self) -> None:
        """Closes the port and breaks what is connected to it, as a service that is gone."""
        self._process.order(_Order(self._name, "down"))

    def up(self) -> None:
        """Listens on the same port again."""
        self._process.order(_Order(self._name, "up"))

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Down within the block, and up again behind it."""
        self.down()
        try:
            yield
        finally:
            self.up()

    @contextmanager
    def delayed(self, seconds: float) -> Iterator[None]:
        """Within the block every call waits so long before it is passed on."""
        self._process.order(_Order(self._name, "delay", seconds))
        try:
            yield
        finally:
            self._process.order(_Order(self._name, "delay"))

    def _counted(self, do: Literal["counts", "reset"]) -> Counts:
        counts = self._process.order(_Order(self._name, do)).counts
        assert counts is not None
        return counts


class ProxyProcess:
    """The process. It ends when it is closed, and with the process that started it."""

    def __init__(self, *specs: Spec) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, msgspec.json.encode(specs).decode()],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        ports = msgspec.json.decode(self._line(), type=dict[str, int])
        self.proxies = {name: StrictProxy(self, name, port) for name, port in ports.items()}

    def order(self, order: _Order) -> _Report:
        """Returns when it is done. Raises `RuntimeError`."""
        with self._lock:
            assert self._process.stdin is not None
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            self._process.stdin.flush()
            report = msgspec.json.decode(self._line(), type=_Report)
        if report.problem:
            raise RuntimeError(report.problem)
        return report

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The process of the proxies ended with {self._process.wait()}.")
        return line


async def _serve(specs: Sequence[Spec]) -> None:
    # Here, since the process that leads needs none of it.
    from tests.emulators.firestore_rules import FirestoreRules
    from tests.emulators.indexes import IndexFile
    from tests.emulators.pubsub_rules import PubsubRules
    from tests.emulators.refusal import NoRules, Rules
    from tests.emulators.strict import StrictServer

    servers: dict[str, StrictServer] = {}
    for spec in specs:
        rules: dict[str, Rules] = {
            "pubsub": PubsubRules(), "firestore": FirestoreRules(IndexFile(Path(spec.indexes))), "none": NoRules(),
        }  # fmt: skip
        servers[spec.name] = StrictServer(spec.target, rules[spec.rules])
        await servers[spec.name].up()
    _say({name: server.port for name, server in servers.items()})
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        order = msgspec.json.decode(line, type=_Order)
        _say(await _carry_out(order, servers[order.proxy]))


async def _carry_out(order: _Order, server: StrictServer) -> _Report:
    if order.do == "counts":
        return _Report(server.tally.counts())
    if order.do == "reset":
        return _Report(server.tally.reset())
    if order.do == "delay":
        server.delay(order.delay_s)
    elif order.do == "down":
        await server.down()
    else:
        for _ in range(int(_PATIENCE_S / _PAUSE_S)):
            try:
                await server.up()
                return _Report()
            except RuntimeError as error:  # somebody connects from this very port just now
                problem = str(error)
            await asyncio.sleep(_PAUSE_S)
        return _Report(problem=problem)
    return _Report()


def _say(what: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(_serve(msgspec.json.decode(sys.argv[1], type=tuple[Spec, ...])))
