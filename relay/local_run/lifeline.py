"""A process that ends the others when the one that started them was killed and could not do it itself.

It reads process IDs from standard input, one a line. `done` ends it. The end of the input without `done` means that the writer
died: then it ends the groups of these processes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable

GRACE_S = 10.0


def read(lines: Iterable[str]) -> list[int] | None:
    """The process IDs to end; None if there is nothing to do."""
    groups = []
    for line in lines:
        if line.strip() == "done":
            return None
        groups.append(int(line))
    return groups


def end(groups: Iterable[int]) -> None:
    """TERM for the leader of each group, ten seconds, KILL for whatever is left."""
    left = list(groups)
    for group in left:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(group, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        left = [group for group in left if _lives(group)]
    for group in left:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    if (orphans := read(sys.stdin)) is not None:
        end(orphans)
