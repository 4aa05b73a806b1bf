"""The worker beside a loop over `requests.Session` that posts the very same bodies to the same Pangolin, in as many threads.

Ours and the floor have 100 audiences each, which exist already; users are new in every round, so that Pangolin does the same for
both. The queue is filled in one commit, and time runs from there until it is empty. CPU is that of the worker's process, and of
the floor's after its imports.

Then one audience with a long backlog, and a Pangolin that was told to take 10,000 users a call: what waits in its hold, gathered
in the largest calls, beside a connector whose calls are no larger than a batch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import yaml

from bench.figures import Found, Ratio, Rows, Table, middle
from bench.processes import cpu_s
from bench.servers import FLOORS
from relay.backends.embedded import audience_rows
from relay.backends.embedded.messages import append, rows_of
from relay.domain import audience as policy
from relay.domain.audience import HoldRequest
from relay.domain.message import Message, Mutation, encode
from tests.end_to_end.stack import ROOT, TOKEN, Stack, eventually
from worker.tick import publish_resume

AUDIENCES = 100
BATCHES = 5
"""Of each audience in a round."""
USERS = 100
"""In a batch, as the receiver makes it of a request; Pangolin takes no more in a call."""

BACKLOG = 10_000
"""Batches that wait."""
BATCH_SIZES = (1, 10)
"""Users in each of them."""
LARGEST_CALL = 10_000
FEW = {0: 1_000, 50: 60}
"""Milliseconds that the partner takes for a call → batches that are sent in one call each: enough for a rate."""
BARS = {(0, 1): 20.0, (50, 1): 20.0, (50, 10): 20.0}
"""Milliseconds that the partner takes, and users in a batch. Batches of ten to a partner that takes no time are reported only:
what Pangolin does for each user then counts for more than what it does for each call."""

_CONNECTOR = "pangolin"
_LARGE = "gathering"


class Run(msgspec.Struct, frozen=True):
    """One filled queue, or one backlog, until it was delivered."""

    users: int
    wall_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Users a second."""
        return self.users / self.wall_s

    @property
    def cpu_ms(self) -> float:
        """For 1,000 users."""
        return self.cpu_s * 1e6 / self.users


def measure(rounds: int) -> Found:
    """See the module."""
    queue = _queue(rounds)
    backlog = _backlog(rounds)
    return Found(queue.tables + backlog.tables, queue.ratios + backlog.ratios)


# the queue of many audiences


def _queue(rounds: int) -> Found:
    with _stack() as stack:
        stack.start("pangolin", "worker")
        concurrency = stack.publishing.live(_CONNECTOR).limits.rate.concurrency
        names = [f"queue.{number}" for number in range(AUDIENCES)]
        ours = {name: _audience_of(stack, _CONNECTOR, name) for name in names}
        floors = {name: _made(stack, f"floor {name}") for name in names}
        one = _in_turns(stack, floors, concurrency, range(rounds + 1))
        stack.start_second_worker()
        two = _in_turns(stack, floors, concurrency, range(rounds + 1, 2 * rounds + 2))
        _require_same_members(stack, ours, floors, 2 * rounds + 2)
    rows = _rows(one, "the floor") | {f"{name}, two processes": row for name, row in _rows(two, "the floor").items()}
    rows["the floor, again"] = rows.pop("the floor, two processes")
    title = (
        f"From the queue: {AUDIENCES} audiences with {BATCHES} batches of {USERS} users each, {concurrency} at once; users a "
        "second, CPU milliseconds for 1,000 users"
    )
    return Found(
        (Table(title, rows),),
        (
            Ratio("users a second, by the floor", rows["ours"]["x rate"], 0.8),
            Ratio("users a second of two worker processes, by the floor", rows["ours, two processes"]["x rate"]),
            Ratio("CPU for a user, by the floor", rows["ours"]["x CPU"], at_most=True),
        ),
    )


def _in_turns(stack: Stack, floors: dict[str, str], threads: int, numbers: range) -> dict[str, list[Run]]:
    """The floor and ours, one first and then the other. What is done once is done in the first round, which does not count."""
    runs: dict[str, list[Run]] = {"the floor": [], "ours": []}
    for number in numbers:
        for name in sorted(runs, reverse=bool(number % 2)):
            run = _worker(stack, number) if name == "ours" else _floor(stack, floors, number, threads)
            runs[name] += [run] if number > numbers[0] else []
    return runs


def _worker(stack: Stack, number: int) -> Run:
    messages = [
        _message(_CONNECTOR, f"queue.{audience}", number * BATCHES + batch, USERS)
        for batch in range(BATCHES)
        for audience in range(AUDIENCES)
    ]
    return _delivered(stack, messages)


