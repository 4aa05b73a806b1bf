"""Overload: what a request with a bad signature costs the receiver, and what becomes of the good ones beside a flood of them.

The floor is a bare function that reads the same body, computes its HMAC and refuses it, on the same server, in the same run.
Costs are CPU time of the server's processes for each request: what else the machine does counts little.

`python -m bench.hostile [--seconds 2] [--rounds 5]` prints tables, writes `bench/results/hostile.json`, and exits with 1 if a bad
signature costs more than `LIMIT` times the floor. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import msgspec

from bench.processes import cpu_s
from bench.requests_to_receive import PATH, signed
from bench.tables import print_table, write_results
from tests.end_to_end.stack import HMAC_SECRET, Stack

MUTATIONS = 100
"""In each request: a body of 16 KB."""

CONNECTIONS = 32
"""Of each kind. Where no rate is given, each has a request under way all the time: more than can be answered at once."""

OFFERED = {"half good": (0.5, 1.5), "flood": (0.2, 1.8)}
"""Twice of what can be answered, good and bad: each as a part of what the receiver answers of that kind alone."""

LIMIT = 1.2
"""A bad signature costs at most so many times the floor."""

_FLOOR = """
import hashlib, hmac
import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

@functions_framework.aio.http
async def floor(request: Request) -> Response:
    body = await request.body()
    given = request.headers.get("x-hmac", "").encode()
    if hmac.compare_digest(hmac.digest({secret!r}, body, "sha1").hex().encode(), given):
        return Response(b"{{}}", media_type="application/json")
    return Response(b'{{"error":"no"}}', status_code=401, media_type="application/json")
"""


class Measured(msgspec.Struct, frozen=True):
    """What came of one load: answers a second by status, and CPU microseconds of the server's processes for each answer."""

    rates: dict[int, float]
    cpu_us: float

    def rate(self, status: int) -> float:
        """Answers a second with this status."""
        return self.rates.get(status, 0.0)


class Shared(msgspec.Struct, frozen=True):
    """Good requests alone, and beside bad ones: how many were offered a second, and what came of the good and of the bad ones."""

    alone: Measured
    beside: dict[str, tuple[float, Measured, Measured]]


class _Overloaded(Stack):
    """The receiver, and the floor beside it."""

    servers = ("pangolin", "receiver", "floor")

    @property
    def commands(self) -> dict[str, list[str]]:
        source = self.directory / "floor.py"
        source.write_text(_FLOOR.format(secret=HMAC_SECRET.encode()))
        floor = [str(source) if part.endswith("main.py") else part for part in self.function("floor")]
        return {**super().commands, "floor": floor}


def request(*, good: bool) -> bytes:
    """As it travels, over a connection that stays open."""
    users = [{"Audience": "bench.1", "User": f"user-{number:08d}-{'x' * 90}"} for number in range(MUTATIONS)]
    body = msgspec.json.encode({"Type": "ADD_TO_AUDIENCE", "Mutations": users})
    return signed(PATH, body, secret=HMAC_SECRET if good else "another secret")


