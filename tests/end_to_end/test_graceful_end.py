"""Told to end, a process takes nothing more, finishes what it has in hand or gives it back, and ends by itself: within ten
seconds, after which Cloud Run and Docker kill it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from relay.backends.embedded import EmbeddedBackend
from relay.backends.embedded.messages import append, rows_of
from relay.domain.message import decode
from tests.contract.backends.given import message
from tests.end_to_end.google_stack import GoogleStack
from tests.end_to_end.stack import DOCUMENT, ROOT, Stack, eventually

pytestmark = pytest.mark.slow

KILLED_AFTER_S = 10.0

embedded = pytest.mark.parametrize("stack", ["embedded"], indirect=True)
google = pytest.mark.parametrize("stack", [pytest.param("google", marks=pytest.mark.once)], indirect=True)


def ended(stack: Stack, name: str) -> None:
    """Tells it to end, and sees that it does, in time and by itself."""
    began = time.monotonic()
    assert stack.terminate(name) == 0, stack.output(name)[-2000:]
    assert time.monotonic() - began < KILLED_AFTER_S


class InBackground(threading.Thread):
    """Something that waits for its answer."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._result: Any = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:
            self._result = error

    @property
    def result(self) -> Any:
        """What came out of it; raises what was raised."""
        self.join(timeout=30)
        assert not self.is_alive()
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


def be_patient(stack: Stack) -> None:
    """Calls may take half a minute."""
    patient = "timeouts: {{answer: 30s, batch_answer: 30s}}\n" + DOCUMENT
    stack.publishing.apply(patient.format(port=stack.ports["pangolin"], mode="own"))


def hang_up(stack: Stack, users: list[str]) -> None:
    """A call about an audience that the partner knows is under way, and the partner does not answer it."""
    assert stack.change("ending.1", ["before"]).status_code == 200
    eventually(lambda: stack.members("ending.1") == {"before"})
    stack.pangolin("PUT", "/api/faults", hang=True)
    assert stack.change("ending.1", users).status_code == 200
    eventually(lambda: turns(stack) >= 2, every_s=0.01)
    time.sleep(0.5)  # from the turn's beginning to its call


def turns(stack: Stack) -> int:
    """How many turns of the audience have begun."""
    found = stack.backend.audiences.get("pangolin", "ending.1")
    return int(found.turn) if found else 0


def waits(stack: Stack) -> bool:
    """Whether what was in the call is in a hold, to be tried again by itself."""
    held = stack.backend.audiences.held()
    return bool(held and held[0].hold and held[0].hold.due_at and held[0].hold.reason == "partner_unavailable")


@contextmanager
def locked(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database, isolation_level=None, timeout=20)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other
        other.execute("ROLLBACK")


# the worker


def test_a_call_that_the_partner_does_not_answer_is_cut_short_and_waits_as_after_a_time_out(stack: Stack) -> None:
    be_patient(stack)
    stack.start()
    hang_up(stack, [f"u{number}" for number in range(5)])
    ended(stack, "worker")
    eventually(lambda: waits(stack))
    stack.pangolin("DELETE", "/api/faults")
    stack.start("worker")
    stack.backend.audiences.make_due("pangolin")
    eventually(lambda: stack.size("ending.1") == 6)
    audience = stack.backend.audiences.get("pangolin", "ending.1")
    assert audience is not None
    assert audience.attempts == 1, "nothing counts as a crash"


@embedded
def test_what_a_worker_has_not_finished_is_taken_by_another_one_at_once(stack: Stack) -> None:
    stack.start()
    stack.pangolin("PUT", "/api/faults", latency_ms=300)
    for number in range(120):
        assert stack.change(f"many.{number % 40}", [f"u{number}"]).status_code == 200
    ended(stack, "worker")
    depth = stack.backend.queue.depth()
    assert depth.messages > 0
    assert depth.leased == 0
    stack.pangolin("DELETE", "/api/faults")
    stack.start("worker")
    eventually(lambda: stack.drained() and sum(stack.size(f"many.{one}") for one in range(40)) == 120)


