"""From mutations in the order of a request to queue messages: by audience, in parts that fit the queue. Shared by all sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from relay.domain.message import MAX_BYTES, MAX_MUTATIONS, VERSION, Message, Mutation

TOO_LARGE = f"It is larger than {MAX_BYTES // 1024} KB."
NOT_PASSABLE = "It holds something that cannot be passed on."

_PART_DIGITS = 16
"""Room for the part's number and the name of the list of mutations, which an empty message leaves out."""

_encoder = msgspec.json.Encoder()


def change_messages(
    entries: Iterable[tuple[str, Mutation]],
    *,
    connector: str,
    request_id: str,
    received_at: float,
    fields: Mapping[str, Any],
) -> list[Message]:
    """The messages that carry these mutations, each given with its audience.

    Audiences come in the order of their first appearance, the mutations of each in their order. No message holds more than
    `MAX_MUTATIONS` mutations or encodes to more than `MAX_BYTES` bytes; a mutation that alone would is marked unreadable.

    received_at: seconds since the epoch. fields: what else the request's body said; carried in every message, and therefore
    expected to be small.
    """
    groups: dict[str, list[Mutation]] = {}
    for audience, mutation in entries:
        group = groups.get(audience)
        if group is None:
            groups[audience] = [mutation]
        else:
            group.append(mutation)
    messages = []
    for audience, mutations in groups.items():
        empty = Message(
            version=VERSION,
            kind="change",
            connector=connector,
            audience=audience,
            request_id=request_id,
            received_at=received_at,
            fields=dict(fields),
        )
        room = MAX_BYTES - len(_encoder.encode(empty)) - len('"part":,"mutations":[],') - _PART_DIGITS
        messages += [
            msgspec.structs.replace(empty, part=number, mutations=part) for number, part in enumerate(_parts(mutations, room))
        ]
    return messages


def _parts(mutations: list[Mutation], room: int) -> Iterator[tuple[Mutation, ...]]:
    for start in range(0, len(mutations), MAX_MUTATIONS):
        chunk = mutations[start : start + MAX_MUTATIONS]
        # One encoding of a thousand tells almost always that they fit; only otherwise each one is measured.
        size = _encoded_size(chunk)
        if size is not None and size <= room:
            yield tuple(chunk)
        else:
            yield from _measured_parts(chunk, room)


def _measured_parts(chunk: list[Mutation], room: int) -> Iterator[tuple[Mutation, ...]]:
    part: list[Mutation] = []
    filled = 0
    for each in chunk:
        mutation, size = each, _encoded_size(each)
        if size is None or size > room:
            mutation = Mutation(index=each.index, unreadable=NOT_PASSABLE if size is None else TOO_LARGE)
            size = len(_encoder.encode(mutation))
        if part and filled + size + 1 > room:
            yield tuple(part)
            part, filled = [], 0
        part.append(mutation)
        filled += size + 1
    yield tuple(part)


def _encoded_size(value: object) -> int | None:
    """Bytes; None where JSON has no form for it."""
    try:
        return len(_encoder.encode(value))
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
