"""The receiver beside bare functions that do what it cannot do without, and beside the functions that one would write first.

Requests of 100 mutations in 16 KB over 8 connections, each floor and ours in turns. CPU is that of the server's processes; the
rate is that of the whole machine, which the load and the emulator share.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.creations import elsewhere
from bench.figures import Found, Ratio, Rows, Table, middle
from bench.google import BareStack, emulators
from bench.load import Load
from bench.place import empty
from bench.requests_to_receive import change, creation
from bench.servers import FLOORS, NODE, Loaded, Loader, Server, floor, node_obstacle, ours
from bench.tables import spread
from tests.end_to_end.stack import Stack

CONNECTIONS = 8
SECONDS = 2.5
"""Of load, for each server and round."""

MANY_CONNECTIONS = 64

SPREADS = (10, 100)
"""Audiences in a request."""

CREATIONS = 20
"""Under way all the time beside the open loop; each takes as long as a slow partner."""

PARTNER_MS = 2_000

OPEN_TURNS = 3
OPEN_SECONDS = 6.0
"""Of each turn."""


def measure(rounds: int) -> Found:
    """Ours on both back ends."""
    with tempfile.TemporaryDirectory() as directory, Loader() as loader:
        (Path(directory) / "embedded").mkdir()
        embedded = _embedded(Path(directory) / "embedded", loader, rounds)
        with emulators() as found:
            if isinstance(found, str):
                return Found(embedded.tables, embedded.ratios, (found,))
            with elsewhere(Path(directory), answered_after_s=PARTNER_MS / 1000) as creator:
                google = BareStack(Path(directory), found, creator)
                published = _published(google, Path(directory), loader, rounds)
    return Found(
        embedded.tables + published.tables, embedded.ratios + published.ratios, embedded.left_out + published.left_out
    )


def _embedded(directory: Path, loader: Loader, rounds: int) -> Found:
    stack = Stack(directory)
    try:
        stack.start("receiver", "pangolin")
        with floor(FLOORS / "edge_a.py", directory) as floor_a:
            servers = {"floor A": floor_a, "ours, embedded": ours(stack)}
            loads = _in_turns(loader, servers, (change(),), rounds, after=lambda: empty(stack))
            commits = _commits_per_request(stack, loader)
        stack.pangolin("PUT", "/api/faults", latency_ms=PARTNER_MS)
        waits = _open_loop(loader, {"ours": ours(stack)})
        empty(stack)
    finally:
        stack.stop()
    rows = _rows(loads, "floor A")
    return Found(
        (
            Table("One request, embedded queue (100 mutations of one audience): CPU microseconds, requests a second", rows),
            Table("Open loop at a quarter of the most, 20 creations under way: milliseconds until the answer", waits),
        ),
        (
            Ratio("CPU of a request, embedded, by floor A", rows["ours, embedded"]["x CPU"], 2.5, at_most=True),
            Ratio("power-safe commits (synchronous=FULL) for a request, embedded", commits, 1.0, at_most=True),
            Ratio("99th percentile of the wait, embedded, by 50 ms", waits["ours"]["p99"] / 50, 1.0, at_most=True, of_time=True),
        ),
    )


def _published(stack: BareStack, directory: Path, loader: Loader, rounds: int) -> Found:
    tables: list[Table] = []
    ratios: list[Ratio] = []
    obstacle = node_obstacle()
    try:
        stack.start("receiver")
        with ExitStack() as running:
            floor_b = running.enter_context(floor(FLOORS / "edge_b.py", directory, stack.for_floors))
            servers = {
                "floor B": floor_b,
                "ours, Pub/Sub": ours(stack),
                "Flask": running.enter_context(floor(FLOORS / "peer_flask.py", directory, stack.for_floors)),
            }
            if not obstacle:
                servers["Node"] = running.enter_context(floor(NODE, directory, stack.for_floors))
            for what, requests, bars in _kinds_of_requests():
                loads = _in_turns(loader, servers, requests, rounds)
                rows = _rows(loads, "floor B")
                tables.append(Table(f"One request, Pub/Sub emulator, {what}: CPU microseconds, requests a second", rows))
                own = loads["ours, Pub/Sub"]
                ratios += [
                    Ratio(f"requests a second, {what}, by {name}", _by_rate(own, each), bars.get(name))
                    for name, each in loads.items()
                    if each is not own
                ]
            waits = _open_loop(loader, {"ours": ours(stack), "floor B": floor_b})
    finally:
        stack.stop()
    title = "Open loop at a quarter of the most, one audience, 20 creations under way: milliseconds until the answer"
    tables.append(Table(title, waits))
    of_ours = waits["ours"]["p99"]
    ratios.append(Ratio("99th percentile of the wait, Pub/Sub, by 50 ms", of_ours / 50, 1.0, at_most=True, of_time=True))
    return Found(tuple(tables), tuple(ratios), (obstacle,) if obstacle else ())


def _kinds_of_requests() -> Iterator[tuple[str, tuple[bytes, ...], dict[str, float]]]:
    """What they are, the requests, and the bars by floor or peer."""
    yield "one audience", (change(),), {"floor B": 0.85, "Node": 3.0}
    # What one key's requests gain by travelling together, these do not.
    yield "each of another audience", tuple(change(first=number) for number in range(MANY_CONNECTIONS)), {}
    for audiences in SPREADS:
        yield f"{audiences} audiences in each", (change(audiences),), {}


def _in_turns(
    loader: Loader,
    servers: Mapping[str, Server],
    requests: tuple[bytes, ...],
    rounds: int,
    after: Callable[[], object] = lambda: None,
) -> dict[str, list[Loaded]]:
    """Server → what came of its load in each round. What is done once is done before the first."""
    loads: dict[str, list[Loaded]] = {name: [] for name in servers}
    names = list(servers)
    for number in range(rounds + 1):
        names.append(names.pop(0))  # another one begins, and pays for what the one before it has left to the disk
        for name in names:
            server = servers[name]
            load = Load(server.port, requests, CONNECTIONS, seconds=SECONDS if number else SECONDS / 2)
            loads[name].append(loader.load(server, load))
            after()
    return {name: each[1:] for name, each in loads.items()}


def _rows(loads: Mapping[str, Sequence[Loaded]], beside: str) -> Rows:
    """Medians; ratios round by round."""
    return {
        name: {
            "CPU": middle(one.cpu_us for one in each),
            "least": min(one.cpu_us for one in each),
            "most": max(one.cpu_us for one in each),
            "x CPU": middle(one.cpu_us / other.cpu_us for one, other in zip(each, loads[beside], strict=True)),
            "a second": middle(one.answers.rate for one in each),
            "x rate": _by_rate(each, loads[beside]),
        }
        for name, each in loads.items()
    }


def _by_rate(own: Sequence[Loaded], other: Sequence[Loaded]) -> float:
    """How many times the other's rate, round by round."""
    return middle(one.answers.rate / beside.answers.rate for one, beside in zip(own, other, strict=True))


