"""A large hold: what it costs to keep, to join, to look at and to empty, beside the floor of each.

`python -m bench.holds [--mutations 1000000] [--held 10000]` prints tables and writes `bench/results/holds.json`. The floor of
emptying is a plain loop that posts the same users to the same Pangolin, in the same run. It needs ten minutes and two gigabytes
of disk.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import requests
from msgspec.structs import replace

from bench.processes import use_of
from bench.tables import print_table, spread, write_results
from relay.backends.embedded import EmbeddedBackend, audience_rows
from relay.backends.interfaces import Turn
from relay.domain import audience as policy
from relay.domain.audience import Audience, HoldRequest
from relay.domain.clock import SystemClock
from relay.domain.message import Message, Mutation, encode
from tests.end_to_end.stack import TOKEN, Stack, eventually
from worker.catalog import Catalog
from worker.tick import tick

AUDIENCE = "a5940e473cea659.356693871497425011"
BATCH = 100
SIZES = (1, 100, 1_000)
JOINS = 300
CALL = 100
"""Users in a call: Pangolin's largest."""

Figures = dict[str, dict[str, float]]

_STANDING = HoldRequest("partner_unavailable", None, "of the measurement")


def user(number: int) -> str:
    """An ID of the DMP's form."""
    return f"5f1c0e6a-7d2b-4c1e-9a51-{number:012d}"


def batch(number: int, size: int, audience: str = AUDIENCE) -> Message:
    """A message as the receiver makes it."""
    first = number * size
    mutations = tuple(Mutation(index=index, user={"id": user(first + index)}, customer=123) for index in range(size))
    return Message(1, "change", "pangolin", audience, f"{number:032x}", time.time(), mutations=mutations)


def hold(backend: EmbeddedBackend, mutations: int, size: int, *, due_at: float | None = None) -> None:
    """So many mutations wait, as if a turn had put each batch there."""
    audience = backend.audiences.begin_turn("pangolin", AUDIENCE, position=0, message_id="").audience
    request = replace(_STANDING, due_at=due_at)
    first, last = 0, mutations // size
    while first < last:
        with backend.database.transaction() as connection:
            for number in range(first, min(last, first + 1_000)):
                message = batch(number, size)
                body = encode(message)
                audience, place = policy.join(audience, message, len(body), request, now=time.time())
                audience_rows.add_batch(connection, place, f"held-{number}", message, body, now=time.time())
            audience_rows.save(connection, audience)
        first += 1_000


def measure_size(mutations: int) -> Figures:
    """Bytes on the disk for a held mutation, by mutations in a batch; the floor is its message as JSON."""
    rows: Figures = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as directory:
            backend = EmbeddedBackend.open(Path(directory), SystemClock())
            hold(backend, mutations, size)
            backend.close()
            disk = sum(file.stat().st_size for file in Path(directory).glob("relay.db*")) / mutations
        floor = len(encode(batch(0, size))) / size
        rows[f"of {size:,}"] = {"bytes": disk, "floor": floor, "ratio": disk / floor, "GB/10M": disk / 100}
    return rows


def measure_joins(backend: EmbeddedBackend, audience: str) -> dict[str, float]:
    """Milliseconds for a turn in which one batch joins the hold, the turn's beginning included."""

    def join(number: int) -> None:
        turn: Turn = backend.audiences.begin_turn("pangolin", audience, position=number, message_id=f"join-{number}")
        backend.audiences.join(turn, batch(10**9 + number, BATCH, audience), _STANDING)

    return spread([_ms(partial(join, number)) for number in range(1, JOINS + 1)])


