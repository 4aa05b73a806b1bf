"""Of the threads that ask for it, one computes at a time, while the others wait for somebody outside.

Python lets one thread compute at a time anyway. But a thread gives that right up at every touch of a file or a socket, however
short, and where others have something to compute it must wait for one of them to do the same: threads that are busy with turns
changed places twenty times for each message, which cost a fifth of the processor's time (`python -m bench deliver`). Those that
compute in here give it up only where they say that they wait.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE_S = 0.05
"""Whoever computes for longer, or waits without saying so, is not waited for: it goes on beside the next one."""


class Computing:
    """For the threads of one process."""

    def __init__(self, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._turn = threading.Lock()
        """Held by the one that computes; another one in its place once its holder is not waited for any more."""
        self._own = threading.local()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """In the block this thread computes, and no other thread that has said so, within `patience_s` seconds. Not to be used
        within itself."""
        self._begin()
        try:
            yield
        finally:
            self._end()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """In the block this thread waits for a disk, a partner or the time, and another one may compute. Changes nothing for a
        thread that has not said that it computes alone."""
        if getattr(self._own, "turn", None) is None:
            yield
            return
        self._end()
        try:
            yield
        finally:
            self._begin()

    def _begin(self) -> None:
        while True:
            turn = self._turn
            if not turn.acquire(timeout=self._patience_s):
                if self._turn is turn:
                    self._turn = threading.Lock()
            elif self._turn is turn:
                self._own.turn = turn
                return
            else:
                turn.release()

    def _end(self) -> None:
        self._own.turn.release()
        self._own.turn = None


computing = Computing()
"""This process's."""
