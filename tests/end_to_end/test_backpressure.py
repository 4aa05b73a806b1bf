"""No room, no lock, no end of the queue: the receiver goes on or says 503 in time, and keeps what it answered with 200.

Nobody has to help afterwards.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from relay.backends.embedded.room import WORKERS_BYTES
from relay.domain.message import VERSION, Message, Mutation, encode
from tests.end_to_end.small_disk import SmallDisk, small_disk
from tests.end_to_end.stack import DOCUMENT, Stack, eventually

pytestmark = pytest.mark.slow

ANSWERED_WITHIN_S = 4.0
"""Less than the database waits for a lock (5 s): the receiver's own deadline has ended it, on a busy machine too."""

BEYOND_BUSY_TIMEOUT_S = 7.0

_MEGABYTE = 1024 * 1024


class _Stack(Stack):
    """The partner keeps its state elsewhere, since what fills our disk is not to be its trouble. `connector`: who is called."""

    connector = "pangolin"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['receiver']}/{self.connector}"

    @property
    def commands(self) -> dict[str, list[str]]:
        elsewhere = self.directory.parent / "partner"
        elsewhere.mkdir(exist_ok=True)
        return {**super().commands, "pangolin": ["env", f"STATE_DIR={elsewhere}", *super().commands["pangolin"]]}


class _Dmp:
    """Sends changes and remembers what was answered."""

    def __init__(self, stack: _Stack) -> None:
        self._stack = stack
        self.accepted: dict[str, set[str]] = {}
        self.refused = 0

    def add(self, audience: str, users: list[str], *, filler: int = 0) -> requests.Response:
        mutations = [{"Audience": audience, "User": user, "Note": "x" * filler} for user in users]
        began = time.monotonic()
        answer = self._stack.post("ADD_TO_AUDIENCE", {"Mutations": mutations})
        assert time.monotonic() - began < ANSWERED_WITHIN_S
        if answer.status_code == 200:
            self.accepted.setdefault(audience, set()).update(users)
        else:
            assert answer.status_code == 503
            assert answer.json() == {"error": "The request was not accepted: it could not be stored. Please send it again."}
            self.refused += 1
        return answer

    def fill(self, prefix: str) -> None:
        """Large requests to three audiences until one is refused, then smaller and smaller ones."""
        for users in (50, 5, 1):
            refused = self.refused
            for number in range(200):
                if self.refused > refused:
                    break
                self.add(f"{prefix}.{number % 3}", [f"u{users}.{number}.{one}" for one in range(users)], filler=8_000)
            assert self.refused > refused

    def has_arrived(self) -> bool:
        """Whether the partner has exactly what was answered with 200."""
        return self._stack.drained() and all(self._stack.members(audience) == users for audience, users in self.accepted.items())