def measure_commands(stack: Stack) -> Figures:
    """Milliseconds for each command, the start of its process included; the floor is one that opens nothing."""
    commands = {
        "holds list": ["holds", "list"],
        "holds show": ["holds", "show", "pangolin", AUDIENCE],
        "status": ["status"],
    }

    def run(command: list[str]) -> None:
        program = [sys.executable, "-m", "relay.cli", *command]
        # `diy status` exits with 1 where somebody must act.
        subprocess.run(program, env=stack.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

    took: dict[str, list[float]] = {name: [] for name in ("", *commands)}
    for _ in range(7):  # in turns, so that what else the machine does hits all of them
        for name, values in took.items():
            values.append(_ms(partial(run, commands.get(name, ["--help"]))))
    floor = min(took.pop(""))
    return {name: {"ms": min(values), "floor": floor, "ratio": min(values) / floor} for name, values in took.items()}


def measure_tick(backend: EmbeddedBackend) -> dict[str, float]:
    """Milliseconds for one look at all holds, none of which is due."""
    catalog = Catalog(backend, SystemClock())
    return spread([_ms(lambda: tick(backend, catalog, SystemClock())) for _ in range(20)])


def hold_many(backend: EmbeddedBackend, audiences: int) -> None:
    """So many audiences, each with one batch in its hold."""
    request = replace(_STANDING, due_at=time.time() + 3_600)
    with backend.database.transaction() as connection:
        for number in range(audiences):
            message = batch(number, 1, f"many.{number}")
            body = encode(message)
            audience = Audience(version=policy.VERSION, connector="pangolin", id=message.audience, created_at=time.time())
            audience, place = policy.join(audience, message, len(body), request, now=time.time())
            audience_rows.save(connection, audience)
            audience_rows.add_batch(connection, place, f"many-{number}", message, body, now=time.time())


def measure_emptying(stack: Stack, mutations: int) -> Figures:
    """Mutations a second until the hold is empty, and by a plain loop; and the worker's memory before and at most."""
    stack.start("pangolin", "worker")
    eventually(lambda: stack.backend.audiences.due(0) == [])
    worker = stack.processes["worker"].pid
    idle = largest = use_of(worker).memory_mib
    stack.backend.audiences.make_due("pangolin", AUDIENCE)
    began = time.monotonic()
    while (standing := stack.backend.audiences.get("pangolin", AUDIENCE)) is None or standing.hold is not None:
        largest = max(largest, use_of(worker).memory_mib)
        time.sleep(0.2)
    took = time.monotonic() - began
    assert stack.size(AUDIENCE) == mutations
    floor = _plain_loop(stack, mutations)
    return {
        "emptying": {
            "s": took, "per_s": mutations / took, "floor_s": floor, "ratio": took / floor, "MiB idle": idle, "MiB most": largest,
        }
    }  # fmt: skip


def _plain_loop(stack: Stack, mutations: int) -> float:
    """The same users to another audience, one call after the other on one connection."""
    url = f"http://127.0.0.1:{stack.ports['pangolin']}/api/audiences"
    with requests.Session() as session:
        session.headers.update({"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
        made = session.post(url, json={"name": "floor", "reference": "floor"}).json()
        began = time.monotonic()
        for first in range(0, mutations, CALL):
            users = [{"id": user(number)} for number in range(first, first + CALL)]
            answer = session.post(f"{url}/{made['id']}/users", data=msgspec.json.encode({"users": users}))
            assert answer.status_code == 200
        return time.monotonic() - began


def _ms(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return (time.monotonic() - began) * 1000


def measure(mutations: int, held: int) -> Figures:
    rows: Figures = {}

    def show(title: str, measured: Figures) -> None:
        print(f"\n{title}")
        print_table(measured)
        rows.update({f"{title}: {name}": figures for name, figures in measured.items()})

    show("Bytes on the disk for a held mutation, by mutations in a batch", measure_size(mutations // 5))
    with tempfile.TemporaryDirectory() as directory:
        stack = Stack(Path(directory))
        try:
            backend = stack.backend
            joins = {"new hold": measure_joins(backend, "small")}
            hold(backend, mutations - JOINS * BATCH, BATCH)
            joins["large hold"] = measure_joins(backend, AUDIENCE)
            show(f"Milliseconds to join a hold: a new one, and one of {mutations:,} mutations", joins)
            looks = {"large hold": measure_tick(backend)}
            show("Milliseconds for a command, with that hold", measure_commands(stack))
            hold_many(backend, held)
            looks[f"{held:,} holds"] = measure_tick(backend)
            show(f"Milliseconds for a command, with {held:,} audiences held", measure_commands(stack))
            show("Milliseconds for one look at all holds", looks)
            show(f"Emptying the hold of {mutations:,} mutations", measure_emptying(stack, mutations))
        finally:
            stack.stop()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=1_000_000)
    parser.add_argument("--held", type=int, default=10_000)
    arguments = parser.parse_args()
    write_results("holds", measure(arguments.mutations, arguments.held))


if __name__ == "__main__":
    main()