def _delivered(stack: Stack, messages: Sequence[Message]) -> Run:
    """These are queued at once, and delivered from the queue."""
    rows = rows_of(messages)
    before = _workers_cpu_s(stack)
    with stack.backend.database.transaction() as connection:
        append(connection, rows, now=time.time())
    began = time.monotonic()  # from here on it can be seen
    eventually(lambda: _is_empty(stack), within_s=600, every_s=0.005)
    return Run(sum(len(message.mutations) for message in messages), time.monotonic() - began, _workers_cpu_s(stack) - before)


def _workers_cpu_s(stack: Stack) -> float:
    return sum(cpu_s(process.pid) for name, process in stack.processes.items() if "worker" in name)


def _is_empty(stack: Stack) -> bool:
    return stack.backend.database.row("SELECT 1 FROM keys LIMIT 1") is None


def _floor(stack: Stack, audiences: dict[str, str], number: int, threads: int) -> Run:
    lanes: list[list[tuple[str, str]]] = [[] for _ in range(threads)]
    for batch in range(BATCHES):
        for place, (_, partner_id) in enumerate(audiences.items()):
            message = _message(_CONNECTOR, "", number * BATCHES + batch, USERS)
            body = msgspec.json.encode({"users": [{"id": mutation.user["id"]} for mutation in message.mutations]}).decode()
            lanes[place % threads].append((f"{_url(stack)}/{partner_id}/users", body))
    environment = {"PATH": os.environ["PATH"], "FLOOR_TOKEN": TOKEN}
    ran = subprocess.run(
        [sys.executable, str(FLOORS / "deliver.py")], input=json.dumps(lanes), env=environment, capture_output=True, check=True,
        text=True,
    )  # fmt: skip
    return Run(AUDIENCES * BATCHES * USERS, **json.loads(ran.stdout))


def _require_same_members(stack: Stack, ours: dict[str, str], floors: dict[str, str], rounds: int) -> None:
    """What was not done must not be counted."""
    sizes = {one["id"]: one["size"] for one in stack.pangolin("GET", "/api/audiences?limit=10000")["audiences"]}
    wrong = [one for one in (*ours.values(), *floors.values()) if sizes[one] != rounds * BATCHES * USERS]
    assert not wrong, f"{len(wrong)} audiences do not have the members that they should have"


# the backlog of one audience


def _backlog(rounds: int) -> Found:
    tables: list[Table] = []
    ratios: list[Ratio] = []
    with _stack() as stack:
        _publish(stack, _LARGE, LARGEST_CALL)
        for users in BATCH_SIZES:
            _publish(stack, _one_call_each(users), users)
        _start_large(stack)
        stack.start("worker")
        serial = 0
        for latency_ms, few in FEW.items():
            stack.pangolin("PUT", "/api/faults", latency_ms=latency_ms)
            for users in BATCH_SIZES:
                runs: dict[str, list[Run]] = {"one call a batch": [], "gathered": []}
                for _ in range(min(rounds, 3)):
                    serial += 1
                    runs["one call a batch"].append(_one_by_one(stack, f"single.{serial}", few, users))
                    runs["gathered"].append(_gathered(stack, f"gathered.{serial}", users))
                rows = _rows(runs, "one call a batch")
                within = f"Pangolin answers {f'after {latency_ms} ms' if latency_ms else 'at once'}"
                title = (
                    f"A backlog of {BACKLOG:,} batches of {users} for one audience, {within}: users a second, CPU milliseconds "
                    "for 1,000 users"
                )
                tables.append(Table(title, rows))
                name = f"backlog of batches of {users}, {latency_ms} ms, gathered by one call a batch"
                ratios.append(Ratio(name, rows["gathered"]["x rate"], BARS.get((latency_ms, users))))
    return Found(tuple(tables), tuple(ratios))


def _one_by_one(stack: Stack, audience: str, batches: int, users: int) -> Run:
    """From the queue, by a connector whose calls are no larger than a batch."""
    connector = _one_call_each(users)
    partner_id = _audience_of(stack, connector, audience)
    run = _delivered(stack, [_message(connector, audience, number, users) for number in range(batches)])
    assert _size(stack, partner_id) == run.users
    return run


