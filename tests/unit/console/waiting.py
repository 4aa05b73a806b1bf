"""Audiences that wait, made as the worker makes them."""

from __future__ import annotations

from relay.backends.embedded import EmbeddedBackend
from relay.domain.audience import Audience, HoldReason, HoldRequest
from relay.domain.message import VERSION, Direction, Message, Mutation
from tests.clock import TurnedClock
from tests.unit.console.conftest import CANARY

_DIRECTIONS: tuple[Direction, ...] = ("joined", "joined", "left")


def hold(
    backend: EmbeddedBackend,
    clock: TurnedClock,
    audience: str,
    reason: HoldReason = "partner_unavailable",
    *,
    connector: str = "shop",
    due_in: float | None = 60.0,
    batches: int = 1,
    first: int = 0,
    detail: str = "",
) -> Audience:
    """Batches of two joined and one left each, of users that no page may show. first: number of the first batch."""
    turn = backend.audiences.begin_turn(connector, audience, position=1, message_id=f"{audience}-0")
    held = turn.audience
    due_at = None if due_in is None else clock.now() + due_in
    for number in range(first, first + batches):
        message = Message(
            version=VERSION,
            kind="change",
            connector=connector,
            audience=audience,
            request_id=f"request-{number}",
            received_at=clock.now() - 3600,
            part=number,
            mutations=tuple(Mutation(index, way, {"id": f"{CANARY}-{index}"}) for index, way in enumerate(_DIRECTIONS)),
        )
        turn = backend.audiences.begin_turn(connector, audience, position=2 + number, message_id=f"{audience}-{number + 1}")
        held = backend.audiences.join(turn, message, HoldRequest(reason, due_at, detail))
    return held
