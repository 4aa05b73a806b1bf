"""The worker as a process: what it takes, how it shares its threads, what it survives, how it ends."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Leased
from relay.connectors.publishing import Publishing
from relay.domain.clock import SystemClock
from relay.domain.errors import StoreUnavailable
from relay.domain.message import VERSION, Message, Mutation
from relay.pangolin.server import InThread
from tests.clock import TurnedClock
from tests.promise.world import DOCUMENT, HMAC_SECRET, TOKEN, Effects, TappedBackend
from worker import process
from worker.process import WorkerProcess
from worker.turn import Worker

AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
LONG_S = 60


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[InThread]:
    """A partner that never answers; its connections break when it goes."""
    with InThread(tmp_path / "hanging.db", token=TOKEN) as server:
        set_faults(server, hang=True)
        yield server


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[EmbeddedBackend]:
    backend = EmbeddedBackend.open(tmp_path / "state", SystemClock())
    publishing = Publishing(backend, describe, "test")
    publishing.set_secret("partner-token", TOKEN)
    publishing.set_secret("dmp-hmac", HMAC_SECRET)
    yield backend
    backend.close()


def connect(backend: EmbeddedBackend, name: str, partner: InThread, *, concurrency: int = 8, token: str = "") -> None:
    document = DOCUMENT.format(
        url=partner.url, max_items=100, max_age="0s", mode="own", unknown="create", rate=f"{{concurrency: {concurrency}}}",
        answer=f"{LONG_S}s",
    ).replace("name: pangolin", f"name: {name}")  # fmt: skip
    Publishing(backend, describe, "test").apply(document.replace("partner-token", token or "partner-token"))


def change(connector: str, audience: str, *users: str, direction: Any = "joined") -> Message:
    mutations = tuple(Mutation(index, direction, {"id": user}) for index, user in enumerate(users))
    return Message(VERSION, "change", connector, audience, f"{connector}/{audience}", time.time(), mutations=mutations)


def set_faults(partner: InThread, **faults: Any) -> None:
    requests.put(f"{partner.url}/api/faults", json=faults, headers=AUTHORIZATION, timeout=5).raise_for_status()


def members(backend: EmbeddedBackend, partner: InThread, connector: str, audience: str) -> set[str]:
    record = backend.audiences.get(connector, audience)
    if record is None or record.partner_id is None:
        return set()
    url = f"{partner.url}/api/audiences/{record.partner_id}/users?limit=10000"
    return {user["id"] for user in requests.get(url, headers=AUTHORIZATION, timeout=5).json()["users"]}


def until(condition: Callable[[], bool]) -> None:
    """Waits until it is so."""
    end = time.monotonic() + LONG_S / 3
    while not condition():
        assert time.monotonic() < end, "never came about"
        time.sleep(0.01)


def deliver(backend: EmbeddedBackend, partner: InThread, audience: str) -> None:
    """A user of the connector `good` arrives."""
    backend.queue.publish([change("good", audience, "u1")])
    until(lambda: members(backend, partner, "good", audience) == {"u1"})


@contextmanager
def working(backend: Any, *, threads: int = 8, partner_goes: InThread | None = None) -> Iterator[WorkerProcess]:
    """A worker runs meanwhile, and then ends with everything in hand finished. `partner_goes`: before it is asked to end."""
    worker = WorkerProcess(backend, SystemClock(), threads=threads)
    finished: list[bool] = []
    thread = threading.Thread(target=lambda: finished.append(worker.run()))
    thread.start()
    try:
        yield worker
    finally:
        if partner_goes is not None:
            partner_goes.stop()
        worker.stop()
        thread.join(LONG_S)
    assert finished == [True]


def tapped(backend: EmbeddedBackend, at: str, error: Exception, *, times: int = 1) -> tuple[Any, list[str]]:
    """The back end with so many errors at this effect, and the list of those that were raised."""
    effects, raised = Effects(), list[str]()

    def on(_count: int, name: str) -> None:
        if name == at and len(raised) < times:
            raised.append(name)
            raise error

    effects.on = on
    return Failing(backend, effects), raised


class Failing(TappedBackend):
    """Tells of what a process does with its back end beside the turns, too."""

    def __init__(self, backend: EmbeddedBackend, effects: Effects) -> None:
        super().__init__(backend, effects)
        self._parts["queue"]._names = ("take",)
        self._parts["audiences"]._names = ("due", "next_due")


def test_messages_of_one_audience_are_delivered_in_order_those_that_wait_together(
    backend: EmbeddedBackend, pangolin: InThread
) -> None:
    connect(backend, "order", pangolin)
    for round_ in range(3):
        backend.queue.publish(
            [change("order", "a", "u1", direction="left" if number % 2 == 0 else "joined") for number in range(21 + round_)]
        )
        with working(backend):
            until(lambda: not backend.queue.depth().messages)
    record = backend.audiences.get("order", "a")
    assert record is not None
    calls = requests.get(f"{pangolin.url}/api/calls", headers=AUTHORIZATION, timeout=5).json()
    path = f"/api/audiences/{record.partner_id}/users"
    assert [call["method"] for call in calls if call["path"] == path and call["method"] != "GET"] == ["DELETE", "POST", "DELETE"]
    assert [attempt.counts for attempt in backend.reports.attempts("order")] == [
        {"superseded": 22, "delivered": 1},
        {"superseded": 21, "delivered": 1},
        {"superseded": 20, "delivered": 1},
    ]


def test_a_connector_has_no_more_turns_at_once_than_its_concurrency(
    backend: EmbeddedBackend, pangolin: InThread, hanging: InThread
) -> None:
    connect(backend, "narrow", hanging, concurrency=2)
    connect(backend, "good", pangolin)
    backend.queue.publish([change("narrow", f"a{number}", "u1") for number in range(10)])
    with working(backend, threads=32, partner_goes=hanging):
        until(lambda: backend.queue.depth().leased == 2)
        for number in range(3):  # each is published after those that wait, so the worker has looked at them again
            backend.queue.publish([change("good", f"b{number}", "u1")])
            until(lambda: backend.queue.depth().messages == 10)
            assert backend.queue.depth().leased == 2


def test_what_waits_for_a_turn_of_its_connector_begins_when_that_has_ended(
    backend: EmbeddedBackend, pangolin: InThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks whether it may by now."""
    monkeypatch.setattr(process, "_IDLE_S", 2.0)
    connect(backend, "narrow", pangolin, concurrency=1)
    backend.queue.publish([change("narrow", f"a{number}", "u1") for number in range(15)])
    with working(backend):
        until(lambda: not backend.queue.depth().messages)


