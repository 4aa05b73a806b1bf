"""A cold process: from its start to the first 200, ours on the google back end beside floor B, and a burst that meets it.

The Pub/Sub emulator and the load run already, and the program's files are in the system's cache. A real project adds what
Google's authentication takes: see docs/performance.md.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.figures import Found, Ratio, Table, middle, rounds_of
from bench.google import BareStack, emulators
from bench.load import Load
from bench.processes import cpu_s
from bench.requests_to_receive import change
from bench.servers import FLOORS, Loader, end, floor_command, for_floors, is_taken, start
from tests.end_to_end.stack import eventually, free_port

ALLOWED_S = 0.15
"""More than the floor's."""

BURST = 20
"""Requests at once, over as many connections."""

BURST_S = 1.0
"""In which all of them are to be answered once the process listens."""

_PATIENCE_S = 60.0


class _Program(msgspec.Struct, frozen=True):
    """What is started. `more`: environment variables."""

    name: str
    command: list[str]
    port: int
    more: Mapping[str, str]


class _Cold(msgspec.Struct, frozen=True):
    """Seconds from the start of a process."""

    listens: float
    first: float
    cpu: float


def measure(rounds: int) -> Found:
    """Each start is of a new process; ours and the floor's in turns."""
    with tempfile.TemporaryDirectory() as name, Loader() as loader, emulators() as found:
        if isinstance(found, str):
            return Found(left_out=(found,))
        directory = Path(name)
        stack = BareStack(directory, found)
        try:
            port = free_port()
            programs = [
                _Program("floor B", floor_command(FLOORS / "edge_b.py", port), port, for_floors(stack.for_floors)),
                _Program("ours", stack.commands["receiver"], stack.ports["receiver"], stack.environment),
            ]
            starts: dict[str, list[_Cold]] = {program.name: [] for program in programs}
            bursts: dict[str, list[float]] = {program.name: [] for program in programs}
            for number in range(2 * rounds + 1):
                for program in programs:
                    cold = _started(program, directory)
                    burst = _burst(program, directory, loader)
                    if number:  # the first time, files are read that are cached from then on
                        starts[program.name].append(cold)
                        bursts[program.name].append(burst)
        finally:
            stack.stop()
    return _found(starts, bursts)


def _found(starts: Mapping[str, list[_Cold]], bursts: Mapping[str, list[float]]) -> Found:
    rows = {
        f"{name}, {what}": rounds_of([getattr(one, field) * 1000 for one in each])
        for name, each in starts.items()
        for what, field in (("listens", "listens"), ("first 200", "first"), ("CPU until then", "cpu"))
    }
    burst_rows = {name: rounds_of([one * 1000 for one in each]) for name, each in bursts.items()}
    pairs = list(zip(starts["ours"], starts["floor B"], strict=True))
    within = middle(own.first / (floor.first + ALLOWED_S) for own, floor in pairs)
    return Found(
        (
            Table("A new process, milliseconds from its start", rows),
            Table(f"{BURST} requests at once on a new process, milliseconds until all are answered", burst_rows),
        ),
        (
            Ratio("start to first 200, by floor B", middle(own.first / floor.first for own, floor in pairs), at_most=True),
            Ratio(f"start to first 200, by floor B and {ALLOWED_S:g} s", within, 1.0, at_most=True),
            Ratio(f"slowest burst, by {BURST_S:g} s", max(bursts["ours"]) / BURST_S, 1.0, at_most=True, of_time=True),
        ),
    )


def _started(program: _Program, directory: Path) -> _Cold:
    """A process from its start to its first answer."""
    began = time.perf_counter()
    with _process(program, directory) as process:
        connection = _connected(program, process)
        listens_s = time.perf_counter() - began
        with connection:
            connection.sendall(change())
            answer = connection.recv(65_536)
        first_s = time.perf_counter() - began
        assert answer.startswith(b"HTTP/1.1 200"), f"{program.name} answered {answer[:200]!r}"
        return _Cold(listens_s, first_s, cpu_s(process.pid))


def _burst(program: _Program, directory: Path, loader: Loader) -> float:
    """Seconds from when a new process listens until all of a burst is answered."""
    with _process(program, directory) as process:
        _connected(program, process).close()
        began = time.perf_counter()
        loader.start(Load(program.port, (change(),), BURST, number=BURST)).result().require_success(program.name)
        return time.perf_counter() - began


@contextmanager
def _process(program: _Program, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = start(program.command, directory / f"{program.name}.log", program.more)
    try:
        yield process
    finally:
        end(process)
        # A child may hold the port a moment longer, and would be taken for the next process.
        eventually(lambda: not is_taken(program.port), every_s=0.005)


def _connected(program: _Program, process: subprocess.Popen[bytes]) -> socket.socket:
    """A connection, as soon as there is somebody to connect to."""
    give_up_at = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", program.port), timeout=_PATIENCE_S)
        except ConnectionRefusedError:
            assert process.poll() is None, f"{program.name} has ended before it listened"
            assert time.monotonic() < give_up_at, f"{program.name} does not listen"
            time.sleep(0.002)
