"""Audiences and their waiting batches as rows. Every function works within the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from relay.backends.embedded.schema import sought_in
from relay.backends.records import AUDIENCE
from relay.domain.audience import Audience, Waiting
from relay.domain.message import Message, UnknownVersion, decode, encode

A_REPLAY = "items = 0 AND json_extract(CAST(body AS TEXT), '$.kind') = 'replay'"
"""The condition by which a row of `waiting` is a replay."""

_OF_THE_RECORD = (
    "record", "hold_reason", "due_at", "asked_at", "status", "answers", "paused", "batches", "items", "bytes", "oldest_at",
    "sought",
)  # fmt: skip
_COLUMNS = ("connector", "id", *_OF_THE_RECORD)

_SAVE = (
    f"INSERT INTO audiences ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{column}' for column in _COLUMNS)})"  # noqa: S608 - ours
    " ON CONFLICT (connector, id) DO UPDATE SET " + ", ".join(f"{column} = excluded.{column}" for column in _OF_THE_RECORD)
)

_DERIVED = _OF_THE_RECORD[1:]
_MEND = (
    f"UPDATE audiences SET {', '.join(f'{column} = :{column}' for column in _DERIVED)}"  # noqa: S608 - ours
    " WHERE connector = :connector AND id = :id"
)


RECORD = "SELECT record FROM audiences WHERE connector = ? AND id = ?"

RECORD_AND_STATE = (
    "SELECT audiences.record, states.record FROM audiences LEFT JOIN states USING (connector)"
    " WHERE audiences.connector = ? AND audiences.id = ?"
)
"""The state is NULL for a connector that has none."""


class Size(msgspec.Struct, frozen=True):
    """What batches amount to: their number, their mutations, their encoded size."""

    batches: int = 0
    items: int = 0
    bytes: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.batches + other.batches, self.items + other.items, self.bytes + other.bytes)

    def __sub__(self, other: Size) -> Size:
        return Size(self.batches - other.batches, self.items - other.items, self.bytes - other.bytes)


def load(connection: sqlite3.Connection, connector: str, audience_id: str) -> Audience | None:
    """The record, or None."""
    return read(connection.execute(RECORD, (connector, audience_id)).fetchone())


def read(row: Sequence[bytes] | None) -> Audience | None:
    """The record that `RECORD` has found, or `RECORD_AND_STATE`, or None."""
    return AUDIENCE.read(row[0]) if row else None


def save(connection: sqlite3.Connection, audience: Audience) -> None:
    """Writes the record, new or not."""
    key = {"connector": audience.connector, "id": audience.id}
    connection.execute(_SAVE, {**key, "record": AUDIENCE.write(audience), **_derived(audience)})


def save_turn(connection: sqlite3.Connection, audience: Audience) -> None:
    """Writes the record of which nothing has changed but its turn, so that the columns and indexes beside it stay as they are; it
    must be there."""
    connection.execute(
        "UPDATE audiences SET record = ? WHERE connector = ? AND id = ?",
        (AUDIENCE.write(audience), audience.connector, audience.id),
    )


def _derived(audience: Audience) -> dict[str, Any]:
    """What the columns beside the record say of it."""
    hold = audience.hold
    return {
        "hold_reason": hold.reason if hold else None,
        "due_at": hold.due_at if hold else None,
        "asked_at": hold.asked_at if hold else 0,
        "status": audience.status,
        "answers": bool(audience.answers_to),
        "paused": audience.paused,
        "batches": hold.batches if hold else 0,
        "items": hold.items if hold else 0,
        "bytes": hold.bytes if hold else 0,
        "oldest_at": (hold.oldest_at or None) if hold else None,
        "sought": sought_in(audience.id, audience.name, audience.partner_id),
    }


def mend(connection: sqlite3.Connection, after: tuple[str, str], *, limit: int) -> tuple[str, str] | None:
    """Writes the columns of rows that differ from their record, since an older program wrote it. Looks at `limit` rows behind
    `after` (connector, ID), and returns the last of them; None where these were all."""
    rows = connection.execute(
        f"SELECT connector, id, {', '.join(_OF_THE_RECORD)} FROM audiences WHERE (connector, id) > (?, ?)"  # noqa: S608 - ours
        " ORDER BY connector, id LIMIT ?",
        (*after, limit),
    ).fetchall()
    for connector, audience_id, record, *columns in rows:
        try:
            derived = _derived(AUDIENCE.read(record))
        except UnknownVersion:
            continue  # a newer program's to judge
        if list(derived.values()) != columns:
            connection.execute(_MEND, {"connector": connector, "id": audience_id, **derived})
    return rows[-1][:2] if len(rows) == limit else None


def occupant(connection: sqlite3.Connection, connector: str, partner_id: str, *, but: str) -> str | None:
    """The audience that has this ID at the partner, one other than `but`; None if none has it."""
    row = connection.execute(
        "SELECT id FROM audiences WHERE connector = ? AND occupies = ? AND id <> ?", (connector, partner_id, but)
    ).fetchone()
    return row[0] if row else None


def occupy(connection: sqlite3.Connection, audience: Audience, partner_id: str | None) -> None:
    """This audience, which is saved, has that ID at the partner, and no other one."""
    connection.execute(
        "UPDATE audiences SET occupies = ? WHERE connector = ? AND id = ?", (partner_id, audience.connector, audience.id)
    )


def held_size(audience: Audience) -> Size:
    """What waits, as the record counts it."""
    hold = audience.hold
    return Size(hold.batches, hold.items, hold.bytes) if hold else Size()


def place_of(connection: sqlite3.Connection, audience: Audience, message_id: str) -> int | None:
    """Where that message waits; None if it is not in the hold."""
    row = connection.execute(
        "SELECT place FROM waiting WHERE connector = ? AND audience = ? AND message_id = ?",
        (audience.connector, audience.id, message_id),
    ).fetchone()
    return row[0] if row else None


def rename_batch(connection: sqlite3.Connection, audience: Audience, place: int, message_id: str) -> None:
    """The batch at that place stays there under another name."""
    connection.execute(
        "UPDATE waiting SET message_id = ? WHERE connector = ? AND audience = ? AND place = ?",
        (message_id, audience.connector, audience.id, place),
    )


def add_batch(connection: sqlite3.Connection, place: int, message_id: str, message: Message, body: bytes, *, now: float) -> None:
    """Puts a batch at its place. `body`: the message, encoded."""
    connection.execute(
        "INSERT INTO waiting (connector, audience, place, message_id, added_at, received_at, items, bytes, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message.connector,
            message.audience,
            place,
            message_id,
            now,
            message.wanted_at,
            len(message.mutations),
            len(body),
            body,
        ),
    )


def batches(connection: sqlite3.Connection, connector: str, audience_id: str) -> Iterator[tuple[Waiting, Size]]:
    """The waiting batches in order, read one by one."""
    for place, message_id, added_at, items, size, body in connection.execute(
        "SELECT place, message_id, added_at, items, bytes, body FROM waiting WHERE connector = ? AND audience = ? ORDER BY place",
        (connector, audience_id),
    ):
        yield Waiting(place, message_id, decode(body), size, added_at), Size(1, items, size)


def size_at(connection: sqlite3.Connection, audience: Audience, place: int) -> Size:
    """What the batch at that place amounts to; nothing if it is no longer there."""
    row = connection.execute(
        "SELECT items, bytes FROM waiting WHERE connector = ? AND audience = ? AND place = ?",
        (audience.connector, audience.id, place),
    ).fetchone()
    return Size(1, row[0], row[1]) if row else Size()


def message_at(connection: sqlite3.Connection, audience: Audience, place: int) -> Message:
    """The batch at that place, which must be there."""
    (body,) = connection.execute(
        "SELECT body FROM waiting WHERE connector = ? AND audience = ? AND place = ?",
        (audience.connector, audience.id, place),
    ).fetchone()
    return decode(body)


def replace_batch(connection: sqlite3.Connection, audience: Audience, place: int, message: Message) -> Size:
    """The batch at that place now holds this message. Returns what it amounts to."""
    body = encode(message)
    connection.execute(
        "UPDATE waiting SET items = ?, bytes = ?, body = ? WHERE connector = ? AND audience = ? AND place = ?",
        (len(message.mutations), len(body), body, audience.connector, audience.id, place),
    )
    return Size(1, len(message.mutations), len(body))


def remove_batch(connection: sqlite3.Connection, audience: Audience, place: int) -> None:
    """Takes the batch at that place away."""
    connection.execute(
        "DELETE FROM waiting WHERE connector = ? AND audience = ? AND place = ?", (audience.connector, audience.id, place)
    )


def oldest_request(connection: sqlite3.Connection, audience: Audience) -> float:
    """When the oldest request that waits was received; 0 if nothing waits."""
    row = connection.execute(
        "SELECT min(received_at) FROM waiting WHERE connector = ? AND audience = ?", (audience.connector, audience.id)
    ).fetchone()
    return row[0] or 0
