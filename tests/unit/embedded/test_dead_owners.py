"""Leases of processes that died are freed at once; those of processes that merely stand still are not."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.backends.embedded.owners import Owners
from relay.domain.clock import SystemClock
from relay.domain.message import decode
from tests.clock import TurnedClock
from tests.contract.backends.given import message
from tests.unit.embedded.programs import end, output, start

TAKES_ONE = """
leased = backend.queue.take()
print("taken", leased.position, flush=True)
time.sleep(3600)
"""


class _ClockThatPasses(TurnedClock):
    """So that each look for the dead is far enough from the one before."""

    def monotonic(self) -> float:
        self.advance(1.001)
        return super().monotonic()


@pytest.fixture
def here(state_dir: Path) -> Iterator[EmbeddedBackend]:
    opened = EmbeddedBackend.open(state_dir, _ClockThatPasses(SystemClock().now()))
    yield opened
    opened.close()


@pytest.fixture
def worker(here: EmbeddedBackend, state_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has leased the one message."""
    here.queue.publish([message(request_id="r1")])
    process = start(state_dir, TAKES_ONE)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("taken")
    yield process
    end(process)


def test_a_process_killed_while_it_holds_a_lease_has_it_freed(here: EmbeddedBackend, worker: subprocess.Popen[str]) -> None:
    assert here.queue.take() is None
    worker.kill()
    worker.wait()
    leased = here.queue.take()
    assert leased is not None
    assert (decode(leased.body).request_id, leased.deliveries) == ("r1", 2)


def test_a_process_that_stands_still_keeps_its_lease_until_it_runs_out(
    here: EmbeddedBackend, worker: subprocess.Popen[str]
) -> None:
    os.kill(worker.pid, signal.SIGSTOP)
    assert here.queue.take() is None
    assert here.queue.take() is None
    assert here.queue.depth().leased == 1


def test_the_lock_of_a_dead_process_is_cleared_away(
    here: EmbeddedBackend, worker: subprocess.Popen[str], state_dir: Path
) -> None:
    assert len(list((state_dir / "workers").iterdir())) == 1
    worker.kill()
    worker.wait()
    assert here.queue.take() is not None
    (own,) = (state_dir / "workers").iterdir()
    assert own.name.startswith(f"{os.getpid()}-")
    here.close()
    assert list((state_dir / "workers").iterdir()) == []


def test_a_worker_killed_again_and_again_loses_nothing(here: EmbeddedBackend, state_dir: Path) -> None:
    here.queue.publish([message(request_id=f"r{number}") for number in range(3)])
    for _ in range(3):
        process = start(state_dir, TAKES_ONE)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("taken")
        end(process)
    order = []
    while (leased := here.queue.take()) is not None:
        order.append(decode(leased.body).request_id)
        assert here.queue.acknowledge(leased)
    assert order == ["r0", "r1", "r2"]


def test_a_child_that_outlives_its_killed_parent_does_not_keep_its_lease(here: EmbeddedBackend, state_dir: Path) -> None:
    here.queue.publish([message()])
    parent = start(
        state_dir,
        """
leased = backend.queue.take()
child = os.fork()
if child == 0:
    os.close(1)
    time.sleep(3600)
print(child, flush=True)
time.sleep(3600)
""",
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        end(parent)
        assert here.queue.take() is not None
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_forked_process_is_an_owner_of_its_own(here: EmbeddedBackend, state_dir: Path) -> None:
    here.queue.publish([message("a.1"), message("a.2")])
    written = output(
        state_dir,
        """
mine = backend.queue.take().lease.partition("/")[0]
child = os.fork()
if child == 0:
    theirs = backend.queue.take().lease.partition("/")[0]
    print("different" if theirs != mine else "the same", flush=True)
    os._exit(0)
os.waitpid(child, 0)
""",
    )
    assert written == "different\n"


def test_a_missing_lock_is_no_proof_of_death(tmp_path: Path) -> None:
    with Owners(tmp_path).dead("1-unknown") as gone:
        assert not gone


def test_an_owner_is_alive_to_others_until_it_lets_go(tmp_path: Path) -> None:
    one, other = Owners(tmp_path), Owners(tmp_path)
    name = one.own()
    assert one.own() == name
    assert other.others() == [name]
    with other.dead(name) as gone:
        assert not gone
    one.release()
    assert other.others() == []


def test_what_an_owner_has_leased_is_free_at_once_though_it_lets_go_while_the_database_is_locked(
    here: EmbeddedBackend, state_dir: Path
) -> None:
    here.queue.publish([message()])
    other = EmbeddedBackend.open(state_dir, SystemClock())
    assert other.queue.take() is not None
    with here.database.transaction():
        other.close()
    assert here.queue.take() is not None
