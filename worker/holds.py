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
    RelayError,
    StoreUnavailable,
    TryAgain,
    Unsupported,
)
from relay.domain.feed import Use
from relay.domain.own_pace import is_trouble
from worker.calls import Postponed
from worker.catalog import Catalog, Running
from worker.rate import RateUsedUp
from worker.retries import crashed_s, least_s, probe_s, spread_s

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


_WIDEST = 10
"""Vain tries after which `spread_s` spreads no further."""


def running_or_why(catalog: Catalog, state: ConnectorState, use: Use | None = None) -> tuple[Running | None, str]:
    """The connector as it runs for an audience with this use, or None and why it cannot (none published, a secret that cannot be
    read, …): trouble of this connector alone."""
    try:
        return catalog.used(catalog.get(state), use), ""
    except StoreUnavailable:
        raise
    except RelayError as error:
        return None, str(error)


def must_hold(
    state: ConnectorState, running: Running | None, audience: Audience, now: float, *, why: str = ""
) -> HoldRequest | None:
    """The hold that the state of things asks for, whatever the partner would say; None if deliveries may go on.

    `running` is None where the connector cannot run, for the reason `why`.
    """
    if audience.paused or state.paused:
        return HoldRequest("paused", None, "Paused by an operator.")
    if not state.enabled and state.live:
        return HoldRequest("connector_off", None, "The connector is switched off.")
    if running is None:
        return HoldRequest("connector_off", None, why or "No version is published.")
    if running.missing:
        return HoldRequest("connector_off", None, "The connector is incomplete: " + " ".join(running.missing))
    if waiting := [name for name, switch in state.actions.items() if switch == "paused" and _has_action(running, name)]:
        return HoldRequest("connector_off", None, f"The action {waiting[0]!r} is switched off and its users wait.")
    if state.not_before > now:
        return HoldRequest(state.not_before_reason, state.not_before, state.not_before_detail)
    return None


def _has_action(running: Running, name: str) -> bool:
    return any(one.action.name == name for one in running.actions)


def is_due(hold: Hold, now: float) -> bool:
    """Whether a resume turn may try the partner now. A resume may come early, when one was published twice, or late.

    What gathers may always be sent, since it is asked for when enough is together. Without a due time, the reason lies in the
    state of things.
    """
    return hold.due_at is None or hold.due_at <= now or hold.reason == "gathering"


def vain_probes(standing: Hold | None, reason: HoldReason) -> int:
    """How often it was tried in vain for this reason; those for another do not count."""
    return standing.probes if standing and standing.reason == reason else 0


def crashed(hold: Hold | None, clock: Clock) -> HoldRequest:
    """The hold of a message that ended its worker several times."""
    due_at = clock.now() + crashed_s(vain_probes(hold, "crashed"))
    return HoldRequest("crashed", due_at, "A batch ended its worker several times; look at the worker's log.", probe=True)


def after_error(
    error: PartnerError | Postponed, standing: Hold | None, clock: Clock, chance: random.Random
) -> HoldRequest:
    """The hold for what is left after this error.

    standing: the hold as it is, whose vain tries for the same reason lengthen the wait; None if there is none, or if the partner
    has just taken something. Where it is trouble, our own pace ends it not, and only says when there is room to try again.
    """
    now = clock.now()
    own_pace = error.own_pace if isinstance(error, Postponed) else isinstance(error, RateUsedUp)
    if own_pace and standing is not None and is_trouble(standing):
        return HoldRequest(standing.reason, _room_at(error, now, chance), standing.detail)
    reason = _reason(error)
    probes = vain_probes(standing, reason)
    if isinstance(error, Postponed):
        if not error.crowded:
            return HoldRequest(reason, error.due_at, error.detail, own_pace=own_pace)
        due_at = error.due_at + spread_s(error.due_at - now, probes, chance)
        return HoldRequest(reason, due_at, error.detail, probe=True, own_pace=own_pace)
    if isinstance(error, TryAgain) and error.after_s is not None:
        due_at = now + max(error.after_s, least_s(probes))
        return HoldRequest(reason, due_at, error.hint, probe=True, own_pace=own_pace)
    wait_s = probe_s(probes, chance)
    if isinstance(error, AudienceNotReady) and error.look_after_s is not None:
        wait_s = min(wait_s, max(error.look_after_s, least_s(probes)))
    if error.after_s is not None:
        wait_s = max(wait_s, error.after_s)
    return HoldRequest(reason, now + wait_s, error.hint, probe=True)


def _room_at(error: PartnerError | Postponed, now: float, chance: random.Random) -> float:
    """When a hold in trouble is tried again that found no room. Those that wait for the same moment come back as far apart as
    any: trouble is in no hurry, and no vain try is counted by which they could drift apart."""
    due_at = error.due_at if isinstance(error, Postponed) else now + (error.after_s or 0.0)
    return due_at + spread_s(due_at - now, _WIDEST, chance)


def _reason(error: PartnerError | Postponed) -> HoldReason:
    if isinstance(error, Postponed):
        return error.reason
    if isinstance(error, TryAgain) and error.after_s is not None:
        return "come_back_later"
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "partner_unavailable")


JOURNAL_LOOK_S = 60.0
"""After which a journal is looked at again in which what a replay sends has not arrived yet."""


def replaying(due_at: float, detail: str = "Sending again what the journal has.") -> HoldRequest:
    """The hold of a replay that nothing else keeps waiting."""
    return HoldRequest("replaying", due_at, detail)


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
