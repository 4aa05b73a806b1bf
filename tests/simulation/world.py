"""One relay, its DMP, its partner and its operators, in simulated time; and who is told of everything that happens there."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable
from functools import cached_property
from types import TracebackType
from typing import Any, Protocol

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.domain.audience import ASK_AGAIN_S
from relay.domain.errors import StoreUnavailable
from relay.domain.message import VERSION, Message
from tests.simulation.boundaries import CALL, Moment
from tests.simulation.clock import Machine, ProcessClock
from tests.simulation.invariants import WITHIN_TURN, Broken, InHand, Invariants
from tests.simulation.ledger import Ledger
from tests.simulation.observed import OBSERVED
from tests.simulation.partner import ScriptedPartner, without_sockets
from tests.simulation.processes import Process
from tests.simulation.pubsub import PubSub
from tests.simulation.scheduler import Ended, Scheduler
from tests.simulation.setting import CONNECTOR, Setting, state_of
from tests.simulation.story import Story

MOST_STEPS = 60_000
CALM_S = 3 * 3600.0
"""So long everything may take to arrive once the weather is calm, beside what the clock was set back by."""


class Plan(Protocol):
    """What goes wrong. `at` is asked at every boundary: it may wait, raise, or do something to the world."""

    def at(self, world: World, moment: Moment, hand: InHand | None) -> None: ...


class Calm:
    """Nothing goes wrong."""

    def at(self, world: World, moment: Moment, hand: InHand | None) -> None:
        """Nothing."""


class Cloud:
    """Whoever is not a process of ours: is always there."""

    alive = True
    frozen_until = 0.0


class World:
    """See the parts. `chance` decides everything that is not decided by `plan`."""

    def __init__(self, chance: random.Random, setting: Setting, plan: Plan | None = None) -> None:
        self.chance = chance
        self.setting = setting
        self.plan: Plan = plan or Calm()
        self.story = Story()
        self.scheduler = Scheduler(chance)
        self.machine = Machine(lambda: self.scheduler.time)
        self.cloud = Cloud()
        self.ledger = Ledger()
        self.effects = 0
        self.asking = 0
        """Feeds' requests that have not heard the end."""
        self.state = state_of(setting.document)
        self.invariants = Invariants(self.state / "relay.db", self.ledger, self.machine.now, self.queued)
        self.partner = ScriptedPartner(
            self.scheduler,
            self,
            lambda: self.invariants,
            self.ledger,
            self.machine.now,
            lambda what, audience: self.tell("partner", what, audience),
        )
        if setting.calls:
            self.partner.allow(setting.calls, setting.per_s)
        self.processes: dict[str, Process] = {}
        self.pubsub = PubSub(self) if setting.pushed else None
        self._sockets = without_sockets(self.partner)
        self._sockets.__enter__()

    def __enter__(self) -> World:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self.processes.values():
            if process.alive:
                process.kill()
        self.scheduler.end()
        self.plain.close()
        self.invariants.close()
        self._sockets.__exit__(None, None, None)
        shutil.rmtree(self.state)

    def tell(self, who: str, what: str, audience: str = "") -> None:
        """For the story."""
        self.story.tell(self.scheduler.time, who, what, audience)

    # what processes ask of it

    @property
    def watching(self) -> World:
        return self

    def queue_of(self, process: Process) -> Any:
        return self.pubsub.queue_for(process) if self.pubsub else None

    def queued(self, audience: str) -> Iterable[bytes]:
        """Bodies in the queue, in hand or not."""
        if self.pubsub:
            return self.pubsub.bodies(f"{CONNECTOR}/{audience}")
        found = self.invariants.select("SELECT body FROM messages WHERE key = ?", f"{CONNECTOR}/{audience}")
        return [body for (body,) in found]

    # who is told

    def reached(self, moment: Moment) -> None:
        """A process is at a boundary."""
        process = moment.process
        if not process.alive:
            raise Ended
        task = self.scheduler.current
        if task is None:
            return  # the world is being made
        hand = task.note if isinstance(task.note, InHand) else None
        if moment.when == "before" and hand is not None and hand.leased is not None and moment.name in WITHIN_TURN:
            self.invariants.may_write(hand, moment.name)
        if moment.when == "after" and not (hand is not None and hand.is_late):
            process.clock.put_right()
        self.plan.at(self, moment, hand)
        if not process.alive:
            raise Ended

    def done(self, process: Any, name: str, arguments: tuple[Any, ...], named: dict[str, Any], result: Any) -> None:
        """An effect has happened."""
        self.effects += 1
        observe = OBSERVED.get(name)
        if observe is not None:
            observe(self, process, arguments, named, result)

    def accepted(self, process: Process, messages: list[Message]) -> None:
        """The queue has these, whatever the one who published them is told."""
        self.ledger.accept(messages)
        for message in messages:
            users = " ".join(f"{'+' if one.direction == 'joined' else '-'}{one.user['id']}" for one in message.mutations)
            what = f"{message.request_id} {users}" if users else ""
            self.tell(process.name, f"queued {message.kind} {what}", message.audience)
            if message.kind == "resume" and self.pubsub is None:  # which may deliver any number of them again
                self.invariants.resume_is_wanted(message.audience)
        self.scheduler.stir()

    @property
    def hand(self) -> InHand | None:
        """What the current task has in hand."""
        task = self.scheduler.current
        return task.note if task is not None and isinstance(task.note, InHand) else None

    # processes

    def start(self, name: str, *, works: bool = True) -> Process:
        """A process of this name begins, in the place of a dead one."""
        process = Process(self, name, works=works)
        self.processes[name] = process
        if works:
            process.start()
        self.tell(name, "starts")
        return process

    def kill(self, process: Process) -> None:
        """kill -9. A call that it has under way is applied at this moment or never: that a slow partner may apply it last is an
        exception that docs/guarantees.md names."""
        self.tell(process.name, "is killed")
        process.kill()
        for flight in self.partner.under_way():
            if flight.hand.process is process and not flight.given_up:
                self.partner.land(flight, applied=self.chance.random() < 0.5)
        self.ended(process)

    def surplus_resume(self, audience: str) -> None:
        """A resume is queued that nothing asks for, or not yet."""
        message = Message(VERSION, "resume", CONNECTOR, audience, "surplus", self.machine.now() - ASK_AGAIN_S)
        queue = self.pubsub.queue_for(self.processes["receiver"]) if self.pubsub else self.plain.queue
        try:
            queue.publish([message])
        except StoreUnavailable:
            self.tell("somebody", "queues a surplus resume, and is told that it is not certain", audience)
        else:
            self.tell("somebody", "queued a surplus resume", audience)
        self.scheduler.stir()

    def ended(self, process: Process) -> None:
        """Another one takes its place soon."""
        after_s = self.chance.choice((0.2, 1.5, 8.0))

        def begin_anew() -> None:
            self.scheduler.sleep(after_s)
            self.start(process.name, works=process.works)
            self.scheduler.sleep(1.1)
            self.scheduler.stir()  # now the dead one's leases are found

        self.scheduler.spawn("begins anew", self.cloud, begin_anew)

    def turn_ended(self, hand: InHand) -> None:
        """What the partner asked for in this turn is known to all now."""
        if not hand.met_a_failing_store:
            for moment in hand.wishes:
                self.invariants.put_off(self.effects, moment)

    def jump(self, seconds: float) -> None:
        """Somebody sets the clock of the machine. What waits by the clock for a call that may still be applied does not wait long
        enough then: such calls are applied now."""
        self.tell("clock", f"set by {seconds:+g} s")
        self.machine.jump(seconds)
        self.invariants.longest_jump_s += abs(seconds)
        for flight in self.partner.under_way():
            self.partner.land(flight)
        self.partner.forget_counts()
        self.scheduler.stir()

    def bring_forward(self) -> None:
        """Somebody ends waits by hand: a call that may still be applied is applied before the next one, as after a probe."""
        for flight in self.partner.under_way():
            if flight.given_up:
                self.partner.land(flight)

    @cached_property
    def plain(self) -> EmbeddedBackend:
        """The operators' own way to the store, without boundaries."""
        return EmbeddedBackend.open(self.state, ProcessClock(self.scheduler, self.machine))

    def publishing(self) -> Publishing:
        """What an operator changes connectors with."""
        return Publishing(self.plain, describe, "test")

    # going on

    def run(self, until: Callable[[], bool]) -> bool:
        """Goes on until then. False if nothing is left to happen before."""
        return self.scheduler.run(lambda: until() or self._too_long())

    def _too_long(self) -> bool:
        if self.scheduler.steps > MOST_STEPS:
            raise Broken("does not come to an end", "")
        return False

    def is_at_rest(self) -> bool:
        """Nothing is queued, nothing is held."""
        queued, held = self.invariants.select(
            "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM audiences WHERE hold_reason IS NOT NULL)"
        )[0]
        return not queued and not held and not self.asking and (self.pubsub is None or self.pubsub.is_empty())

    def arrive(self) -> None:
        """The weather is calm; time passes; everything arrives by itself, and is as it should be."""
        until = self.scheduler.time + CALM_S + self.invariants.longest_jump_s
        self.run(lambda: self.is_at_rest() or self.scheduler.time > until)
        if not self.is_at_rest():
            held = self.invariants.select("SELECT id FROM audiences WHERE hold_reason IS NOT NULL")
            raise Broken("it does not arrive by itself", held[0][0] if held else "")
        rejected = [one for _, one in self.plain.reports.rejections(limit=100_000)]
        self.ledger.rejected(rejected)
        self.invariants.everything_arrived(self.partner.members(), rejected)


__all__ = ["CALL", "CONNECTOR", "Broken", "Calm", "Plan", "Setting", "World"]
