"""Syncs of the write-ahead log, watched."""

from __future__ import annotations

import os
from collections.abc import Callable


class Syncs:
    """Of the log: how many there were, and whether they fail."""

    def __init__(self) -> None:
        self.number = 0
        self.fail = False
        self.before: Callable[[], object] = lambda: None

    def __call__(self, handle: int) -> None:
        self.number += 1
        self.before()
        if self.fail:
            raise OSError(5, "Input/output error")
        os.fsync(handle)