def _events(stack: Stack, name: str) -> list[dict[str, Any]]:
    """The log lines of a process; what does not fit on its disk is not there."""
    found = []
    for line in stack.output(name).splitlines():
        try:
            found.append(msgspec.json.decode(line))
        except msgspec.DecodeError:
            continue
    return [each for each in found if isinstance(each, dict)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "small", megabytes=(WORKERS_BYTES + 40 * _MEGABYTE) // _MEGABYTE) as made:
        yield made


@pytest.fixture
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[_Stack]:
    on_disk = "disk" in request.fixturenames
    directory = request.getfixturevalue("disk").path if on_disk else tmp_path / "roomy"
    directory.mkdir(exist_ok=True)
    made = _Stack(directory)
    try:
        yield made
    finally:
        made.stop()


def test_requests_fill_the_disk_no_further_than_a_worker_needs_to_empty_the_queue(disk: SmallDisk, stack: _Stack) -> None:
    stack.start("pangolin", "receiver")
    dmp = _Dmp(stack)
    dmp.fill("disk")
    assert disk.free_bytes > WORKERS_BYTES * 0.9
    assert any("nearly full" in one.get("hint", "") for one in _events(stack, "receiver"))
    assert requests.get(stack.url, auth=("dmp", "pass:word"), timeout=5).status_code == 200, "what stores nothing goes on"

    stack.start("worker")
    eventually(dmp.has_arrived, within_s=60)
    answer = dmp.add("disk.0", ["afterwards"], filler=400_000)
    assert answer.status_code == 200, "the room within the database counts, though the file is as large as it was"
    eventually(dmp.has_arrived)
    assert not [one for one in _events(stack, "worker") if one["event"] == "store_unavailable"]


def test_what_the_partner_does_not_take_moves_into_holds_from_a_queue_that_filled_the_disk(
    disk: SmallDisk, stack: _Stack
) -> None:
    stack.start("pangolin", "receiver")
    stack.pangolin("PUT", "/api/faults", status=503)
    dmp = _Dmp(stack)
    dmp.fill("disk")
    stack.start("worker")
    eventually(lambda: stack.backend.queue.depth().messages == 0, within_s=60)
    assert len(stack.backend.audiences.held()) == 3
    stack.pangolin("DELETE", "/api/faults")
    stack.backend.audiences.make_due("pangolin")
    eventually(dmp.has_arrived, within_s=60)


def test_a_disk_that_something_else_fills_stops_the_work_and_loses_none_of_it(disk: SmallDisk, stack: _Stack) -> None:
    stack.start()
    dmp = _Dmp(stack)
    for number in range(8):
        dmp.add(f"disk.{number}", ["before"])  # the partner knows the audience
    eventually(dmp.has_arrived)
    stack.pangolin("PUT", "/api/faults", latency_ms=500)
    for number in range(40):
        dmp.add(f"disk.{number % 8}", [f"u{number}"])
    assert not dmp.refused
    disk.fill()
    answers = [dmp.add(f"disk.{number % 8}", [f"refused.{number}"]).status_code for number in range(10)]
    assert answers == [503] * 10
    time.sleep(6)  # every turn that was in hand has met the full disk, more often than a message may crash
    assert {name: process.poll() for name, process in stack.processes.items()} == dict.fromkeys(stack.everything)
    stack.pangolin("DELETE", "/api/faults")
    disk.clear()
    assert dmp.add("disk.0", ["after"]).status_code == 200
    eventually(dmp.has_arrived, within_s=20)
    assert not [one for one in _events(stack, "worker") if one["event"] in ("message_crashed", "turn_failed")]


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None, timeout=20)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_database_that_another_process_locks_is_503_in_time_and_goes_on_when_it_is_free(stack: _Stack) -> None:
    stack.start()
    dmp = _Dmp(stack)
    stack.pangolin("PUT", "/api/faults", latency_ms=300)
    for number in range(20):
        dmp.add(f"locked.{number % 4}", [f"u{number}"])
    assert not dmp.refused
    with _locked(stack.state / "relay.db"):
        until = time.monotonic() + BEYOND_BUSY_TIMEOUT_S
        senders = [threading.Thread(target=_send_until, args=(dmp, until, number)) for number in range(3)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        assert dmp.refused >= 3
    stack.pangolin("DELETE", "/api/faults")
    eventually(lambda: dmp.add("locked.0", ["after"]).status_code == 200, within_s=5)
    eventually(dmp.has_arrived, within_s=20)
    assert not [one for one in _events(stack, "worker") if one["event"] in ("message_crashed", "turn_failed")]


def _send_until(dmp: _Dmp, until: float, thread: int) -> None:
    number = 0
    while time.monotonic() < until:
        dmp.add(f"locked.{thread}", [f"refused.{thread}.{number}"])
        number += 1


MILLION = 1_000_000
_AUDIENCES = 1_000


def _enqueue_a_million(database: Path) -> None:
    """Messages of one user each, as if they had been accepted, in the order of their numbers."""
    body = encode(
        Message(
            version=VERSION, kind="change", connector="pangolin", audience="big.%d", request_id="r", received_at=time.time(),
            mutations=(Mutation(index=0, direction="joined", user={"id": "u%d"}),),
        )
    ).decode()  # fmt: skip
    each = MILLION // _AUDIENCES
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -500000")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :million)"
            " INSERT INTO messages (id, key, published_at, body)"
            " SELECT n, 'pangolin/big.' || ((n - 1) / :each), :now, CAST(printf(:body, (n - 1) / :each, n) AS BLOB) FROM numbers",
            {"million": MILLION, "each": each, "now": time.time(), "body": body},
        )
        connection.executemany(
            "INSERT INTO keys (key, connector, head, messages) VALUES (?, 'pangolin', ?, ?)",
            [(f"pangolin/big.{number}", number * each + 1, each) for number in range(_AUDIENCES)],
        )
        connection.execute("COMMIT")


def test_a_million_queued_messages_cost_neither_the_receiver_its_answers_nor_other_connectors_their_turn(stack: _Stack) -> None:
    stack.publishing.apply(DOCUMENT.replace("name: pangolin", "name: other").format(port=stack.ports["pangolin"], mode="own"))
    _enqueue_a_million(stack.state / "relay.db")
    assert stack.backend.queue.depth().messages == MILLION
    stack.start()
    dmp = _Dmp(stack)
    for number in range(50):
        dmp.add(f"big.{number}", [f"late.{number}"])
    assert not dmp.refused
    stack.connector = "other"
    assert stack.change("quick", ["u1"]).status_code == 200
    eventually(lambda: _has(stack, "other/quick"), within_s=20)
    assert _has(stack, "pangolin/big.0"), "the backlog is worked off from its beginning"
    assert stack.backend.queue.depth().messages > MILLION / 2


def _has(stack: Stack, reference: str) -> bool:
    """Whether the partner has an audience of ours by that reference."""
    return any(one["reference"] == reference for one in stack.pangolin("GET", "/api/audiences?limit=10000")["audiences"])
