"""Simulated time: one true time, the machine's wall clock that can be set, and each process's view of both of its clocks."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.scheduler import Scheduler, Task

EPOCH = 1_800_000_000.0
"""The wall clock when a story begins."""


class Machine:
    """The wall clock that all processes share. `true`: seconds since the story began, which nobody can set."""

    def __init__(self, true: Callable[[], float]) -> None:
        self._true = true
        self.set_by = 0.0

    def now(self) -> float:
        """Seconds since the epoch, as the machine has them."""
        return EPOCH + self._true() + self.set_by

    def jump(self, seconds: float) -> None:
        """Somebody sets it, forward or back."""
        self.set_by += seconds


class ProcessClock:
    """`relay.domain.clock.Clock` as one process sees it.

    stood_still  seconds that its monotonic clock has missed while it was frozen
    """

    def __init__(self, scheduler: Scheduler, machine: Machine) -> None:
        self._scheduler = scheduler
        self._machine = machine
        self.stood_still = 0.0
        self._lag = 0.0
        self._lagging: Task | None = None

    def fall_behind(self, seconds: float) -> None:
        """For the current task both clocks are behind by so much, until `put_right`."""
        self._lag, self._lagging = seconds, self._scheduler.current

    def put_right(self) -> None:
        """They are as they should be."""
        if self._lagging is self._scheduler.current:
            self._lagging = None

    def now(self) -> float:
        return self._machine.now() - self._behind()

    def monotonic(self) -> float:
        return 1_000.0 + self._scheduler.time - self.stood_still - self._behind()

    def sleep(self, seconds: float) -> None:
        self._scheduler.sleep(max(0.0, seconds))

    def _behind(self) -> float:
        return self._lag if self._lagging is not None and self._lagging is self._scheduler.current else 0.0
