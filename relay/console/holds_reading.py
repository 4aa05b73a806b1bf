"""What the pages about holds show. No identifier of a person is in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from relay.backends.interfaces import AudienceSummary, Backend, HoldSummary
from relay.console.attempts_of import Attempts, attempts_of
from relay.console.hold_words import Words, words_of
from relay.console.known import Place
from relay.console.setups import Setups
from relay.domain.audience import HOLD_REASONS, Audience, Hold, HoldReason, Waiting
from relay.domain.errors import NotFound
from relay.health.advice import due_at, hold_reason, meaning, needs_someone, what_to_do

ROWS = 50
"""Audiences on a page."""

BATCHES = 10
"""Batches of one hold that are looked at."""


class Group(msgspec.Struct, frozen=True):
    """All that waits for one reason. next_due: when some of it is tried again by itself; None: none is. connectors: with how many
    audiences of each wait, most first. partly: there are too many to look at all of them, so it is at least so much."""

    words: Words
    audiences: int
    batches: int
    mutations: int
    bytes: int
    oldest_at: float
    next_due: float | None
    connectors: tuple[tuple[str, int], ...]
    partly: bool


class Row(msgspec.Struct, frozen=True):
    """One audience that waits. meaning: why, in words. due_at: None where it is not tried again by itself."""

    audience: Audience
    hold: Hold
    reason: HoldReason
    meaning: str
    due_at: float | None
    act: bool


class HoldsPage(msgspec.Struct, frozen=True):
    """groups: the reasons, those that need a person first. rows: some of the audiences; after: behind which there are more."""

    groups: tuple[Group, ...]
    connectors: tuple[str, ...]
    rows: tuple[Row, ...]
    after: Place | None

    @property
    def batches(self) -> int:
        return sum(group.batches for group in self.groups)

    @property
    def audiences(self) -> int:
        return sum(group.audiences for group in self.groups)

    @property
    def partly(self) -> bool:
        return any(group.partly for group in self.groups)


class Batch(msgspec.Struct, frozen=True):
    """One batch that waits, without anybody in it. again: it is sent once more, from the journal. unread: it is still to be read
    from there."""

    place: int
    kind: str
    request_id: str
    received_at: float
    joined: int
    left: int
    bytes: int
    again: bool
    unread: bool


class OneHold(msgspec.Struct, frozen=True):
    """An audience that waits. advice: with the commands for the terminal; empty where nothing is to be done. stopped: the whole
    connector is paused, so that it goes on only with that."""

    row: Row
    words: Words
    advice: str
    batches: tuple[Batch, ...]
    attempts: Attempts
    stopped: bool


def holds_page(
    backend: Backend, *, connector: str | None, reason: HoldReason | None, after: Place | None
) -> HoldsPage:
    """All that waits, or some of it. Raises `StoreUnavailable`."""
    summary = backend.audiences.summary()
    reasons: Sequence[HoldReason] = HOLD_REASONS if reason is None else (reason,)
    found = backend.audiences.page(connector, held=reasons, after=after, limit=ROWS + 1)
    setups = Setups(backend)
    rows = tuple(row_of(audience, audience.hold, setups) for audience in found[:ROWS] if audience.hold)
    return HoldsPage(
        groups_of(summary, connector, reasons),
        tuple(sorted(name for name, one in summary.items() if one.holds)),
        rows,
        (found[ROWS - 1].connector, found[ROWS - 1].id) if len(found) > ROWS else None,
    )


def groups_of(
    summary: Mapping[str, AudienceSummary], connector: str | None = None, reasons: Iterable[HoldReason] = HOLD_REASONS
) -> tuple[Group, ...]:
    """What waits, by reason: those that need a person first, and of these what waits longest."""
    chosen = {name: one.holds for name, one in summary.items() if connector in (None, name)}
    groups = []
    for reason in reasons:
        parts = {name: holds[reason] for name, holds in chosen.items() if reason in holds}
        if parts:
            groups.append(_group(reason, parts))
    return tuple(sorted(groups, key=lambda group: (not group.words.act, group.oldest_at)))


def _group(reason: HoldReason, parts: Mapping[str, HoldSummary]) -> Group:
    dues = [part.next_due for part in parts.values() if part.next_due]
    return Group(
        words_of(reason),
        audiences=sum(part.audiences for part in parts.values()),
        batches=sum(part.batches for part in parts.values()),
        mutations=sum(part.items for part in parts.values()),
        bytes=sum(part.bytes for part in parts.values()),
        oldest_at=min((part.oldest_at for part in parts.values() if part.oldest_at), default=0.0),
        next_due=min(dues, default=None),
        connectors=tuple(sorted(((name, part.audiences) for name, part in parts.items()), key=lambda pair: (-pair[1], pair[0]))),
        partly=any(part.partly for part in parts.values()),
    )


def row_of(audience: Audience, hold: Hold, setups: Setups) -> Row:
    """An audience with its hold, as a table shows it."""
    state = setups.state(audience.connector)
    return Row(
        audience,
        hold,
        hold_reason(audience, hold),
        meaning(audience, hold, setups.running(audience.connector), state),
        due_at(audience, hold, state),
        needs_someone(audience, hold),
    )


def one_hold(backend: Backend, audience: Audience) -> OneHold:
    """Raises `NotFound` where nothing of it waits (any more)."""
    if audience.hold is None:
        raise NotFound(f"Nothing waits in a hold for the audience {audience.name or audience.id!r}.")
    setups = Setups(backend)
    row = row_of(audience, audience.hold, setups)
    state = setups.state(audience.connector)
    waiting = backend.audiences.peek(audience.connector, audience.id, limit=BATCHES)
    return OneHold(
        row,
        words_of(row.reason),
        what_to_do(audience, audience.hold, setups.running(audience.connector), state),
        tuple(map(_batch, waiting)),
        attempts_of(backend, audience),
        state is not None and state.paused,
    )


def _batch(waiting: Waiting) -> Batch:
    message = waiting.message
    joined = sum(1 for mutation in message.mutations if mutation.direction == "joined")
    return Batch(
        waiting.place,
        message.kind,
        message.request_id,
        message.received_at,
        joined,
        len(message.mutations) - joined,
        waiting.bytes,
        bool(message.replayed_at),
        message.replay is not None,
    )
