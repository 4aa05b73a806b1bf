"""What changes about a connector without a new version, as pure changes of its state: the same ones in every back end."""

from __future__ import annotations

from msgspec.structs import replace

from relay.domain.audience import HoldReason
from relay.domain.connector import ActionSwitch, ConnectorState


def with_action(state: ConnectorState, action: str, switch: ActionSwitch | None) -> ConnectorState:
    """The action switched off in this way; None: on again."""
    others: dict[str, ActionSwitch] = {name: value for name, value in state.actions.items() if name != action}
    return replace(state, actions=others if switch is None else {**others, action: switch})


def postponed(state: ConnectorState, moment: float, *, reason: HoldReason, detail: str, now: float) -> ConnectorState:
    """No call before that moment. Never shortens a later one; a moment in the past clears it."""
    if moment <= now:
        return replace(state, not_before=0.0, not_before_reason="come_back_later", not_before_detail="")
    if moment <= state.not_before:
        return state
    return replace(state, not_before=moment, not_before_reason=reason, not_before_detail=detail)
