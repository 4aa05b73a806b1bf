"""Rows divided into calls within the partner's limits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from worker.rounds import PlannedRow

ENVELOPE_BYTES = 1_024
"""Left free in every call for what stands around its rows."""


def chunks(rows: Sequence[PlannedRow], *, max_items: int, max_bytes: int) -> Iterator[Sequence[PlannedRow]]:
    """The rows in order, in pieces of at most `max_items` rows and `max_bytes` of their JSON, with room left for the envelope.
    Those of one group stay together: a call carries one group.

    A row larger than that stands alone: whether it is too large is the partner's to say.
    """
    room = max(1, max_bytes - ENVELOPE_BYTES)
    for group in _groups(rows):
        for start in range(0, len(group), max_items):
            chunk = group[start : start + max_items]
            if _size(chunk) > room:
                yield from _by_size(group[start:], max_items, room)
                break
            yield chunk


def _groups(rows: Sequence[PlannedRow]) -> Iterable[Sequence[PlannedRow]]:
    if len({row.group for row in rows}) == 1:
        return [rows]
    groups: dict[str, list[PlannedRow]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return groups.values()


def _by_size(rows: Sequence[PlannedRow], max_items: int, room: int) -> Iterator[Sequence[PlannedRow]]:
    chunk: list[PlannedRow] = []
    left = room
    for row in rows:
        size = _size([row])
        if chunk and (len(chunk) >= max_items or size > left):
            yield chunk
            chunk, left = [], room
        chunk.append(row)
        left -= size
    if chunk:
        yield chunk


def _size(rows: Sequence[PlannedRow]) -> int:
    """Bytes of their values as JSON, with a comma each."""
    return len(_encode([row.values for row in rows])) - 1


_encode = msgspec.json.Encoder().encode