def _gathered(stack: Stack, audience: str, users: int) -> Run:
    """From the hold, as whatever waited there is sent: a hold that somebody resumes."""
    partner_id = _audience_of(stack, _LARGE, audience)
    _hold(stack, audience, users)
    stack.backend.audiences.make_due(_LARGE, audience)
    standing = stack.backend.audiences.get(_LARGE, audience)
    worker = stack.processes["worker"].pid
    before, began = cpu_s(worker), time.monotonic()
    publish_resume(stack.backend, standing, time.time())  # which the worker does within a second by itself
    eventually(lambda: _is_lifted(stack, audience), within_s=600, every_s=0.01)
    run = Run(BACKLOG * users, time.monotonic() - began, cpu_s(worker) - before)
    assert _size(stack, partner_id) == run.users
    return run


def _hold(stack: Stack, audience_id: str, users: int) -> None:
    """The backlog waits, as if a turn had put each batch there."""
    audience = stack.backend.audiences.get(_LARGE, audience_id)
    standing = HoldRequest("partner_unavailable", None, "of the measurement")
    with stack.backend.database.transaction() as connection:
        for number in range(BACKLOG):
            message = _message(_LARGE, audience_id, number, users)
            body = encode(message)
            audience, place = policy.join(audience, message, len(body), standing, now=time.time())
            audience_rows.add_batch(connection, place, f"held-{number}", message, body, now=time.time())
        audience_rows.save(connection, audience)


def _is_lifted(stack: Stack, audience: str) -> bool:
    row = stack.backend.database.row("SELECT hold_reason FROM audiences WHERE connector = ? AND id = ?", (_LARGE, audience))
    return row is not None and row[0] is None


def _one_call_each(users: int) -> str:
    return f"calls-of-{users}"


def _publish(stack: Stack, name: str, largest_call: int) -> None:
    """The connector of docs/examples, under this name, with a partner that takes so many users a call."""
    document = yaml.safe_load((ROOT / "docs/examples/pangolin-over-http.yaml").read_text())
    document["name"] = name
    document["inbound"]["hmac_secret"] = "dmp-hmac"
    document["secrets"] = {"token": "partner-token"}
    document["settings"]["base_url"] = f"http://127.0.0.1:{stack.ports['pangolin']}"
    for operation in document["settings"]["operations"].values():
        operation["max_items"] = largest_call
    document["limits"] = {"batch": {"max_items": largest_call}}
    stack.publishing.apply(yaml.safe_dump(document))


def _start_large(stack: Stack) -> None:
    """Pangolin, told to take so many."""
    program = (
        f"from relay.pangolin import reading, __main__; reading.MAX_USERS = {LARGEST_CALL}; __main__.main()"
    )
    with (stack.directory / "pangolin.log").open("ab") as output:
        stack.processes["pangolin"] = subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, env=stack.environment, stdout=output, stderr=output, start_new_session=True
        )
    eventually(lambda: stack.listens("pangolin"))


# both


@contextmanager
def _stack() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory() as directory:
        stack = Stack(Path(directory))
        try:
            yield stack
        finally:
            stack.stop()


def _message(connector: str, audience: str, number: int, users: int) -> Message:
    """As the receiver makes it of one request; no two have a user in common."""
    first = number * users
    mutations = tuple(
        Mutation(index=index, user={"id": f"5f1c0e6a-7d2b-4c1e-9a51-{first + index:012d}"}, customer=123)
        for index in range(users)
    )
    return Message(1, "change", connector, audience, f"{number:032x}", time.time(), mutations=mutations)


def _audience_of(stack: Stack, connector: str, name: str) -> str:
    """Its ID at the partner, where it is made and linked."""
    partner_id = _made(stack, f"{connector}/{name}")
    stack.backend.audiences.link(connector, name, partner_id=partner_id)
    return partner_id


def _made(stack: Stack, reference: str) -> str:
    made: str = stack.pangolin("POST", "/api/audiences", name=reference, reference=reference)["id"]
    return made


def _size(stack: Stack, partner_id: str) -> int:
    size: int = stack.pangolin("GET", f"/api/audiences/{partner_id}")["size"]
    return size


def _url(stack: Stack) -> str:
    return f"http://127.0.0.1:{stack.ports['pangolin']}/api/audiences"


def _rows(runs: dict[str, list[Run]], beside: str) -> Rows:
    """Medians and spread; ratios round by round."""
    return {
        name: {
            "a second": middle(run.rate for run in each),
            "least": min(run.rate for run in each),
            "most": max(run.rate for run in each),
            "x rate": middle(run.rate / other.rate for run, other in zip(each, runs[beside], strict=True)),
            "CPU": middle(run.cpu_ms for run in each),
            "x CPU": middle(run.cpu_ms / other.cpu_ms for run, other in zip(each, runs[beside], strict=True)),
        }
        for name, each in runs.items()
    }
