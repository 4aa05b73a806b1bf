"""Simulated processes: each with a back end of its own on the one state directory, its own clocks, its own tasks.

A worker does what `worker.process.WorkerProcess` does, with tasks in the place of threads: takes messages, handles several at
once, looks at the holds when they are due.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Leased
from relay.domain.errors import RelayError
from tests.simulation.boundaries import TappedBackend, Watching
from tests.simulation.clock import Machine, ProcessClock
from tests.simulation.invariants import InHand
from tests.simulation.scheduler import Ended, Scheduler
from worker.tick import tick
from worker.turn import MOST_TOGETHER, Worker

TURNS_AT_ONCE = 3
GRACE_S = 10.0
"""Between SIGTERM and the end."""

_TROUBLE_S = 1.0
_LONGEST_IDLE_S = 60.0
_LEAST_IDLE_S = 0.05


class Surroundings(Protocol):
    """Where a process runs."""

    scheduler: Scheduler
    machine: Machine
    state: Path
    pubsub: Any
    effects: int

    @property
    def watching(self) -> Watching: ...

    def queue_of(self, process: Process) -> Any:
        """Another queue than the back end's own, or None."""
        ...

    def turn_ended(self, hand: InHand) -> None:
        """The worker has come to its end with this."""
        ...

    def kill(self, process: Process) -> None:
        """As `Process.kill`, with what follows."""
        ...

    def ended(self, process: Process) -> None:
        """It is no more, in whatever way."""
        ...


class Process:
    """One that is alive until `kill` or the end of `stop`.

    relay  its back end, whose boundaries are told; `plain` is the same without
    """

    def __init__(self, around: Surroundings, name: str, *, works: bool = True) -> None:
        self.around = around
        self.name = name
        self.works = works
        self.alive = True
        self.frozen_until = 0.0
        self.stopping = False
        self.stopping_since = 0
        """The number of effects that there had been; 0 while it is not."""
        self.hands: list[InHand] = []
        self.clock = ProcessClock(around.scheduler, around.machine)
        self.plain = EmbeddedBackend.open(around.state, self.clock)
        self.relay: Any = TappedBackend(self.plain, self, around.watching, queue=around.queue_of(self))
        self.worker = Worker(self.relay, self.clock, random.Random(name), stopping=lambda: self.stopping)

    @property
    def is_sending(self) -> bool:
        """Whether one of its tasks is between its last look at the clock and the partner's having its call."""
        return any(hand.sending for hand in self.hands)

    def start(self) -> None:
        """It takes messages, unless they are pushed to it, and looks at the holds."""
        if self.around.pubsub is None:
            self.around.scheduler.spawn(f"{self.name} takes", self, self._take)
        self.around.scheduler.spawn(f"{self.name} ticks", self, self._tick)

    def begin(self, leased: Leased, then: Callable[[], None] = lambda: None) -> None:
        """A task handles this message, and does `then` behind it."""
        hand = InHand(self, leased)
        self.hands.append(hand)

        def handle() -> None:
            hand.begin()
            self.worker.handle(leased)
            hand.is_over = True
            self.around.turn_ended(hand)
            self.hands.remove(hand)
            self.around.scheduler.stir()
            then()

        self.around.scheduler.spawn(f"{self.name} turn {leased.message_id}", self, handle).note = hand

    # its end

    def kill(self) -> None:
        """As by kill -9: nothing of it has an effect from here on, its locks are gone, what it has leased is as it was."""
        self.alive = False
        owners = self.plain.queue._owners
        if owners._descriptor >= 0:
            os.close(owners._descriptor)
            owners.name, owners._descriptor = "", -1
        self.plain.database.close()
        self.around.scheduler.stir()

    def stop(self) -> None:
        """As by SIGTERM: takes nothing more, ends when all in hand is finished, or is killed after ten seconds."""
        self.stopping = True
        self.stopping_since = self.around.effects
        self.around.scheduler.spawn(f"{self.name} stops", self, self._end)
        self.around.scheduler.stir()

    def _end(self) -> None:
        give_up_at = self.around.scheduler.time + GRACE_S
        while self.hands and self.around.scheduler.time < give_up_at:
            self.around.scheduler.wait(give_up_at - self.around.scheduler.time)
        if self.hands:
            self.around.kill(self)
        else:
            self.plain.close()
            self.kill()
            self.around.ended(self)
        raise Ended

    # what it does all the time

    def _take(self) -> None:
        scheduler = self.around.scheduler
        while not self.stopping:
            if len(self.hands) >= TURNS_AT_ONCE:
                scheduler.wait()
                continue
            try:
                leased = self.relay.queue.take(most=MOST_TOGETHER)
            except RelayError:
                scheduler.sleep(_TROUBLE_S)
                continue
            if leased is None:
                scheduler.wait(self._until_something_is_there())
                continue
            self.begin(leased)
            scheduler.sleep(0)

    def _tick(self) -> None:
        while not self.stopping:
            try:
                tick(self.relay, self.worker.catalog, self.clock)
                pause = self._until_a_hold_may_be_due()
            except RelayError:
                pause = _TROUBLE_S
            self.around.scheduler.wait(pause)

    # A process asks all the time; here it sleeps until there can be an answer. It has no effect of its own, so no boundary.

    def _until_something_is_there(self) -> float:
        found = self._look("SELECT min(available_at) FROM keys")
        return _LONGEST_IDLE_S if found is None else min(max(_LEAST_IDLE_S, found - self.clock.now()), _LONGEST_IDLE_S)

    def _until_a_hold_may_be_due(self) -> float:
        found = self._look(
            "SELECT min(CASE WHEN asked_at > 0 THEN asked_at + 60 WHEN hold_reason IN ('connector_off', 'paused') THEN 0"
            " ELSE due_at END) FROM audiences WHERE hold_reason IS NOT NULL"
        )
        if found is None:
            return _LONGEST_IDLE_S
        left = float(found) - self.clock.now()
        return min(left, _LONGEST_IDLE_S) if left > 0 else 10.0

    def _look(self, sql: str) -> float | None:
        connection: sqlite3.Connection = self.plain.database.connection()
        row = connection.execute(sql).fetchone()
        return None if row is None else row[0]
