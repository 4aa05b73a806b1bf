"""From mutations in the order of a request to queue messages: by audience, in parts that fit the queue. Shared by all sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from relay.domain.errors import Refusal
from relay.domain.message import MAX_BYTES, MAX_MUTATIONS, VERSION, Message, Mutation

MAX_REQUEST_BYTES = 64 * 1024 * 1024
"""Encoded size of all messages made from one request. What a request says once can be repeated in every message (its additional
fields) or with every mutation (its customer), so that a small request could fill the disk; this is twice the largest body that a
connector may allow, and several times what ordinary mutations need."""

MAX_AUDIENCES = 20_000
"""In one request. Each makes at least one message, and more could not be stored within the time that the source waits."""

TOO_LARGE = f"It is larger than {MAX_BYTES // 1024} KB."
NOT_PASSABLE = "It holds something that cannot be passed on."

_PART_DIGITS = 16
"""Room for the part's number and the name of the list of mutations, which an empty message leaves out."""

_TOO_MUCH = (
    "The request is too large to be queued: with its additional fields repeated for every audience, and its customer for every "
    f"change, it takes more than {MAX_REQUEST_BYTES // 1024 // 1024} MB. Please send it in smaller parts."
)

_NOT_ENCODABLE = (ValueError, TypeError, OverflowError, RecursionError)

_encoder = msgspec.json.Encoder()


def change_messages(
    entries: Sequence[tuple[str, Mutation]],
    *,
    connector: str,
    request_id: str,
    received_at: float,
    fields: Mapping[str, Any],
    journal_days: int = 0,
) -> list[Message]:
    """The messages that carry these mutations, each given with its audience.

    Audiences come in the order of their first appearance, the mutations of each in their order. No message holds more than
    `MAX_MUTATIONS` mutations or encodes to more than `MAX_BYTES` bytes; a mutation that alone would is marked unreadable.

    received_at: seconds since the epoch. fields: what else the request's body said; carried in every message, and therefore
    expected to be small. journal_days: see `Message`.

    Refuses (413) more than `MAX_AUDIENCES`, and what would take more than `MAX_REQUEST_BYTES`, before the memory for it is used.
    """
    groups = _grouped(entries)
    if len(groups) > MAX_AUDIENCES:
        raise Refusal(
            413,
            f"The request concerns {len(groups):,} audiences; at most {MAX_AUDIENCES:,} can be taken at once. "
            "Please send it in smaller parts.",
            code="too_many_audiences",
        )
    bare = Message(
        version=VERSION,
        kind="change",
        connector=connector,
        audience="",
        request_id=request_id,
        received_at=received_at,
        fields=dict(fields),
        journal_days=journal_days,
    )
    messages: list[Message] = []
    total = 0
    for audience, mutations in groups.items():
        for message in _messages(msgspec.structs.replace(bare, audience=audience), mutations):
            total += len(message.encoded)
            if total > MAX_REQUEST_BYTES:
                raise Refusal(413, _TOO_MUCH, code="queued_too_large")
            messages.append(message)
    return messages


def _grouped(entries: Sequence[tuple[str, Mutation]]) -> dict[str, list[Mutation]]:
    """By audience, in the order of their first appearance."""
    audiences = dict.fromkeys(audience for audience, _ in entries)
    if len(audiences) == 1:
        return {audience: [mutation for _, mutation in entries] for audience in audiences}
    groups: dict[str, list[Mutation]] = {audience: [] for audience in audiences}
    for audience, mutation in entries:
        groups[audience].append(mutation)
    return groups


def _messages(bare: Message, mutations: list[Mutation]) -> Iterator[Message]:
    """The messages of one audience, numbered, each of which fits."""
    number = 0
    for start in range(0, len(mutations), MAX_MUTATIONS):
        chunk = tuple(mutations[start : start + MAX_MUTATIONS])
        # One encoding of a thousand, which is needed anyway, tells almost always that they fit.
        message = msgspec.structs.replace(bare, part=number, mutations=chunk)
        if _fits(message):
            yield message
            number += 1
            continue
        for part in _measured_parts(chunk, MAX_BYTES - _bare_size(bare)):
            yield msgspec.structs.replace(bare, part=number, mutations=part)
            number += 1


def _fits(message: Message) -> bool:
    try:
        return len(message.encoded) <= MAX_BYTES
    except _NOT_ENCODABLE:
        return False


def _bare_size(bare: Message) -> int:
    """Bytes of the message but for its mutations, at most."""
    return len(bare.encoded) + len('"part":,"mutations":[],') + _PART_DIGITS


def _measured_parts(chunk: Sequence[Mutation], room: int) -> Iterator[tuple[Mutation, ...]]:
    """Parts that fit into so many bytes. Each mutation is measured."""
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
    except _NOT_ENCODABLE:
        return None
