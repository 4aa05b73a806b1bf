"""What a local run says to the person before it, whichever thread says it, and how far it has come."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TextIO

from relay.local_run.screening import Screening

_BAR = 30
_CLEAR_LINE = "\r\x1b[K"


class Terminal:
    """Lines, and below them at most one bar, drawn only for a person.

    lost: called when nobody reads any more.
    """

    def __init__(self, lost: Callable[[], None], *, out: TextIO | None = None) -> None:
        self._lost = lost
        self._out = out or sys.stdout
        self._lock = threading.Lock()
        self._screening = Screening()
        self._bar = ""

    def say(self, text: str) -> None:
        """One or more lines."""
        with self._lock:
            self._write(f"{self._cleared()}{text}\n{self._bar}")

    def pass_on(self, name: str, line: str) -> None:
        """A line that the process `name` has written; most are not shown: see `Screening`."""
        with self._lock:
            text = self._screening.text(name, line)
            if text is not None:
                self._write(f"{self._cleared()}{text}\n{self._bar}")

    def complain(self, text: str) -> None:
        """On standard error."""
        self.end_bar()
        with self._lock:
            print(text, file=sys.stderr, flush=True)

    def show_bar(self, done: int, length: int) -> None:
        """Draws the bar, or moves it on."""
        if not self._out.isatty():
            return
        full = min(_BAR, _BAR * done // max(length, 1))
        with self._lock:
            cleared = self._cleared()
            self._bar = f"  [{'#' * full}{'-' * (_BAR - full)}] {done} of {length} requests"
            self._write(cleared + self._bar)

    def end_bar(self) -> None:
        """Takes the bar away."""
        with self._lock:
            cleared, self._bar = self._cleared(), ""
            if cleared:
                self._write(cleared)

    def _cleared(self) -> str:
        return _CLEAR_LINE if self._bar else ""

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):
            self._lost()