def sent(port: int, raw: bytes, seconds: float, rate: float) -> Counter[int]:
    """Sends this request so often a second, or again and again where the rate is 0; how often it was answered with which
    status. What the server is behind with is not caught up on."""
    statuses: Counter[int] = Counter()
    pause_s = CONNECTIONS / rate if rate else 0.0

    async def lane(until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        due = time.monotonic() + random.random() * pause_s
        while (now := time.monotonic()) < until:
            if due > now:
                await asyncio.sleep(due - now)
            due = max(due, now) + pause_s
            writer.write(raw)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            statuses[int(head[9:12])] += 1
        writer.close()

    async def lanes() -> None:
        until = time.monotonic() + seconds
        await asyncio.gather(*(lane(until) for _ in range(CONNECTIONS)))

    asyncio.run(lanes())
    return statuses


class Bench:
    """A running stack and the processes that load it."""

    def __init__(self, stack: _Overloaded, pool: ProcessPoolExecutor, seconds: float) -> None:
        self._stack, self._pool, self._seconds = stack, pool, seconds

    def pair(self, raw: bytes, seconds: float) -> tuple[Measured, Measured]:
        """The floor and the receiver, shortly after each other: a shared machine is slower or faster for longer than that."""
        floor, receiver = (self._loaded(name, [(raw, 0.0)], seconds)[0] for name in ("floor", "receiver"))
        return floor, receiver

    def alone(self, name: str, raw: bytes) -> Measured:
        """One server with as many of these requests as it can answer."""
        return self._loaded(name, [(raw, 0.0)], self._seconds)[0]

    def shared(self, good: bytes, bad: bytes) -> Shared:
        """The receiver with one kind after the other, then with both: whatever else the machine does concerns all of them."""
        good_alone, bad_alone = self.alone("receiver", good), self.alone("receiver", bad)
        beside = {}
        for name, (of_good, of_bad) in OFFERED.items():
            rates = good_alone.rate(200) * of_good, bad_alone.rate(401) * of_bad
            good_beside, bad_beside = self._loaded("receiver", [(good, rates[0]), (bad, rates[1])], self._seconds)
            beside[name] = rates[0], good_beside, bad_beside
        return Shared(good_alone, beside)

    def _loaded(self, name: str, requests: list[tuple[bytes, float]], seconds: float) -> list[Measured]:
        port, pid = self._stack.ports[name], self._stack.processes[name].pid
        before = cpu_s(pid)
        under_way = [self._pool.submit(sent, port, raw, seconds, rate) for raw, rate in requests]
        counts = [each.result() for each in under_way]
        cpu_us = (cpu_s(pid) - before) * 1e6 / max(1, sum(count.total() for count in counts))
        return [Measured({status: number / seconds for status, number in count.items()}, cpu_us) for count in counts]


Table = dict[str, dict[str, float]]


def measure(seconds: float, rounds: int) -> tuple[Table, Table]:
    """Two tables: what requests cost alone, and what becomes of good ones beside bad ones."""
    good, bad = request(good=True), request(good=False)
    with tempfile.TemporaryDirectory() as directory, ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        stack = _Overloaded(Path(directory))
        try:
            stack.start("receiver", "floor")
            bench = Bench(stack, pool, seconds)
            for name in ("floor", "receiver"):
                bench.alone(name, bad)  # what is done once is done
            costs = [bench.pair(bad, seconds / 5) for _ in range(8 * rounds)]
            shared = [bench.shared(good, bad) for _ in range(rounds)]
        finally:
            stack.stop()
    return _costs(costs, shared), _shares(shared)


def _costs(pairs: list[tuple[Measured, Measured]], shared: list[Shared]) -> Table:
    """Medians; what a bad signature costs is compared pair by pair."""
    found = {
        "floor": [floor for floor, _ in pairs],
        "bad": [refused for _, refused in pairs],
        "good": [one.alone for one in shared],
    }
    table = {
        name: {"cpu_us": _middle(one.cpu_us for one in each), "a_second": _middle(sum(one.rates.values()) for one in each)}
        for name, each in found.items()
    }
    table["bad"]["floor_%"] = _middle(100 * refused.cpu_us / floor.cpu_us for floor, refused in pairs)
    for name in ("floor", "good"):
        table[name]["floor_%"] = 100 * table[name]["cpu_us"] / table["floor"]["cpu_us"]
    return table


def _shares(shared: list[Shared]) -> Table:
    """Of twice as much as it can answer, the receiver answers half, whatever kind it is: that is a kind's share."""
    table = {}
    for name in OFFERED:
        found = [one.beside[name] for one in shared]
        table[name] = {
            "offered": _middle(offered for offered, _, _ in found),
            "share": _middle(offered / 2 for offered, _, _ in found),
            "good": _middle(good.rate(200) for _, good, _ in found),
            "kept_%": _middle(200 * good.rate(200) / offered for offered, good, _ in found),
            "200_%": _middle(100 * good.rate(200) / sum(good.rates.values()) for _, good, _ in found),
            "bad": _middle(bad.rate(401) for _, _, bad in found),
        }
    return table


def _middle(values: Iterable[float]) -> float:
    return statistics.median(values)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    cost, shares = measure(arguments.seconds, arguments.rounds)
    print(f"CPU microseconds of one request of {MUTATIONS} mutations at saturation, requests a second, percent of the floor")
    print_table(cost)
    ratio = cost["bad"]["floor_%"] / 100
    print(f"bad signature: {ratio:.2f} × the floor (at most {LIMIT})\n")
    print("Twice of what it can answer. A second: good ones offered, their share, those answered with 200; bad ones refused.")
    print("kept_%: good ones answered with 200, in percent of their share; 200_%: in percent of those that were answered at all")
    print_table(shares)
    write_results("hostile", {**cost, **shares})
    too_much = ratio > LIMIT
    print(f"not fine: a bad signature costs more than {LIMIT} × the floor" if too_much else "fine")
    return 1 if too_much else 0


if __name__ == "__main__":
    sys.exit(main())