@embedded
def test_a_hold_that_is_being_emptied_goes_on_in_the_next_worker(stack: Stack) -> None:
    stack.start()
    assert stack.change("ending.1", ["u0"]).status_code == 200
    eventually(lambda: stack.size("ending.1") == 1)
    stack.publishing.set_enabled("pangolin", False)
    for number in range(8):
        assert stack.change("ending.1", [f"u{number}.{one}" for one in range(1_000)]).status_code == 200
    eventually(lambda: any(one.hold and one.hold.items == 8_000 for one in stack.backend.audiences.held()))
    stack.pangolin("PUT", "/api/faults", latency_ms=300)
    stack.publishing.set_enabled("pangolin", True)
    eventually(lambda: stack.size("ending.1") > 1, every_s=0.02)
    ended(stack, "worker")
    assert 1 < stack.size("ending.1") < 8_001
    stack.pangolin("DELETE", "/api/faults")
    stack.start("worker")
    eventually(lambda: stack.drained() and stack.size("ending.1") == 8_001)


@embedded
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_told_twice_ends_as_one_told_once(stack: Stack, second: signal.Signals) -> None:
    stack.start()
    stack.pangolin("PUT", "/api/faults", latency_ms=1_000)
    assert stack.change("ending.1", ["u1"]).status_code == 200
    eventually(lambda: turns(stack), every_s=0.01)
    process = stack.processes.pop("worker")
    process.terminate()
    while process.poll() is None:
        process.send_signal(second)
        time.sleep(0.005)
    assert process.wait() == 0
    stack.pangolin("DELETE", "/api/faults")
    stack.start("worker")
    eventually(lambda: stack.members("ending.1") == {"u1"})


@embedded
def test_a_worker_ends_in_time_while_the_database_is_locked(stack: Stack) -> None:
    stack.start()
    assert stack.change("ending.1", ["u1"]).status_code == 200
    eventually(lambda: stack.members("ending.1") == {"u1"} and stack.drained())
    assert stack.terminate("receiver") == 0
    with locked(stack.state / "relay.db") as connection:
        # What it cannot take: it waits for the lock.
        append(connection, rows_of([message("ending.1", "u2", received_at=time.time())]), now=time.time())
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(1)
        ended(stack, "worker")
    stack.start("worker")
    eventually(lambda: stack.members("ending.1") == {"u1", "u2"})


@embedded
def test_processes_told_to_end_while_they_start_leave_nothing_behind(stack: Stack) -> None:
    stack.start("pangolin")
    for tenths in range(1, 14, 3):
        started = [
            subprocess.Popen(stack.commands[name], cwd=ROOT, env=stack.environment, stderr=subprocess.DEVNULL)
            for name in ("worker", "receiver")
        ]
        time.sleep(tenths / 10)
        for process in started:
            process.terminate()
        for process in started:
            # Before Python has set anything up, the signal itself is the end.
            assert process.wait(KILLED_AFTER_S) in (0, -signal.SIGTERM)
    stack.start("worker", "receiver")
    assert stack.change("ending.1", ["u1"]).status_code == 200
    eventually(lambda: stack.members("ending.1") == {"u1"})


# the receiver


def users_in(backend: EmbeddedBackend) -> list[str]:
    """The users in the queue, in order."""
    return [
        mutation.user["id"]
        for (body,) in backend.database.rows("SELECT body FROM messages ORDER BY id")
        for mutation in decode(body).mutations
    ]


@embedded
@pytest.mark.parametrize(("locked_for_s", "status"), [(0.4, 200), (2.0, 503)])
def test_a_request_that_is_being_stored_is_answered(stack: Stack, locked_for_s: float, status: int) -> None:
    stack.start("receiver")
    assert stack.change("ending.1", ["before"]).status_code == 200
    with locked(stack.state / "relay.db"):
        sent = InBackground(lambda: stack.change("ending.1", ["u1"]))
        time.sleep(0.2)
        stack.processes["receiver"].terminate()
        time.sleep(locked_for_s)
    assert sent.result.status_code == status
    assert stack.processes.pop("receiver").wait(KILLED_AFTER_S) == 0
    assert users_in(stack.backend) == (["before", "u1"] if status == 200 else ["before"])


