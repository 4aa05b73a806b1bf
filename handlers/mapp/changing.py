"""ADD_TO_AUDIENCE and REMOVE_FROM_AUDIENCE: mutations read, grouped by audience, and put into the queue."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from handlers.batches import change_messages
from handlers.mapp.arrival import Arrival, BodyFields
from handlers.mapp.body import carried
from handlers.mapp.customers import take_customer
from handlers.mapp.field_names import FieldNames
from handlers.mapp.reading import FromBody
from handlers.publishing import publish
from handlers.values import Unreadable, audience_id
from relay.domain.errors import Refusal
from relay.domain.message import Direction, Message

if TYPE_CHECKING:
    from relay.backends.interfaces import Publisher

MAX_CHANGES = 100_000
"""Mutations in one request: as many ordinary ones (about 100 bytes each) as the largest body holds unless its connector says
otherwise, and about as many as can be read and stored within the second that the source waits."""

_SHOWN_REASONS = 3


async def change(
    arrival: Arrival, direction: Direction, *, publisher: Publisher, within_s: float, store_s: float
) -> dict[str, int]:
    """Puts the changes into the queue within so many seconds of the request's arrival; the store gets `store_s` at least.

    Returns the answer: how many were accepted, and how many could not be read.
    """
    messages = read_changes(arrival, direction)
    if messages:
        publishing = publish(publisher, messages, within_s=max(store_s, arrival.countdown.left(within_s)))
        del messages  # as in `publish`
        await publishing
    record = arrival.record
    return {"accepted": record.mutations - record.unreadable, "unreadable": record.unreadable}


def read_changes(arrival: Arrival, direction: Direction) -> list[Message]:
    """The request's messages; none where its array is empty. Notes the numbers in the request's record.

    Refuses (400) a body without an array of mutations, one in which no mutation can be read, and a customer that the connector
    does not serve; and (413) too many mutations, or what becomes too large when it is queued.
    """
    connector, fields, record = arrival.connector, arrival.fields, arrival.record
    reader = connector.reader
    entries = _take_mutations(fields, reader.names)
    if len(entries) > MAX_CHANGES:
        raise Refusal(
            413,
            f"The request holds {len(entries):,} changes; at most {MAX_CHANGES:,} can be taken at once. "
            "Please send it in smaller parts.",
            code="too_many_changes",
        )
    audience = _take_audience(fields, reader.names)
    from_body = FromBody(direction, audience, take_customer(connector, fields))
    messages = change_messages(
        reader.read(entries, from_body),
        connector=connector.name,
        request_id=record.request_id,
        received_at=arrival.received_at,
        fields=carried(fields.rest),
        journal_days=connector.journal_days,
    )
    reasons = [each.unreadable for message in messages for each in message.mutations if each.unreadable is not None]
    record.mutations = len(entries)
    record.unreadable = len(reasons)
    record.audiences = sum(not message.part for message in messages)
    if entries and record.unreadable == len(entries):
        raise Refusal(400, _none_readable(Counter(reasons)), code="none_readable")
    return messages


def _take_mutations(fields: BodyFields, names: FieldNames) -> list[Any]:
    for name in names.mutations:
        if isinstance(fields.get(name), list):
            found: list[Any] = fields.take(name)
            return found
    raise Refusal(400, f"The request holds no array of changes (field {names.mutations_title}).", code="no_mutations")


def _take_audience(fields: BodyFields, names: FieldNames) -> str:
    for name in names.audience:
        try:
            found = audience_id(fields.get(name))
        except Unreadable as why:
            raise Refusal(400, f"The request's audience cannot be used. {why}", code="bad_audience") from None
        fields.take(name)
        if found is not None:
            return found
    return ""


def _none_readable(reasons: Counter[str]) -> str:
    listed = " ".join(f"{reason} ({count:,} ×)" for reason, count in reasons.most_common(_SHOWN_REASONS))
    return f"None of the {reasons.total():,} changes in the request can be read. {listed}"
