"""What follows each effect: the story, the ledger and the invariants are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from relay.backends.interfaces import Turn
from tests.simulation.clock import EPOCH
from tests.simulation.processes import Process

if TYPE_CHECKING:
    from tests.simulation.world import World


def _published(world: World, process: Process, arguments: Any, named: Any, result: Any) -> None:
    if world.pubsub is None:  # which says itself what it has accepted
        world.accepted(process, list(arguments[0]))


def _began(world: World, process: Process, arguments: Any, named: Any, turn: Turn) -> None:
    world.tell(process.name, f"turn {turn.number} of message {turn.message_id}: {turn.verdict}", turn.audience_id)
    if world.hand is not None:
        world.hand.turn_began_at_step = world.effects
    if turn.verdict == "behind":
        return
    for flight in world.partner.under_way(turn.audience_id):
        # Of a worker that was killed, and where a message is pushed while its first worker still runs, a call can be under way:
        # it is applied before this turn calls. That a slow partner may apply it last is an exception that docs/guarantees.md
        # names. What ended in order waits in a hold, and is not helped.
        hand = flight.hand
        if hand is not world.hand and hand.leased and (not hand.process.alive or (world.pubsub and not hand.is_over)):
            world.partner.land(flight)


def _joined(world: World, process: Process, arguments: Any, named: Any, audience: Any) -> None:
    hold = audience.hold
    world.tell(process.name, f"joined the hold: {hold.reason}, {hold.batches} batches", audience.id)
    world.invariants.hold_is_sound(audience.id)
    world.scheduler.stir()


def _settled(world: World, process: Process, arguments: Any, named: Any, audience: Any) -> None:
    left = f"{audience.hold.batches} left ({audience.hold.reason})" if audience.hold else "lifted"
    world.tell(process.name, f"settled {len(named['taken'])} batches: {left}", audience.id)
    world.invariants.hold_is_sound(audience.id)
    world.invariants.nothing_lost(audience.id)
    world.scheduler.stir()


def _expanded(world: World, process: Process, arguments: Any, named: Any, audience: Any) -> None:
    _, _, batches, rest = arguments
    left = f", up to {rest.replay.cursor}" if rest else "; it is over"
    world.tell(process.name, f"a replay puts {len(batches)} batches in front of itself{left}", audience.id)
    world.invariants.hold_is_sound(audience.id)


def _attempted(world: World, process: Process, arguments: Any, named: Any, result: Any) -> None:
    report, rejections = arguments[:2]  # what was said to the partner is nothing to the ledger
    world.tell(process.name, f"attempt: {dict(sorted(report.counts.items()))} {report.problem}", report.audience)
    world.ledger.reported(report, rejections)


def _replied(world: World, process: Process, arguments: Any, named: Any, result: Any) -> None:
    (reply,) = arguments
    outcomes = [one.outcome for one in reply.mutations]
    world.tell(process.name, f"reply to {reply.request_id}: {outcomes} {reply.reason}")
    world.ledger.replied(reply)
    world.scheduler.stir()


def _acknowledged(world: World, process: Process, arguments: Any, named: Any, result: bool) -> None:
    leased = arguments[0]
    audience = leased.key.partition("/")[2]
    world.tell(process.name, f"{'acknowledged' if result else 'too late to acknowledge'} message {leased.message_id}", audience)
    if result and world.pubsub is None:  # where it counts once it has arrived
        world.invariants.nothing_lost(audience)
    world.scheduler.stir()


def _finished(world: World, process: Process, arguments: Any, named: Any, result: None) -> None:
    _, leased, following = arguments
    audience = leased.key.partition("/")[2]
    world.tell(process.name, f"acknowledged message {leased.message_id} and {following} behind it", audience)
    world.invariants.nothing_lost(audience)
    world.scheduler.stir()


def _asked_the_rate(world: World, process: Process, arguments: Any, named: Any, wait_s: float) -> None:
    hand = world.hand
    if hand is not None:
        hand.asked_at_step = world.effects
        hand.sending = wait_s <= 0


def _put_off(world: World, process: Process, arguments: Any, named: Any, result: Any) -> None:
    world.tell(process.name, f"no call before {arguments[1] - EPOCH:.3f}: {named['reason']}")
    world.invariants.put_off(world.effects, arguments[1])


OBSERVED: dict[str, Callable[[World, Process, Any, Any, Any], None]] = {
    "publish": _published,
    "begin_turn": _began,
    "join": _joined,
    "settle": _settled,
    "expand": _expanded,
    "attempt": _attempted,
    "give": _replied,
    "acknowledge": _acknowledged,
    "finish": _finished,
    "admit": _asked_the_rate,
    "not_before": _put_off,
}
