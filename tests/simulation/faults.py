"""What can go wrong at a boundary, each as one step; chosen by a seed (`weather`) or by name (`scenarios`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.domain.errors import StoreUnavailable
from tests.simulation.boundaries import ALL_STORE, WRITES, Moment
from tests.simulation.scheduler import Ended

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.world import World

FENCED = frozenset({"begin_turn", "join", "settle", "expand", "attempt", *WRITES["queue"]}) - {"publish", "take"}
"""Writes that the store itself refuses to one who is too late, whatever his clocks say."""


def crash(world: World, moment: Moment) -> None:
    """kill -9, here."""
    world.kill(moment.process)
    raise Ended


def store_fails(world: World, moment: Moment) -> None:
    """The store does not answer: before the effect, or behind it, so that it is there and nobody was told."""
    if moment.name not in ALL_STORE:
        return
    what = "cannot be reached for" if moment.when == "before" else "has done, and does not confirm,"
    world.tell(moment.process.name, f"the store {what} {moment.name}", moment.audience)
    if world.hand is not None:
        world.hand.met_a_failing_store = True
    raise StoreUnavailable("The store cannot be reached.")


def freeze(world: World, moment: Moment, seconds: float, *, monotonic: bool = True) -> None:
    """The whole process stands still. monotonic: whether that clock of it goes on.

    Not between its last look at the clock and its sending: nobody can do both in one step, as docs/guarantees.md says.
    """
    process: Process = moment.process
    if process.is_sending:
        return
    world.tell(process.name, f"frozen {moment.when} {moment.name} for {seconds:g} s", moment.audience)
    process.frozen_until = world.scheduler.time + seconds
    if not monotonic:
        process.clock.stood_still += seconds
    world.scheduler.sleep(0)
    world.tell(process.name, "wakes", moment.audience)


def freeze_with_clocks(world: World, moment: Moment, seconds: float) -> None:
    """As `freeze`, with both of its clocks, which are put right after the write that it is at: only the store can stop it. Where
    it is late to begin a turn they stay behind, since no call may come of that."""
    if moment.when != "before" or moment.name not in FENCED or moment.process.is_sending:
        return
    freeze(world, moment, seconds)
    moment.process.clock.fall_behind(seconds)
    hand = world.hand
    if hand is not None and hand.leased is not None:
        hand.is_late = world.invariants.position(moment.audience) > hand.leased.position


def delay(world: World, seconds: float) -> None:
    """This task waits, its process goes on."""
    world.scheduler.sleep(seconds)
