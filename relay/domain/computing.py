"""Of the threads that ask for it, one computes at a time, while the others wait for somebody outside.

Python lets one thread compute at a time anyway. But a thread gives that right up at every touch of a file or a socket, however
short, and where others have something to compute it must wait for one of them to do the same: threads that are busy with turns
changed places twenty times for each message, which cost a fifth of the processor's time (`python -m bench deliver`). Those that
compute in here give it up only where they say that they wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE_S = 0.05
"""Who has been in line for so long goes on beside whoever computes, or waits without saying so."""


class _Own(threading.local):
    """What each thread has by itself: what it waits for, or computes by; None where it has not said that it computes."""

    mine: threading.Lock | None = None


class _Waiting:
    """A block in which a thread waits for somebody outside. No generator, which would take three times as long: each call to a
    partner has one."""

    __slots__ = ("_computing", "_gave_way")

    def __init__(self, computing: Computing) -> None:
        self._computing = computing

    def __enter__(self) -> None:
        self._gave_way = self._computing._own.mine is not None
        if self._gave_way:
            self._computing._end()

    def __exit__(self, *_: object) -> None:
        if self._gave_way:
            self._computing._begin()


class Computing:
    """For the threads of one process. Who comes first, computes first."""

    def __init__(self, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._guard = threading.Lock()
        """Held to change these."""
        self._at_it: threading.Lock | None = None
        self._in_line: deque[threading.Lock] = deque()
        """Each waits for its own, until somebody lets it go."""
        self._own = _Own()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """In the block this thread computes, and no other one that has said so, unless that has been in line for `patience_s`
        seconds. Not to be used within itself."""
        self._begin()
        try:
            yield
        finally:
            self._end()

    def waiting(self) -> _Waiting:
        """In the block this thread waits for a disk, a partner or the time, and another one may compute. Changes nothing for a
        thread that has not said that it computes alone."""
        return _Waiting(self)

    def after_others(self) -> None:
        """Returns once those have computed that wait for it already: what this thread has to wait for may be there by then.
        Changes nothing for a thread that has not said that it computes alone."""
        if self._in_line and self._own.mine is not None:
            self._end()
            self._begin()

    def _begin(self) -> None:
        mine = self._own.mine = threading.Lock()
        mine.acquire()
        with self._guard:
            if self._at_it is None:
                self._at_it = mine
                return
            self._in_line.append(mine)
        if not mine.acquire(timeout=self._patience_s):
            with self._guard:
                if mine in self._in_line:  # else it was its turn just now, and may be somebody else's again
                    self._in_line.remove(mine)
                    self._at_it = mine  # and whoever was at it computes beside this one

    def _end(self) -> None:
        mine, self._own.mine = self._own.mine, None
        with self._guard:
            if self._at_it is mine:
                self._at_it = self._in_line.popleft() if self._in_line else None
                if self._at_it is not None:
                    self._at_it.release()


computing = Computing()
"""This process's."""
