"""What a process uses, with all that it started, as Linux tells it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec


class Use(msgspec.Struct, frozen=True):
    """memory_mib: resident. handles: open files, sockets included."""

    memory_mib: float
    handles: int
    threads: int


def use_of(pid: int) -> Use:
    """Of a process and its children; zeros for one that is gone."""
    memory, handles, threads = 0.0, 0, 0
    for one in family(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            status = Path(f"/proc/{one}/status").read_text()
            fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
            memory += int(fields.get("VmRSS", "0 kB").split()[0]) / 1024
            threads += int(fields.get("Threads", "0"))
            handles += sum(1 for _ in Path(f"/proc/{one}/fd").iterdir())
    return Use(memory, handles, threads)


def family(pid: int) -> Iterator[int]:
    """The process and all below it."""
    yield pid
    with suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from family(int(child))


def cpu_s(leader: int) -> float:
    """CPU seconds that the process group of this leader has used."""
    return sum(ticks for ticks in _ticks(leader)) / os.sysconf("SC_CLK_TCK")


def _ticks(leader: int) -> Iterator[int]:
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            fields = (directory / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[2]) == leader:
            yield int(fields[11]) + int(fields[12])
