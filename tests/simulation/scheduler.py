"""Tasks that take turns within one thread. Where a task waits, chance, which is given a seed, decides who goes on."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Protocol

from greenlet import GreenletExit, getcurrent, greenlet


class Ended(GreenletExit):
    """The task's process is gone: nothing that it still does has an effect."""


class Owner(Protocol):
    """Whose a task is. Nobody who is not alive goes on, and nobody before `frozen_until` (true time)."""

    alive: bool
    frozen_until: float


class Task:
    """One thread of control of an owner."""

    __slots__ = ("body", "name", "note", "owner", "stirred", "wake_at")

    def __init__(self, name: str, owner: Owner, body: greenlet) -> None:
        self.name = name
        self.owner = owner
        self.body = body
        self.wake_at = 0.0
        self.stirred = False
        """Whether it waits for something to happen, and not only for a moment."""
        self.note: object = None
        """What the one who began it wants to find again."""


class Scheduler:
    """`time`: seconds since the story began. It passes when every task waits for a later moment, and only then."""

    def __init__(self, chance: random.Random) -> None:
        self.time = 0.0
        self.steps = 0
        self.current: Task | None = None
        self._chance = chance
        self._main = getcurrent()
        self._tasks: list[Task] = []

    def spawn(self, name: str, owner: Owner, work: Callable[[], None]) -> Task:
        """A task that begins when it is chosen."""
        task = Task(name, owner, greenlet(work, self._main))
        task.wake_at = self.time
        self._tasks.append(task)
        return task

    def sleep(self, seconds: float) -> None:
        """The current task waits so long. It may be longer where its owner is frozen."""
        self._wait(self.time + seconds, stirred=False)

    def wait(self, seconds: float = math.inf) -> None:
        """The current task waits for `stir` or `wake`, at most so long."""
        self._wait(self.time + seconds, stirred=True)

    def stir(self) -> None:
        """Something has happened: those who wait for that look again."""
        for task in self._tasks:
            if task.stirred:
                self.wake(task)

    def wake(self, task: Task) -> None:
        """This one looks again."""
        if task.stirred:
            task.wake_at = min(task.wake_at, self.time)

    def run(self, until: Callable[[], bool]) -> bool:
        """Goes on until then; False if nothing is left to do before. What a task raises comes out here."""
        while not until():
            if not self._step():
                return False
        return True

    def end(self) -> None:
        """Every task ends where it is."""
        for task in self._tasks:
            if task.body:
                task.body.throw(Ended)
        self._tasks.clear()

    def _wait(self, moment: float, *, stirred: bool) -> None:
        task = self.current
        assert task is not None, "only a task can wait"
        assert task.body is getcurrent(), "only the current task can wait"
        task.wake_at, task.stirred = moment, stirred
        self._main.switch()

    def _step(self) -> bool:
        self._bury()
        moments = [max(task.wake_at, task.owner.frozen_until) for task in self._tasks]
        soonest = min(moments, default=math.inf)
        if soonest == math.inf:
            return False
        self.time = max(self.time, soonest)
        ready = [task for task, moment in zip(self._tasks, moments, strict=True) if moment <= self.time]
        task = ready[0] if len(ready) == 1 else ready[int(self._chance.random() * len(ready))]
        self.steps += 1
        self.current, task.stirred = task, False
        try:
            task.body.switch()
        finally:
            self.current = None
            if task.body.dead and task in self._tasks:
                self._tasks.remove(task)
        return True

    def _bury(self) -> None:
        for task in [task for task in self._tasks if not task.owner.alive]:
            self._tasks.remove(task)
            if task.body:
                task.body.throw(Ended)
