"""What it costs to keep what was sent and answered: the same deliveries with and without, in turns.

`python -m bench.exchanges [--rounds 30]` (four minutes) prints a table and writes `bench/results/exchanges.json`. Processor time
of the worker's thread for one message, everything included but the partner, which answers in another thread.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import worker.attempt
from adapters.contract import HttpAnswer, HttpRequest
from bench.tables import print_table, write_results
from relay.domain.exchange import Exchanges
from relay.pangolin.server import InThread
from tests.promise.world import TOKEN, World
from worker.exchanges import Recording
from worker.partners import Partners

USERS = {1: 100, 100: 40, 1_000: 4}
"""In a message → messages in one measurement."""


class Deaf(Recording):
    """Keeps nothing."""

    def __call__(self, *_: object) -> None:
        pass

    @property
    def exchanges(self) -> Exchanges | None:
        return None


class Timed(Recording):
    """Counts the processor time that masking takes."""

    taken_s = 0.0

    def __call__(self, request: HttpRequest, answer: HttpAnswer | None, duration_ms: float, problem: str) -> None:
        began = time.thread_time()
        super().__call__(request, answer, duration_ms, problem)
        Timed.taken_s += time.thread_time() - began


@contextmanager
def recorded_by(kind: type[Recording]) -> Iterator[None]:
    """What attempts keep their exchanges with."""
    attempt: Any = worker.attempt
    attempt.Recording = kind
    try:
        yield
    finally:
        attempt.Recording = Recording


def delivered_ms(world: World, users: int, number: int) -> float:
    """Milliseconds of processor time for a message."""
    for one in range(USERS[users]):
        world.accept([("a.1", f"u{number}-{one}-{user}", "joined") for user in range(users)])
    gc.collect()
    began, taken = time.thread_time(), 0
    while world.work():
        taken += 1
    return (time.thread_time() - began) * 1000 / taken


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Users in a message → without, with, what masking takes of that, and with in per cent of without: the median of pairs."""
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as directory, InThread(Path(directory) / "pangolin.db", token=TOKEN) as pangolin:
        for users, messages in USERS.items():
            world = World(Path(directory) / f"state-{users}", pangolin, f"{users}-", answer="5s")
            world.worker.partners = Partners(world.backend, world.clock)  # which keeps adapters open, as ever
            try:
                delivered_ms(world, users, 0)
                pairs: list[tuple[float, float]] = []
                Timed.taken_s = 0.0
                for number in range(1, rounds + 1):
                    found: dict[type[Recording], float] = {}
                    for kind in (Deaf, Timed) if number % 2 else (Timed, Deaf):
                        with recorded_by(kind):
                            found[kind] = delivered_ms(world, users, 2 * number + (kind is Deaf))
                    pairs.append((found[Deaf], found[Timed]))
                rows[f"{users:,} user{'' if users == 1 else 's'}"] = {
                    "without, ms": statistics.median(one for one, _ in pairs),
                    "with, ms": statistics.median(one for _, one in pairs),
                    "masking, ms": Timed.taken_s * 1000 / rounds / messages,
                    "percent": 100 * statistics.median(recording / deaf for deaf, recording in pairs),
                }
            finally:
                world.backend.close()
                world.view.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    rows = measure(parser.parse_args().rounds)
    print_table(rows)
    write_results("exchanges", rows)


if __name__ == "__main__":
    main()
