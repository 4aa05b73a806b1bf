"""What is said of holds in which nothing is wrong: there is only more to send than the connector may send just now."""

from __future__ import annotations

TIME_IS_OVER = "The turn's time is over; the rest goes on at once."
RATE_USED_UP = "The connector's rate limit is used up."
TURNS_TAKEN = "As many turns as the connector may have at once are under way."

OWN_PACE: frozenset[str] = frozenset({TIME_IS_OVER, RATE_USED_UP, TURNS_TAKEN})
"""`Hold.detail` of such holds."""
