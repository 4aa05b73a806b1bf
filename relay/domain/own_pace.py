"""Holds in which nothing is wrong: somebody asked for them, or there is only more to send than the connector may send now."""

from __future__ import annotations

from relay.domain.audience import Hold, HoldReason

TIME_IS_OVER = "The turn's time is over; the rest goes on at once."
RATE_USED_UP = "The connector's rate limit is used up."
TURNS_TAKEN = "As many turns as the connector may have at once are under way."

ASKED_FOR: frozenset[HoldReason] = frozenset({"gathering", "connector_off", "paused", "replaying"})
"""Reasons that somebody asked for, by the document or by hand."""


def is_trouble(hold: Hold) -> bool:
    """Whether something is wrong, as far as this hold was set for it."""
    return hold.reason not in ASKED_FOR and not hold.own_pace
