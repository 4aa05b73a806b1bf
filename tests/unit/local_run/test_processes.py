"""Processes of a local run: output kept and passed on, an end in order, and no orphans."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.local_run import lifeline, readiness
from relay.local_run.processes import Child, Children

ROOT = Path(__file__).parents[3]

OBEDIENT = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
WITH_CHILD = (
    "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    "print('up', child.pid, flush=True); time.sleep(600)"
)


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def eventually(holds: Callable[[], object]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("never came true")


def lives(pid: int) -> bool:
    """Whether it runs; a process that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def said() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def children(said: list[tuple[str, str]], tmp_path: Path) -> Iterator[Children]:
    children = Children(tmp_path, lambda name, line: said.append((name, line)))
    yield children
    children.end(at_once=lambda: True)


def started(children: Children, program: str, name: str = "one") -> Child:
    child = children.start(name, python(program), sign="up")
    eventually(lambda: child.has_signed)
    return child


def test_output_and_errors_are_passed_on_and_kept_as_they_are(
    children: Children, said: list[tuple[str, str]], tmp_path: Path
) -> None:
    children.start("worker", python("import sys; print('one'); sys.stdout.flush(); sys.stderr.buffer.write(b'two \\xff\\n')"))

    eventually(lambda: len(said) == 2)

    assert said == [("worker", "one"), ("worker", "two \ufffd")]
    assert (tmp_path / "worker.log").read_bytes() == b"one\ntwo \xff\n"


def test_a_sign_is_seen_however_much_is_written_after_it(children: Children) -> None:
    child = children.start("busy", python("print('up'); [print('line', number) for number in range(1000)]"), sign="up")

    child.finish_reading()

    assert child.has_signed
    assert "line 999" in child.last_lines


def test_the_end_comes_in_the_opposite_order_of_the_start(children: Children, said: list[tuple[str, str]]) -> None:
    program = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit())); "
        "print('up', flush=True); time.sleep(600)"
    )
    for name in ("a", "b", "c"):
        started(children, program, name)

    children.end()

    assert [name for name, line in said if line == "bye"] == ["c", "b", "a"]


def test_who_does_not_listen_is_killed(children: Children) -> None:
    child = started(children, STUBBORN)

    child.end(at_once=lambda: True)

    assert child.exit_code == -signal.SIGKILL


def test_processes_that_a_child_has_started_end_with_it(children: Children) -> None:
    child = started(children, WITH_CHILD)
    grandchild = int(child.last_lines[0].split()[1])

    children.end()

    eventually(lambda: not lives(grandchild))


def test_one_that_ends_by_itself_is_found_with_its_last_lines(children: Children) -> None:
    started(children, OBEDIENT, "fine")
    children.start("broken", python("print('this went wrong'); raise SystemExit(3)"))
    with pytest.raises(readiness.NotStarted) as problem:
        readiness.wait(children, {"broken": lambda: False}, threading.Event())

    said = str(problem.value)
    assert said.startswith("broken ended with exit code 3. Its last lines (all are in ")
    assert said.endswith("broken.log):\n  this went wrong")


def test_waiting_ends_when_everything_shows_or_when_told_to(children: Children) -> None:
    child = started(children, OBEDIENT)
    stop = threading.Event()

    readiness.wait(children, {"one": readiness.signs(child)}, stop)
    stop.set()
    readiness.wait(children, {"one": lambda: False}, stop)

    assert children.ended() is None


PARENT = """
import sys, time
from pathlib import Path
from relay.local_run.processes import Children
children = Children(Path(sys.argv[1]), lambda *_: None)
for _ in range(2):
    child = children.start("child", [sys.executable, "-c", "import time; time.sleep(600)"])
    print(child.pid, flush=True)
time.sleep(600)
"""


def test_the_processes_end_when_the_one_that_started_them_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([*python(PARENT), str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    orphans = [int(parent.stdout.readline()) for _ in range(2)]
    try:
        assert all(lives(orphan) for orphan in orphans)

        parent.kill()
        parent.wait()

        eventually(lambda: not any(lives(orphan) for orphan in orphans))
    finally:
        parent.stdout.close()
        for orphan in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)


@pytest.mark.parametrize(
    ("lines", "expected"), [("1\n2\n", [1, 2]), ("", []), ("1\ndone\n", None), ("done\n", None)]
)
def test_the_lifeline_acts_only_when_its_writer_died(lines: str, expected: list[int] | None) -> None:
    assert lifeline.read(io.StringIO(lines)) == expected
