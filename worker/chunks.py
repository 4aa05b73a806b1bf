"""Rows divided into calls within the partner's limits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from worker.plan import PlannedRow

ENVELOPE_BYTES = 1_024
"""Left free in every call for what stands around its rows."""


def chunks(rows: Iterable[PlannedRow], *, max_items: int, max_bytes: int) -> Iterator[list[PlannedRow]]:
    """The rows in order, in lists of at most `max_items` rows and `max_bytes` of their JSON, with room left for the envelope.

    A row larger than that stands alone: whether it is too large is the partner's to say.
    """
    room = max(1, max_bytes - ENVELOPE_BYTES)
    chunk: list[PlannedRow] = []
    size = 0
    for row in rows:
        if chunk and (len(chunk) >= max_items or size + row.size + 1 > room):
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += row.size + 1
    if chunk:
        yield chunk
