"""Several processes at work in one place."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.backends.interfaces import Backend
from relay.domain.clock import Clock, SystemClock
from relay.domain.message import decode
from tests.contract.backends.deliveries import Deliveries

ROOT = Path(__file__).parents[3]

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(place: dict[str, str]) -> Iterator[Start]:
    """Starts a program of `processes.py` against the place; what still runs at the end of the test is ended."""
    started: list[subprocess.Popen[bytes]] = []

    def start_one(*arguments: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.contract.backends.processes", *map(str, arguments)]
        started.append(subprocess.Popen(command, cwd=ROOT, env={**place, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE))
        return started[-1]

    yield start_one
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _outputs(*processes: subprocess.Popen[bytes]) -> list[str]:
    outputs = [process.communicate()[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return outputs


@pytest.fixture
def here(opened: Callable[[Clock], Backend]) -> Backend:
    return opened(SystemClock())


def test_processes_that_open_a_new_place_at_once_all_work_in_it(start: Start, deliveries: Deliveries) -> None:
    _outputs(*(start("publish", f"p{index}", 5, 1) for index in range(4)))
    for _ in range(20):
        assert deliveries.acknowledge(deliveries.next())
    assert deliveries.none()


@pytest.mark.parametrize("place", ["embedded"], indirect=True)
def test_messages_are_handled_once_in_order_and_one_of_a_key_at_a_time(start: Start, tmp_path: Path) -> None:
    journal, keys, each = tmp_path / "journal", 3, 40
    journal.touch()
    publishers = [start("publish", f"p{index}", each, keys) for index in range(2)]
    handlers = [start("handle", journal, 2 * each) for _ in range(2)]
    _outputs(*publishers, *handlers)
    by_key: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for line in journal.read_text().splitlines():
        what, key, position = line.split()
        by_key[key].append((what, int(position)))
    assert len(by_key) == keys
    for steps in by_key.values():
        positions = sorted({position for _, position in steps})
        assert steps == [(what, position) for position in positions for what in ("begin", "end")]
    assert sum(map(len, by_key.values())) == 2 * 2 * each


def test_nothing_confirmed_is_lost_when_the_process_is_killed(start: Start, deliveries: Deliveries) -> None:
    process = start("publish_until_killed", "p")
    assert process.stdout is not None
    confirmed = [process.stdout.readline().decode() for _ in range(200)]
    process.kill()
    confirmed += process.communicate()[0].decode().splitlines(keepends=True)
    whole = {line.rstrip() for line in confirmed if line.endswith("\n")}
    queued: defaultdict[str, list[str]] = defaultdict(list)
    while (leased := deliveries.maybe()) is not None:
        queued[leased.key].append(decode(leased.body).request_id)
        deliveries.acknowledge(leased)
    assert whole <= {request_id for of_key in queued.values() for request_id in of_key}
    for key, of_key in queued.items():
        lane = key.rpartition(".")[2]
        assert of_key == [f"p-{lane}-{index}" for index in range(len(of_key))]


def test_turns_of_several_processes_fence_one_another(start: Start, here: Backend) -> None:
    outputs = _outputs(*(start("join", f"p{index}", 25) for index in range(2)))
    lines = [line.split() for output in outputs for line in output.splitlines()]
    joined = [int(number) for what, number in lines if what == "joined"]
    assert {reason for what, reason in lines if what == "lost"} <= {"TurnLost"}
    assert len(joined) == len(set(joined))
    audience = here.audiences.get("pangolin", "a.1")
    assert audience is not None
    assert audience.turn == 50
    assert audience.hold is not None
    assert audience.hold.batches == len(joined) == len(here.audiences.peek("pangolin", "a.1", limit=100))


def test_batches_that_join_while_others_leave_are_neither_orphaned_nor_handed_out_twice(start: Start, here: Backend) -> None:
    outputs = _outputs(*(start("hold_and_lift", f"p{index}", 30) for index in range(4)))
    fates: defaultdict[str, list[str]] = defaultdict(list)
    for line in "".join(outputs).splitlines():
        if line:
            fate, message_id = line.split()
            fates[fate].append(message_id)
    waiting = [batch.message_id for batch in here.audiences.peek("pangolin", "a.1", limit=1_000)]
    assert len(fates["joined"]) > 20
    gone = {*fates["settled"], *fates["dropped"]}  # an operator may drop what a turn is just delivering
    for fate in ("settled", "dropped"):
        assert len(fates[fate]) == len(set(fates[fate])), "none leaves twice"
    assert not gone & set(waiting)
    assert set(fates["joined"]) <= {*gone, *waiting, *fates["unsure"]}, "none is orphaned"
    # The turn of one that was not confirmed may have ended between its writing and the answer: its message comes again.
    assert {*gone, *waiting} <= set(fates["joining"])
    audience = here.audiences.get("pangolin", "a.1")
    assert audience is not None
    assert (audience.hold.batches if audience.hold else 0) == len(waiting)
    assert (audience.hold.items if audience.hold else 0) == len(waiting)


def test_a_rate_is_shared_by_processes(start: Start) -> None:
    assert sum(map(int, _outputs(*(start("admit", 8) for _ in range(3))))) == 10
