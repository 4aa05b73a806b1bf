"""What a long queue costs: publishing and delivering with nothing, 100,000 and 1,000,000 batches in it, in one run.

`python -m bench.queue_depth [--depths 0 100000 1000000]` prints a table and writes `bench/results/queue_depth.json`. Each figure
stands beside that of the empty queue. It needs a few minutes and a gigabyte of disk.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr
from functools import partial
from pathlib import Path

from bench.tables import print_table, write_results
from relay.backends.embedded import EmbeddedBackend
from relay.backends.embedded.messages import append, rows_of
from relay.domain.clock import SystemClock
from relay.domain.message import Message, Mutation
from tests.end_to_end.stack import Stack
from worker.turn import Worker

KEYS = 100
"""Audiences among which the batches are divided."""

ROUNDS, EACH = 15, 100
"""Batches that are published and delivered in a round, at each depth; the middle one of the rounds counts."""


def batch(number: int) -> Message:
    """One user of one audience."""
    mutations = (Mutation(index=0, user={"id": f"5f1c0e6a-7d2b-4c1e-9a51-{number:012d}"}, customer=123),)
    return Message(1, "change", "pangolin", f"depth.{number % KEYS}", f"{number:032x}", time.time(), mutations=mutations)


def fill(backend: EmbeddedBackend, first: int, number: int) -> None:
    """So many further batches are queued."""
    for start in range(first, first + number, 10_000):
        rows = rows_of(batch(one) for one in range(start, min(first + number, start + 10_000)))
        with backend.database.transaction() as connection:
            append(connection, rows, now=time.time())


class Place:
    """A relay with a queue of this depth, and a Pangolin of its own."""

    def __init__(self, directory: Path, depth: int) -> None:
        directory.mkdir()
        self.stack = Stack(directory)
        self.stack.start("pangolin")
        self.backend = self.stack.backend
        self.worker = Worker(self.backend, SystemClock())
        _publish(self.backend, range(KEYS))
        _deliver(self.backend, self.worker, KEYS)  # the audiences exist
        fill(self.backend, 0, depth)
        self.publish_s, self.deliver_s, self.look_s = list[float](), list[float](), list[float]()

    def measure(self, number: int) -> None:
        """As many are delivered as are published, so that the queue stays as long as it is."""
        numbers = range(10**9 + number * EACH, 10**9 + (number + 1) * EACH)
        self.publish_s.append(_seconds(partial(_publish, self.backend, numbers)) / EACH)
        self.deliver_s.append(_seconds(partial(_deliver, self.backend, self.worker, EACH)) / EACH)
        self.look_s.append(_seconds(self.backend.queue.depth))


def measure(depths: list[int]) -> dict[str, dict[str, float]]:
    """Per depth: batches a second, and how many times that of the first depth it is. Measured in turns, so that what else the
    machine does hits all of them."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as places:
        made: dict[int, Place] = {}
        for depth in depths:
            made[depth] = Place(Path(directory) / str(depth), depth)
            places.callback(made[depth].stack.stop)
        for number in range(ROUNDS):
            for place in made.values():
                place.measure(number)
        rows = {
            f"{depth:,}": {
                "publish/s": 1 / statistics.median(place.publish_s),
                "deliver/s": 1 / statistics.median(place.deliver_s),
                "depth ms": 1000 * statistics.median(place.look_s),
            }
            for depth, place in made.items()
        }
    first = next(iter(rows.values()))
    for row in rows.values():
        row |= {f"x {name}": row[name] / first[name] for name in ("publish/s", "deliver/s")}
    return rows


def _publish(backend: EmbeddedBackend, numbers: range) -> None:
    """Each by itself and durably, as one request after the other does it."""
    for number in numbers:
        backend.queue.publish([batch(number)])


def _deliver(backend: EmbeddedBackend, worker: Worker, number: int) -> None:
    """Taken, delivered to Pangolin, acknowledged, one after the other."""
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):  # the worker's log
        for _ in range(number):
            leased = backend.queue.take()
            assert leased is not None
            worker.handle(leased)


def _seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depths", type=int, nargs="+", default=[0, 100_000, 1_000_000])
    results = measure(sorted(parser.parse_args().depths))
    print("Batches a second with so many in the queue, one after the other, and how many times that of the first row it is")
    print_table(results)
    write_results("queue_depth", results)


if __name__ == "__main__":
    main()