def test_a_worker_with_nothing_to_do_sees_at_a_glance_that_another_process_has_published(
    backend: EmbeddedBackend, pangolin: InThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_IDLE_S", 4.0)
    connect(backend, "good", pangolin)
    other = EmbeddedBackend.open(backend.database.path.parent, SystemClock())
    with working(backend):
        time.sleep(0.5)  # it has looked, and found nothing
        began = time.monotonic()
        other.queue.publish([change("good", "a", "u1")])
        until(lambda: not backend.queue.depth().messages)
        assert time.monotonic() - began < 2.0
    other.close()


def test_what_is_published_a_while_after_it_was_written_is_seen_as_soon(
    backend: EmbeddedBackend, pangolin: InThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes its time for a commit, and nothing is written when that has ended."""
    monkeypatch.setattr(process, "_IDLE_S", 4.0)
    connect(backend, "good", pangolin)
    written_at: float | None = None
    monkeypatch.setattr(backend.queue, "written_at", lambda: written_at)
    with working(backend):
        time.sleep(0.5)  # it has looked, and found nothing
        began, written_at = time.monotonic(), time.time()
        time.sleep(0.5)
        backend.queue.publish([change("good", "a", "u1")])
        until(lambda: not backend.queue.depth().messages)
        assert time.monotonic() - began < 2.5


def test_many_threads_never_take_more_of_a_connector_than_its_concurrency(
    backend: EmbeddedBackend, pangolin: InThread
) -> None:
    connect(backend, "narrow", pangolin, concurrency=3)
    connect(backend, "wide", pangolin)
    names = [name for _ in range(40) for name in ("narrow", "wide")]
    backend.queue.publish([change(name, f"a{number}", "u1") for number, name in enumerate(names)])
    with working(backend, threads=32) as worker:
        most = 0

        def drained() -> bool:
            nonlocal most
            most = max(most, worker._in_hand["narrow"])
            return not backend.queue.depth().messages

        until(drained)
    assert 1 <= most <= 3


@pytest.mark.parametrize("concurrency", [8, 1000])
def test_partners_that_hang_do_not_keep_the_threads_from_one_that_answers(
    backend: EmbeddedBackend, pangolin: InThread, hanging: InThread, concurrency: int
) -> None:
    names = [f"hangs-{number}" for number in range(4)]
    for name in names:
        connect(backend, name, hanging, concurrency=concurrency)
        backend.queue.publish([change(name, f"a{number}", "u1") for number in range(20)])
    connect(backend, "good", pangolin)
    with working(backend, partner_goes=hanging):
        until(lambda: {audience.connector for audience in backend.audiences.all() if audience.turn} == set(names))
        for number in range(3):
            deliver(backend, pangolin, f"healthy-{number}")
        assert backend.queue.depth().messages >= 80, "the others still hang"


def test_what_waits_for_a_thread_that_cannot_be_started_gets_the_next_one_that_is_free(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, started, handled = threading.Event(), list[str](), list[str]()
    start = threading.Thread.start

    def start_the_first(thread: threading.Thread) -> None:
        if thread.name.startswith("turn"):
            if started:
                refused.set()
                raise RuntimeError("can't start new thread")
            started.append(thread.name)
        start(thread)

    def handle(_worker: object, leased: Leased) -> None:
        assert refused.wait(LONG_S / 3)
        handled.append(leased.key)
        backend.queue.acknowledge(leased)

    monkeypatch.setattr(threading.Thread, "start", start_the_first)
    backend.queue.publish([change("one", "a", "u1"), change("one", "a", "u2"), change("other", "a", "u1")])
    monkeypatch.setattr(Worker, "handle", handle)
    with working(backend) as worker:
        until(lambda: len(handled) == 3)
        until(lambda: not worker._at_work and not worker._not_begun)
    assert handled == ["one/a", "other/a", "one/a"]


def test_a_connector_alone_may_use_most_of_the_threads(backend: EmbeddedBackend, hanging: InThread) -> None:
    connect(backend, "alone", hanging, concurrency=1000)
    backend.queue.publish([change("alone", f"a{number}", "u1") for number in range(20)])
    with working(backend, threads=32, partner_goes=hanging):
        until(lambda: backend.queue.depth().leased == 12)


def test_a_damaged_secret_stops_nothing_but_its_own_connector(
    backend: EmbeddedBackend, pangolin: InThread, tmp_path: Path
) -> None:
    connect(backend, "damaged", pangolin, token="damaged-token")
    Publishing(backend, describe, "test").set_secret("damaged-token", TOKEN)
    connect(backend, "good", pangolin)
    (tmp_path / "state" / "secrets" / "damaged-token").write_bytes(b"")
    backend.queue.publish([change("damaged", f"a{number}", "u1") for number in range(20)])
    with working(backend):
        for number in range(3):
            deliver(backend, pangolin, f"beside-{number}")
            until(lambda: any(audience.connector == "damaged" for audience in backend.audiences.all()))


@pytest.mark.parametrize("error", [StoreUnavailable("The disk is full."), RuntimeError(), OSError(24, "Too many open files")])
def test_trouble_while_taking_is_waited_for(backend: EmbeddedBackend, pangolin: InThread, error: Exception) -> None:
    connect(backend, "good", pangolin)
    audience = f"after-{type(error).__name__}"
    backend.queue.publish([change("good", audience, "u1")])
    failing, raised = tapped(backend, "before take", error)
    with working(failing):
        until(lambda: members(backend, pangolin, "good", audience) == {"u1"})
    assert raised


class BrokenStream:
    """Standard error that cannot be written, as in a signal handler that meets a write under way."""

    @property
    def buffer(self) -> Any:
        raise RuntimeError("reentrant call")

    def write(self, _text: str) -> int:
        raise RuntimeError("reentrant call")

    def flush(self) -> None:
        raise RuntimeError("reentrant call")


@pytest.mark.parametrize("broken_log", [False, True])
@pytest.mark.parametrize("at", ["before due", "before next_due"])
def test_holds_are_looked_at_again_after_any_trouble(
    backend: EmbeddedBackend, pangolin: InThread, monkeypatch: pytest.MonkeyPatch, at: str, broken_log: bool
) -> None:
    connect(backend, "good", pangolin)
    audience = f"held-{at.partition(' ')[2]}-{broken_log}"
    Publishing(backend, describe, "test").set_enabled("good", False)
    backend.queue.publish([change("good", audience, "u1")])
    failing, raised = tapped(backend, at, RuntimeError())
    if broken_log:
        monkeypatch.setattr(sys, "stderr", BrokenStream())
    with working(failing):
        until(lambda: bool(raised) and any(one.hold for one in backend.audiences.all()))
        Publishing(backend, describe, "test").set_enabled("good", True)
        until(lambda: members(backend, pangolin, "good", audience) == {"u1"})


def test_what_is_in_hand_is_finished_before_it_ends(backend: EmbeddedBackend, tmp_path: Path) -> None:
    with InThread(tmp_path / "slow.db", token=TOKEN) as slow:
        connect(backend, "slow", slow)
        backend.queue.publish([change("slow", "a", "u0")])
        with working(backend):
            until(lambda: members(backend, slow, "slow", "a") == {"u0"} and not backend.queue.depth().messages)
        set_faults(slow, latency_ms=500)
        backend.queue.publish([change("slow", "a", "u1"), change("slow", "a", "u2")])
        with working(backend):
            until(lambda: backend.queue.depth().leased == 2)
        set_faults(slow)
        assert backend.queue.depth().leased == 0
        with working(backend):
            until(lambda: members(backend, slow, "slow", "a") == {"u0", "u1", "u2"})


def test_old_records_are_deleted_meanwhile(backend: EmbeddedBackend, tmp_path: Path) -> None:
    then = EmbeddedBackend.open(tmp_path / "state", TurnedClock(time.time() - 500 * 86_400))
    then.audit.add(by="ada", what="long ago", subject="x")
    then.close()
    backend.audit.add(by="ada", what="now", subject="x")
    with working(backend, threads=1):
        until(lambda: "long ago" not in {entry.what for entry in backend.audit.newest()})
    assert "now" in {entry.what for entry in backend.audit.newest()}
