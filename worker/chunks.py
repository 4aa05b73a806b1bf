"""Rows divided into calls within the partner's limits. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from worker.plan import PlannedRow

ENVELOPE_BYTES = 1_024
"""Left free in every call for what stands around its rows."""


def chunks(rows: Iterable[PlannedRow], *, max_items: int, max_bytes: int) -> Iterator[list[PlannedRow]]:
    """The rows in order, in lists of at most `max_items` rows and `max_bytes` of their JSON, with room left for the envelope.
    Those of one group stay together: a call carries one group.

    A row larger than that stands alone: whether it is too large is the partner's to say.
    """
    room = max(1, max_bytes - ENVELOPE_BYTES)
    groups: dict[str, list[PlannedRow]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    chunk: list[PlannedRow] = []
    size = 0
    for row in itertools.chain.from_iterable(groups.values()):
        other = bool(chunk) and chunk[0].group != row.group
        if chunk and (other or len(chunk) >= max_items or size + row.size + 1 > room):
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += row.size + 1
    if chunk:
        yield chunk