def test_a_creation_that_is_under_way_is_answered(stack: Stack) -> None:
    stack.start(*(name for name in stack.everything if name != "worker"))
    assert stack.post("CREATE_AUDIENCE", {"Audience": "first.1", "Name": "First"}).status_code == 200
    stack.pangolin("PUT", "/api/faults", latency_ms=700)
    sent = InBackground(lambda: stack.post("CREATE_AUDIENCE", {"Audience": "ending.1", "Name": "Ending"}))
    time.sleep(0.3)
    ended(stack, "receiver")
    assert sent.result.status_code == 200
    stack.pangolin("DELETE", "/api/faults")
    stack.start("receiver", "worker")
    assert stack.change("ending.1", ["u1"]).status_code == 200
    eventually(lambda: stack.members("ending.1") == {"u1"}, within_s=60)


def test_a_body_that_drips_in_does_not_keep_the_receiver_from_ending(stack: Stack) -> None:
    stack.start("receiver")
    assert stack.change("ending.1", ["before"]).status_code == 200
    with socket.create_connection(("127.0.0.1", stack.ports["receiver"]), timeout=20) as connection:
        head = f"POST /pangolin HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {BASIC_64}\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode() + b"{")
        time.sleep(1)  # it is being read
        ending = InBackground(lambda: ended(stack, "receiver"))
        connection.settimeout(0.2)
        answer = b""
        while not answer and ending.is_alive():
            connection.sendall(b" ")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(4096)
        assert b" 408 " in answer.split(b"\r\n")[0]
    assert ending.result is None


BASIC_64 = "ZG1wOnBhc3M6d29yZA=="


@embedded
def test_under_load_what_was_answered_with_200_is_in_the_queue_and_nothing_else(stack: Stack) -> None:
    stack.start("receiver")
    accepted: list[str] = []
    lost: list[str] = []
    refused = threading.Event()

    def send(thread: int) -> None:
        number = 0
        while not refused.is_set():
            user = f"u{thread}.{number}"
            number += 1
            try:
                answer = stack.change(f"load.{thread}", [user])
            except requests.RequestException:
                lost.append(user)
                refused.set()
            else:
                assert answer.status_code == 200
                accepted.append(user)

    senders = [InBackground(lambda thread=thread: send(thread)) for thread in range(6)]  # type: ignore[misc]
    time.sleep(1)
    ended(stack, "receiver")
    assert [sender.result for sender in senders] == [None] * 6
    assert len(accepted) > 20
    assert sorted(users_in(stack.backend)) == sorted(accepted), "a request that was being answered was cut off"


@embedded
def test_a_receiver_told_to_end_at_once_keeps_what_it_answered(stack: Stack) -> None:
    stack.start("receiver")
    accepted = [user for user in map(str, range(20)) if stack.change("ending.1", [user]).status_code == 200]
    os.killpg(stack.processes["receiver"].pid, signal.SIGINT)  # Ctrl-C in its terminal
    assert stack.processes.pop("receiver").wait(KILLED_AFTER_S) == 0
    assert users_in(stack.backend) == accepted


# the private functions


@google
def test_a_creation_at_a_partner_that_does_not_answer_is_answered_before_the_end(stack: GoogleStack) -> None:
    be_patient(stack)
    stack.start("pangolin", "create")
    address = f"http://127.0.0.1:{stack.ports['create']}/"
    asked = {"connector": "pangolin", "audience": "first.1", "name": "First"}
    assert requests.post(address, json=asked, timeout=20).status_code == 200
    stack.pangolin("PUT", "/api/faults", hang=True)
    sent = InBackground(lambda: requests.post(address, json={**asked, "audience": "ending.1"}, timeout=30))
    time.sleep(1)
    ended(stack, "create")
    assert sent.result.status_code == 503
    assert sent.result.json()["error"]


@google
def test_a_tick_that_waits_for_a_hold_to_be_due_stops_waiting(stack: GoogleStack) -> None:
    stack.ticks = False
    stack.start()
    hang_up(stack, ["u1"])
    eventually(lambda: waits(stack))  # to be tried again 30 seconds later
    address = f"http://127.0.0.1:{stack.ports['tick']}/"
    sent = InBackground(lambda: requests.post(address, timeout=60))
    time.sleep(1.5)
    assert sent.is_alive()
    ended(stack, "tick")
    assert sent.result.status_code == 200
