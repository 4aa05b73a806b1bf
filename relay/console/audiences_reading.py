"""What the pages about audiences show. No partner is called for a list."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from relay.backends.interfaces import Backend
from relay.console.attempts_of import Attempts, attempts_of
from relay.console.holds_reading import Row, row_of
from relay.console.known import Place
from relay.console.setups import Setups
from relay.domain.audience import Audience, HoldReason, Status
from relay.domain.outcome import Rejection
from relay.health.advice import hold_reason, needs_someone
from relay.operating.sending_again import progress

ROWS = 50
"""Audiences on a page."""

STATUSES: tuple[Status, ...] = get_args(Status)

_REJECTIONS = 5
_LONGEST = 500


class Listed(msgspec.Struct, frozen=True):
    """One line of the list. reason: of its hold, if it has one; act: whether that needs a person."""

    audience: Audience
    reason: HoldReason | None
    act: bool


class AudiencesPage(msgspec.Struct, frozen=True):
    """rows: some of them; after: behind which there are more. audiences, by_status: of all, or of the connector chosen."""

    rows: tuple[Listed, ...]
    after: Place | None
    connectors: tuple[str, ...]
    audiences: int
    by_status: dict[str, int]


class Said(msgspec.Struct, frozen=True):
    """What the partner answered of an audience, as fields; or the trouble, as a sentence."""

    fields: tuple[tuple[str, str], ...] = ()
    trouble: str = ""


class AudiencePage(msgspec.Struct, frozen=True):
    """One audience. row: its hold; None: nothing waits. replay: what is, or was last, sent again from the journal; empty:
    nothing. stopped: the whole connector is paused."""

    audience: Audience
    row: Row | None
    replay: str
    replays: bool
    attempts: Attempts
    rejections: tuple[Rejection, ...]
    stopped: bool
    partner: str


def audiences_page(
    backend: Backend, *, connector: str | None, like: str, status: Status | None, after: Place | None
) -> AudiencesPage:
    """Some of the audiences, in the order of connector and ID. Raises `StoreUnavailable`."""
    summary = backend.audiences.summary()
    found = backend.audiences.page(connector, like=like, status=status, after=after, limit=ROWS + 1)
    chosen = [one for name, one in summary.items() if connector in (None, name)]
    by_status = {name: sum(one.by_status.get(name, 0) for one in chosen) for name in STATUSES}
    return AudiencesPage(
        tuple(map(_listed, found[:ROWS])),
        (found[ROWS - 1].connector, found[ROWS - 1].id) if len(found) > ROWS else None,
        tuple(sorted(name for name, one in summary.items() if one.audiences)),
        sum(one.audiences for one in chosen),
        {name: number for name, number in by_status.items() if number},
    )


def audience_page(backend: Backend, audience: Audience, now: float) -> AudiencePage:
    """Raises `StoreUnavailable`."""
    setups = Setups(backend)
    state, running = setups.state(audience.connector), setups.running(audience.connector)
    newest = backend.reports.rejections(audience.connector, audience=audience.id, newest_first=True, limit=_REJECTIONS)
    replayed = audience.replayed
    return AudiencePage(
        audience,
        row_of(audience, audience.hold, setups) if audience.hold else None,
        progress(replayed, now) if replayed else "",
        replayed is not None and not replayed.ended_at,
        attempts_of(backend, audience),
        tuple(rejection for _, rejection in newest[:_REJECTIONS]),
        state is not None and state.paused,
        running.adapter if running else "",
    )


def said_of(fields: dict[str, Any]) -> Said:
    """The partner's words on it, each value as text, cut where it is long."""
    return Said(tuple((name.replace("_", " "), _text(value)) for name, value in fields.items()))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, int):
        text = f"{value:,}"
    elif value is None:
        text = "not said"
    else:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … (cut)"


def _listed(audience: Audience) -> Listed:
    hold = audience.hold
    return Listed(
        audience, hold_reason(audience, hold) if hold else None, hold is not None and needs_someone(audience, hold)
    )
