"""Audiences and their waiting batches as documents: where they are, what is in them, and how much waits.

A turn that appends a batch to a standing hold writes the batch's document only, so that a hold can fill quickly. The record
counts what waits up to the place in the field `counted`; a batch that came later is added by whoever reads the record
(`counted_up`), and written down by the next one who writes it. A batch's place is the number of the turn that put it there.

Before a replay `REPLAY_PLACES` places are free: a turn that puts one there takes the number that is so much larger, and goes on
under both (`fenced`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from relay.backends.google.documents import Documents, Query, Stored, Write
from relay.backends.google.names import safe_name
from relay.backends.interfaces import Turn
from relay.backends.records import AUDIENCE
from relay.domain.audience import ASK_AGAIN_S, REPLAY_PLACES, Audience, Waiting
from relay.domain.errors import TurnLost
from relay.domain.message import Message, decode

AUDIENCES = "audiences"
WAITING = "waiting"

SIZE_FIELDS = ("place", "items", "bytes", "received_at")
RECORD_FIELDS = ("record", "counted")
SHAPE = 1
"""Which fields there are beside the record. What an older program wrote has a smaller one, or none: see `mending`."""
ALWAYS_LOOKED_AT = frozenset({"connector_off", "paused"})
"""Holds whose reason may be gone without anything happening to the audience."""


class Kept(msgspec.Struct, frozen=True):
    """An audience's record as it was read, every batch counted. `updated`: for a precondition. `counted`: the last place that
    the record includes."""

    audience: Audience
    updated: Any
    counted: int


def path_of(connector: str, audience_id: str) -> str:
    """The document of an audience. The parts of its name are the same as those of its ordering key."""
    return f"{AUDIENCES}/{safe_name(f'{connector}/{audience_id}')}"


def waiting_in(path: str) -> str:
    """The collection of its waiting batches."""
    return f"{path}/{WAITING}"


def place_in(path: str, place: int) -> str:
    """The document of the batch at that place."""
    return f"{waiting_in(path)}/{place:016d}"


# reading


def kept(stored: Stored, newer: Iterable[Stored]) -> Kept:
    """The record as it was read, with these batches (their sizes) counted that it does not count yet."""
    audience = AUDIENCE.read(stored.fields["record"].encode())
    counted: int = stored.fields["counted"]
    return counted_up(Kept(audience, stored.updated, counted), newer)


def counted_up(known: Kept, newer: Iterable[Stored]) -> Kept:
    """With these batches counted, too."""
    audience, counted = known.audience, known.counted
    for batch in sorted(newer, key=lambda one: int(one.fields["place"])):
        size = batch.fields
        if audience.hold is None or size["place"] <= counted:
            continue
        counted = size["place"]
        hold = audience.hold
        hold = replace(
            hold,
            batches=hold.batches + 1,
            items=hold.items + size["items"],
            bytes=hold.bytes + size["bytes"],
            oldest_at=min(hold.oldest_at or size["received_at"], size["received_at"]),
        )
        audience = replace(audience, hold=hold)
    return Kept(audience, known.updated, counted)


def load(documents: Documents, connector: str, audience_id: str) -> Kept | None:
    """One audience, or None: one call, and another one if it has a hold."""
    path = path_of(connector, audience_id)
    stored = documents.get(path)
    if stored is None:
        return None
    known = kept(stored, ())
    return counted_up(known, uncounted(documents, path, known)) if known.audience.hold else known


def load_all(documents: Documents, found: Iterable[Stored]) -> list[Kept]:
    """The audiences of these documents, in the order of connector and ID, however many: one more call for those with a hold."""
    known = [(stored.path, kept(stored, ())) for stored in found]
    newest = {path: place_in(path, one.audience.turn) for path, one in known if one.audience.hold}
    sizes = documents.get_all(newest.values(), fields=SIZE_FIELDS)
    loaded = [
        counted_up(one, [sizes[newest[path]]] if path in newest and newest[path] in sizes else []) for path, one in known
    ]
    return sorted(loaded, key=lambda one: (one.audience.connector, one.audience.id))


def load_with_own(documents: Documents, path: str, turn: int) -> Kept | None:
    """One audience, with the batch counted that this turn may have appended: one call."""
    place = place_in(path, turn)
    found = documents.get_all([path, place], fields=(*RECORD_FIELDS, *SIZE_FIELDS))
    return kept(found[path], [found[place]] if place in found else []) if path in found else None


def uncounted(documents: Documents, path: str, known: Kept) -> list[Stored]:
    """The sizes of the batches that the record does not count yet: that of the last turn, if it appended one."""
    return documents.query(Query(waiting_in(path), [("place", ">", known.counted)], ["place"], fields=SIZE_FIELDS))


def batch_of(stored: Stored) -> Waiting:
    """A waiting batch. Raises `UnknownVersion` for one that a newer program wrote."""
    fields = stored.fields
    return Waiting(
        place=fields["place"],
        message_id=fields["message_id"],
        message=decode(fields["body"]),
        bytes=fields["bytes"],
        added_at=fields["added_at"],
    )


def require_standing(turn: Turn, stored: Stored | None) -> None:
    """Raises `TurnLost` unless the turn stands in the record that was read."""
    fenced(turn, kept(stored, ()) if stored else None)


def fenced(turn: Turn, known: Kept | None) -> Kept:
    """What was read, if the turn still stands. Raises `TurnLost`."""
    # The time of creation tells a record from one that was deleted and made anew, whose turns count from one again.
    if known is None or not _stands(turn, known.audience) or known.audience.created_at != turn.audience.created_at:
        raise TurnLost(f"Another turn of an audience of connector {turn.connector!r} has begun since; this one ends.")
    return known


def _stands(turn: Turn, audience: Audience) -> bool:
    """No other turn has begun: that would have another number, and be of another message or so many turns later."""
    replay_joined = audience.turn == turn.number + REPLAY_PLACES and audience.attempt_of == turn.message_id
    return audience.turn == turn.number or replay_joined


# writing


def record_write(path: str, audience: Audience, *, counted: int, before: Kept | None, begun_by: str = "") -> Write:
    """The record as a document, on condition that nobody has changed it (or made it) since `before` was read.

    begun_by  a mark by which whoever began a turn finds out that his write was carried out, though its answer was lost

    held_by   its connector, if it has a hold: what finds the held ones
    look_at   when its hold is to be looked at, seconds since the epoch: when it is due, or was asked for without effect
    next_due  when its hold is due, unless it was asked for
    held_as   why it has a hold
    unready   its status unless that is `ready`; `answers`, if it only remembers an answer to the DMP: most have neither
    paused    true, if it is
    shape     see `SHAPE`
    """
    fields: dict[str, Any] = {
        "record": AUDIENCE.write(audience).decode(),
        "connector": audience.connector,
        "counted": counted,
        **found_by(audience),
    }
    if begun_by:
        fields["begun_by"] = begun_by
    hold = audience.hold
    if hold is not None:
        fields["held_by"] = audience.connector
        due_at = 0.0 if hold.reason in ALWAYS_LOOKED_AT else hold.due_at
        if due_at is not None:
            fields["look_at"] = max(due_at, hold.asked_at + ASK_AGAIN_S) if hold.asked_at else due_at
        if hold.due_at is not None and not hold.asked_at:
            fields["next_due"] = hold.due_at
    if before is None:
        return Write(path, fields=fields, exists=False)
    return Write(path, fields=fields, updated=before.updated)


def found_by(audience: Audience) -> dict[str, Any]:
    """Those of these fields by which pages find it, which an older program does not write."""
    fields: dict[str, Any] = {"shape": SHAPE}
    if audience.status != "ready" or audience.answers_to:
        fields["unready"] = "answers" if audience.answers_to else audience.status
    if audience.paused:
        fields["paused"] = True
    if audience.hold is not None:
        fields["held_as"] = audience.hold.reason
    return fields


def batch_write(
    path: str,
    place: int,
    message_id: str,
    message: Message,
    body: bytes,
    *,
    added_at: float,
    exists: bool,
    received_at: float | None = None,
) -> Write:
    """A waiting batch as a document. `body`: the message, encoded. `exists`: it replaces the one that is there. received_at:
    since when it counts as waiting for the partner; None: since its request was received."""
    fields = {
        "place": place,
        "message_id": message_id,
        "added_at": added_at,
        "received_at": message.received_at if received_at is None else received_at,
        "items": len(message.mutations),
        "bytes": len(body),
        "body": body,
    }
    return Write(place_in(path, place), fields=fields, exists=exists)
