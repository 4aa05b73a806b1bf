"""What there is more of must not make the relay slower or larger: requests behind it, audiences, batches in the queue.

A gigabyte of disk. Memory with the Google back end needs its emulators.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from bench.figures import Found, Ratio, Rows, Table, middle
from bench.google import BareStack, emulators
from bench.load import Load
from bench.place import CONNECTIONS, Place, empty
from bench.processes import use_of
from bench.requests_to_receive import change
from bench.servers import Loader, ours
from tests.end_to_end.stack import Stack

FEW = 1_000
MANY = 100_000
MANY_PUBLISHED = 30_000
"""With the Pub/Sub emulator, which is slower: a hundred thousand would take minutes."""

AT_ONCE = 5_000
"""Requests until the queue is emptied: 80 MB on the disk."""

GROWTH = 1.05
"""Memory after many requests, by that after few."""

KEPT = 0.9
"""Throughput where there is much, by that where there is little."""

FEW_AUDIENCES, MANY_AUDIENCES = 100, 10_000
SEVERAL = 10
"""Audiences in a request, so that a thousand requests are for ten thousand."""

QUEUED = 1_000_000

Done = TypeVar("Done")

_BESIDE = f"{FEW_AUDIENCES} audiences, empty queue"
_AUDIENCES = f"{MANY_AUDIENCES:,} audiences, empty queue"
_QUEUED = f"{FEW_AUDIENCES} audiences, {QUEUED:,} batches queued"


def measure(rounds: int) -> Found:
    """Memory, then throughput."""
    with tempfile.TemporaryDirectory() as directory, Loader() as loader:
        kept = _memory(Path(directory), loader)
        rates = _throughput(Path(directory), loader, rounds)
    return Found(kept.tables + rates.tables, kept.ratios + rates.ratios, kept.left_out)


def _memory(directory: Path, loader: Loader) -> Found:
    (directory / "embedded").mkdir()
    stack = Stack(directory / "embedded")
    rows: Rows = {}
    try:
        stack.start("pangolin", "receiver")
        rows["embedded queue"] = _grown(stack, loader, MANY, after=lambda: empty(stack))
    finally:
        stack.stop()
    left_out: tuple[str, ...] = ()
    with emulators() as found:
        if isinstance(found, str):
            left_out = (found,)
        else:
            google = BareStack(directory, found)
            try:
                google.start("pangolin", "create", "receiver")
                rows["Pub/Sub emulator"] = _grown(google, loader, MANY_PUBLISHED)
            finally:
                google.stop()
    return Found(
        (Table(f"Memory of the receiver's processes after {FEW:,} requests of 16 KB and after more: MiB", rows),),
        tuple(
            Ratio(f"memory after {row['requests']:,.0f} requests by {FEW:,}, {name}", row["x"], GROWTH, at_most=True)
            for name, row in rows.items()
        ),
        left_out,
    )


def _grown(stack: Stack, loader: Loader, number: int, after: Callable[[], object] = lambda: None) -> dict[str, float]:
    """Resident memory of the receiver, all of its processes."""
    receiver = ours(stack)
    before = 0.0
    sent = 0
    while sent < number:
        now = min(AT_ONCE, number - sent) if sent else FEW
        loader.load(receiver, Load(receiver.port, (change(),), CONNECTIONS, number=now))
        sent += now
        if not before:
            before = _resident(receiver.leader)
        after()
    later = _resident(receiver.leader)
    return {"requests": float(sent), "few": before, "many": later, "x": later / before}


def _resident(leader: int) -> float:
    time.sleep(0.5)
    return use_of(leader).memory_mib


def _throughput(directory: Path, loader: Loader, rounds: int) -> Found:
    with ExitStack() as running:
        places: dict[str, Place] = {}
        made = {_BESIDE: (FEW_AUDIENCES, 0), _AUDIENCES: (MANY_AUDIENCES, 0), _QUEUED: (FEW_AUDIENCES, QUEUED)}
        for name, (audiences, depth) in made.items():
            places[name] = Place(directory / str(len(places)), audiences=audiences, depth=depth)
            running.callback(places[name].stop)
        # Short rounds and many, so that what else the machine does hits all places alike. The worker first, since the loads of
        # requests leave much to the disk.
        delivered = _in_turns(places, 6 * rounds, Place.deliver)
        several = _in_turns(places, 2 * rounds, lambda place: place.receive(loader, SEVERAL, MANY_AUDIENCES // SEVERAL))
        few = {name: place for name, place in places.items() if name != _AUDIENCES}
        single = _in_turns(few, 2 * rounds, lambda place: place.receive(loader, 1, FEW_AUDIENCES))
    of_one = {name: [(one.answers.rate, one.cpu_us) for one in each] for name, each in single.items()}
    of_several = {name: [(one.answers.rate, one.cpu_us) for one in each] for name, each in several.items()}
    messages = {name: [(one.rate, one.cpu_us) for one in each] for name, each in delivered.items()}
    by_few, by_none = f"{MANY_AUDIENCES:,} audiences by {FEW_AUDIENCES}", f"{QUEUED:,} batches queued by none"
    return Found(
        (
            Table("The receiver, 1 audience in a request: requests a second, CPU microseconds", _rows(of_one)),
            Table(f"The receiver, {SEVERAL} audiences in a request: requests a second, CPU microseconds", _rows(of_several)),
            Table("The worker, one user in a message: messages a second, CPU microseconds", _rows(messages)),
        ),
        (
            Ratio(f"requests a second, {by_few}", _rates(of_several, _AUDIENCES), KEPT),
            Ratio(f"requests a second, {by_none}", _rates(of_one, _QUEUED), KEPT),
            Ratio(f"requests a second, {SEVERAL} audiences in each, {by_none}", _rates(of_several, _QUEUED)),
            Ratio(f"messages delivered a second, {by_few}", _rates(messages, _AUDIENCES), KEPT),
            Ratio(f"messages delivered a second, {by_none}", _rates(messages, _QUEUED), KEPT),
        ),
    )


def _in_turns(places: Mapping[str, Place], rounds: int, work: Callable[[Place], Done]) -> dict[str, list[Done]]:
    """What each place did in each round; another one is the first each time. What is done once is done before."""
    done: dict[str, list[Done]] = {name: [] for name in places}
    names = list(places)
    for _ in range(rounds + 1):
        for name in names:
            done[name].append(work(places[name]))
        names.append(names.pop(0))
    return {name: each[1:] for name, each in done.items()}


Round = tuple[float, float]
"""So many a second, and microseconds of CPU for each."""


def _rows(rounds: dict[str, list[Round]]) -> Rows:
    return {
        name: {
            "a second": middle(rate for rate, _ in each),
            "least": min(rate for rate, _ in each),
            "most": max(rate for rate, _ in each),
            "x rate": _times(each, rounds[_BESIDE], 0),
            "CPU": middle(cpu for _, cpu in each),
            "x CPU": _times(each, rounds[_BESIDE], 1),
        }
        for name, each in rounds.items()
    }


def _rates(rounds: dict[str, list[Round]], name: str) -> float:
    return _times(rounds[name], rounds[_BESIDE], 0)


def _times(own: Sequence[Round], other: Sequence[Round], figure: int) -> float:
    """How many times the other's figure, round by round."""
    return middle(one[figure] / beside[figure] for one, beside in zip(own, other, strict=True))
