"""The calls that are under way in this process, so that its end can cut those short that would outlast it.

A process that is told to end is killed some seconds later, in the middle of whatever it does. A call that is cut before that is
one without an answer, which its turn can still deal with: what it was about waits, as after a time-out.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Cuttable:
    """One call. `sock`: what it waits for at the moment, if anything. `cut`: it was cut short."""

    def __init__(self) -> None:
        self.sock: socket.socket | None = None
        self.cut = False

    def cut_short(self) -> None:
        """Whoever waits for it sees its connection end."""
        self.cut = True
        if self.sock is not None:
            # The plain socket's, also where it is wrapped for TLS: that one's state belongs to the thread that waits.
            with suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class InFlight:
    """All calls under way. Used by many threads."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """None is under way. In a forked child, where the threads that made them are not: one of them may have held the lock."""
        self._guard = threading.Lock()
        self._calls: set[Cuttable] = set()

    @contextmanager
    def holding(self, call: Cuttable) -> Iterator[None]:
        """The call is under way within the block."""
        with self._guard:
            self._calls.add(call)
        try:
            yield
        finally:
            with self._guard:
                self._calls.discard(call)

    def cut_short(self) -> int:
        """Cuts all of them; those that begin later are not. Returns how many there were."""
        with self._guard:
            calls = tuple(self._calls)
        for call in calls:
            call.cut_short()
        return len(calls)


in_flight = InFlight()
"""This process's. A forked child begins with none: it would cut the calls of its parent, whose sockets it shares."""

os.register_at_fork(after_in_child=in_flight.forget)
