"""When batches of an audience wait: which reason, until when, and when the reason is gone."""

from __future__ import annotations

import random

from relay.domain.audience import Audience, Hold, HoldReason, HoldRequest
from relay.domain.clock import Clock
from relay.domain.connector import ConnectorState
from relay.domain.errors import (
    AudienceGone,
    AudienceNotReady,
    BatchRefused,
    CredentialsRefused,
    Misconfigured,
    PartnerError,
    TryAgain,
    Unsupported,
)
from worker.calls import Postponed
from worker.catalog import Running
from worker.retries import probe_s

# One table from what the partner answered to why the audience waits. BatchRefused is here for a creation: rows that are refused
# are rejections, not holds.
_REASONS: tuple[tuple[type[PartnerError], HoldReason], ...] = (
    (CredentialsRefused, "credentials_refused"),
    (AudienceGone, "audience_gone"),
    (AudienceNotReady, "audience_not_ready"),
    (Misconfigured, "misconfigured"),
    (Unsupported, "misconfigured"),
    (BatchRefused, "misconfigured"),
    (TryAgain, "partner_unavailable"),
)

_ONLY_WHEN_GONE: frozenset[HoldReason] = frozenset({"connector_off", "paused"})
"""Reasons that lie in the connector's or the audience's state: no time makes them pass."""


def must_hold(state: ConnectorState, running: Running | None, audience: Audience, now: float) -> HoldRequest | None:
    """The hold that the state of things asks for, whatever the partner would say; None if deliveries may go on.

    `running` is None where no version is published.
    """
    if audience.paused or state.paused:
        return HoldRequest("paused", None, "Paused by an operator.")
    if running is None or not state.enabled:
        return HoldRequest("connector_off", None, "The connector is switched off." if running else "No version is published.")
    if running.missing:
        return HoldRequest("connector_off", None, "The connector is incomplete: " + " ".join(running.missing))
    if waiting := [name for name, switch in state.actions.items() if switch == "paused" and _has_action(running, name)]:
        return HoldRequest("connector_off", None, f"The action {waiting[0]!r} is switched off and its users wait.")
    if state.not_before > now:
        return HoldRequest(state.not_before_reason, state.not_before, state.not_before_detail)
    return None


def _has_action(running: Running, name: str) -> bool:
    return any(one.action.name == name for one in running.actions)


def may_resume(hold: Hold) -> bool:
    """Whether a resume turn may try the partner. A batch that killed its worker waits for a person, who makes the hold due."""
    return hold.reason != "crashed" or hold.due_at is not None


def reason_may_be_gone(audience: Audience, blocking: HoldRequest | None) -> bool:
    """Whether a due hold is worth a resume, given what the state of things asks for now."""
    if audience.hold is None or not may_resume(audience.hold):
        return False
    return blocking is None


def after_error(error: PartnerError | Postponed, hold: Hold | None, clock: Clock, chance: random.Random) -> HoldRequest:
    """The hold for what is left after this error. `hold`: the standing one, whose vain probes lengthen the wait."""
    now = clock.now()
    if isinstance(error, Postponed):
        return HoldRequest(error.reason, error.due_at, error.detail)
    if isinstance(error, TryAgain) and error.after_s is not None:
        return HoldRequest("come_back_later", now + error.after_s, error.hint, probe=True)
    reason: HoldReason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "partner_unavailable")
    wait_s = probe_s(hold.probes if hold else 0, chance)
    if isinstance(error, AudienceNotReady) and error.after_s is not None:
        wait_s = min(wait_s, error.after_s)
    return HoldRequest(reason, now + wait_s, error.hint, probe=True)


def gathering(running: Running, audience: Audience, oldest_at: float) -> HoldRequest | None:
    """The hold of a connector that gathers; None if it sends at once."""
    max_age_s = running.connector.limits.batch.max_age_s
    if max_age_s <= 0 or (audience.hold and audience.hold.reason != "gathering"):
        return None
    return HoldRequest("gathering", oldest_at + max_age_s, "Gathering users for the partner's largest calls.")


def gathered_enough(running: Running, hold: Hold, now: float) -> bool:
    """Whether a gathering hold has reached its count, bytes or age."""
    limits = running.connector.limits.batch
    return (
        hold.items >= limits.max_items
        or hold.bytes >= limits.max_bytes
        or (hold.due_at is not None and hold.due_at <= now)
        or limits.max_age_s <= 0
    )