def _open_loop(loader: Loader, servers: Mapping[str, Server]) -> Rows:
    """Percentiles of the wait, in milliseconds, at a quarter of what the first of these, ours, can have answered over many
    connections, while it has audiences created by a partner that takes its time: medians of some turns. The first creation of a
    process, which loads what creations need, has a row of its own."""
    receiver, *_ = servers.values()
    most = loader.load(receiver, Load(receiver.port, (change(),), MANY_CONNECTIONS, seconds=SECONDS))
    rate = most.answers.rate / 4

    def turn(server: Server, name: str, creators: int) -> dict[str, float]:
        creations = tuple(creation(f"{name}.{number}") for number in range(2_000))
        made = loader.start(Load(receiver.port, creations, creators, seconds=OPEN_SECONDS + 1))
        offered = Load(server.port, (change(),), MANY_CONNECTIONS, seconds=OPEN_SECONDS, rate=rate)
        waits = spread(loader.load(server, offered).answers.waits_ms)
        made.result().require_success("creations")
        return {"a second": rate, **waits}

    first = turn(receiver, "first", 1)
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
    for number in range(OPEN_TURNS):
        for name in sorted(servers, reverse=bool(number % 2)):
            turns[name].append(turn(servers[name], f"{name[0]}.{number}", CREATIONS))
    turns["with the first creation of the process"] = [first]
    rows = {name: {column: middle(one[column] for one in each) for column in each[0]} for name, each in turns.items()}
    for name, each in turns.items():
        rows[name] |= {"p99 least": min(one["p99"] for one in each), "p99 most": max(one["p99"] for one in each)}
    return rows


def _commits_per_request(stack: Stack, loader: Loader) -> float:
    """Of requests that come over all connections at once; all that are joined in a commit have one time of publication."""
    loaded = loader.load(ours(stack), Load(ours(stack).port, (change(),), CONNECTIONS, seconds=SECONDS))
    commits: int = stack.backend.database.row("SELECT count(DISTINCT published_at) FROM messages")[0]
    empty(stack)
    return commits / sum(loaded.answers.statuses.values())
