"""CPU time of the functions `diy` and `deliver` on the google back end, each beside its floor: what their server takes for a
request of the same size with which it has nothing to do.

`python -m bench.google_cost [--requests 100]` prints a table and writes `bench/results/google_cost.json`. It needs the emulators.
Time of the processes that serve (user and system), in milliseconds of this machine; calls to the emulators are not encrypted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import requests

from bench.google import emulators
from bench.processes import cpu_s
from bench.tables import print_table, write_results
from relay.simulator.dmp import Change, Dmp
from tests.end_to_end.google_stack import GoogleStack
from tests.end_to_end.stack import BASIC, HMAC_SECRET, eventually

MUTATIONS = 100
SPREADS = (1, 10, 100)
"""Audiences in a request."""


def measure(number: int) -> dict[str, dict[str, float]]:
    """Row → `cpu_ms` for each request or message, `floor_ms`, and how many times the floor that is."""
    rows: dict[str, dict[str, float]] = {}
    with emulators() as found, tempfile.TemporaryDirectory() as directory:
        if isinstance(found, str):
            raise SystemExit(found)
        stack = GoogleStack(Path(directory), found)
        try:
            stack.start()
            dmp = Dmp(f"http://127.0.0.1:{stack.ports['receiver']}/pangolin", HMAC_SECRET, BASIC)
            receiver, worker = (_Cpu(stack.processes[name].pid) for name in ("receiver", "worker"))
            for audiences in SPREADS:
                _send(stack, dmp, audiences, 2)  # they exist, and everything is loaded
                receiver.begin()
                worker.begin()
                _send(stack, dmp, audiences, number)
                rows[f"diy, {audiences}"] = {"cpu_ms": receiver.ms() / number}
                rows[f"deliver, {audiences}"] = {"cpu_ms": worker.ms() / (number * audiences)}
            _add_floors(rows, stack, dmp, receiver, worker, number)
        finally:
            stack.stop()
    return rows


def _add_floors(
    rows: dict[str, dict[str, float]], stack: GoogleStack, dmp: Dmp, receiver: _Cpu, worker: _Cpu, number: int
) -> None:
    """A validation, whose signature is checked and whose body is not looked at; and a push that is none."""
    floor = _each(receiver, number, lambda: dmp.validate("POST"))
    body = b"x" * 12_000
    refused = _each(worker, number, lambda: requests.post(f"http://127.0.0.1:{stack.ports['worker']}/", data=body, timeout=10))
    for name, row in rows.items():
        row["floor_ms"] = floor if name.startswith("diy") else refused
        row["ratio"] = row["cpu_ms"] / row["floor_ms"]


def _each(cpu: _Cpu, number: int, act: Callable[[], object]) -> float:
    cpu.begin()
    for _ in range(number):
        act()
    return cpu.ms() / number


def _send(stack: GoogleStack, dmp: Dmp, audiences: int, number: int) -> None:
    """So many requests, until everything in them is delivered."""
    before = _delivered(stack)
    changes = [
        Change(f"a5940e473cea659.{one % audiences:021d}", f"5f1c0e6a-7d2b-4c1e-9a51-{one:012d}") for one in range(MUTATIONS)
    ]
    for _ in range(number):
        answer = dmp.change("joined", changes)
        assert answer.accepted, answer.error
    eventually(lambda: _delivered(stack) - before >= number * MUTATIONS, within_s=300.0, every_s=0.5)


def _delivered(stack: GoogleStack) -> int:
    totals: dict[str, int] = stack.backend.reports.totals("pangolin", since=0)
    return totals.get("delivered", 0)


class _Cpu:
    """User and system time of a process and of all that it started."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = 0.0

    def begin(self) -> None:
        self._before = self._now_ms()

    def ms(self) -> float:
        """Since `begin`."""
        return self._now_ms() - self._before

    def _now_ms(self) -> float:
        return cpu_s(self._pid) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100)
    arguments = parser.parse_args()
    began = time.monotonic()
    rows = measure(arguments.requests)
    print(f"CPU time: of `diy` for a request of {MUTATIONS} mutations, of `deliver` for a message, by audiences in a request")
    print_table(rows)
    print(f"{time.monotonic() - began:.0f} s in all")
    write_results("google_cost", rows)


if __name__ == "__main__":
    main()
