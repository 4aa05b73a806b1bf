"""What changes about a connector without a new version, as pure changes of its state: the same ones in every back end."""

from __future__ import annotations

from msgspec.structs import replace

from relay.domain.audience import HoldReason
from relay.domain.connector import ActionSwitch, ConnectorState


def with_action(state: ConnectorState, action: str, switch: ActionSwitch | None) -> ConnectorState:
    """The action switched off in this way; None: on again."""
    others: dict[str, ActionSwitch] = {name: value for name, value in state.actions.items() if name != action}
    return replace(state, actions=others if switch is None else {**others, action: switch})


def published(state: ConnectorState, number: int, *, days_before: int, days: int, now: float) -> ConnectorState:
    """This version runs from now on (0: none does).

    days_before, days: for how long the journal is kept (`Retention.journal_days`) by what ran until now, and from now on. More
    days do not bring back what was deleted: it reaches back to what is there.
    """
    if not days:
        since = 0.0
    elif state.journal_since and days_before:
        since = max(state.journal_since, now - days_before * 86400)
    else:
        since = now
    return replace(state, live=number, live_since=now if number else state.live_since, journal_since=since)


def journal_reaches_to(state: ConnectorState, *, days: int, late_s: float, now: float) -> float | None:
    """The moment since which everything that was accepted is in the journal; None where it is off.

    days: for how long the running version keeps it. late_s: seconds until a receiver learns that it was switched on.
    """
    if not state.journal_since or not days:
        return None
    return max(state.journal_since + late_s, now - days * 86400)


def postponed(state: ConnectorState, moment: float, *, reason: HoldReason, detail: str, now: float) -> ConnectorState:
    """No call before that moment. Never shortens a later one; a moment in the past clears it."""
    if moment <= now:
        return replace(state, not_before=0.0, not_before_reason="come_back_later", not_before_detail="")
    if moment <= state.not_before:
        return state
    return replace(state, not_before=moment, not_before_reason=reason, not_before_detail=detail)
