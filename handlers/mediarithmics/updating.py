"""`/v1/user_segment_update`: each identifier that the mappings accept becomes a mutation, in the way that the feed delivers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from handlers.batches import change_messages
from handlers.mediarithmics.answers import Result
from handlers.mediarithmics.context import Context, audience_of
from handlers.mediarithmics.desk import Asked, Desk
from handlers.mediarithmics.identifiers import Selection, identities, profiles
from handlers.mediarithmics.replying import Fate, fate_of, wait_for
from handlers.mediarithmics.requests import Update, read
from handlers.mediarithmics.trouble import Trouble, told
from handlers.publishing import publish
from relay.domain.errors import Refusal
from relay.domain.feed import FeedRow, Offered
from relay.domain.message import NEWEST, VERSION, Direction, Message, Mutation
from relay.domain.reply import MutationReply

MAX_PROFILES = 256 * 1024
"""Encoded size of the profiles: they travel with every mutation made from the request."""

_DIRECTIONS: dict[str, Direction] = {
    "": "joined",
    "upsert": "joined",
    "add": "joined",
    "modify": "joined",
    "delete": "left",
    "remove": "left",
}

_MANY = 200
"""Mutations: making messages of more of them takes so long that others would wait for it."""

_QUOTE = '"'
_TO_QUOTE = re.compile('[",\r\n]')

_NONE_ELIGIBLE = (
    "None of the identifiers can be used: the connector's mappings accept none of those that the feed's selected resources allow."
)


class Eligible(NamedTuple):
    """An identifier that the mappings accept: as a mutation, and as the partner's rows by action."""

    mutation: Mutation
    told: str
    rows: dict[str, FeedRow]


class Taken(NamedTuple):
    """What the identifiers came to. key: the ID under which the audience is queued; None: it has none yet."""

    offered: Offered
    key: str | None
    eligible: list[Eligible]


async def update(desk: Desk, asked: Asked) -> Result:
    """Raises `Trouble`."""
    request, record = read(asked.content, Update), asked.record
    record.about(request)
    direction = _direction(request.operation)
    context = await desk.contexts.get(request)
    record.connector, record.delivery = context.connector, context.chosen.delivery
    fields = _fields(request)
    with desk.contexts.dropped_if_stale(request), told(context.use.login):
        taken = await desk.threads.store(partial(_take, desk, context, request, direction, fields, asked))
        if not taken.eligible:
            return Result("no_eligible_identifier", message=_NONE_ELIGIBLE)
        desk.received.note(audience_of(request), (one.told for one in taken.eligible))
        result = await _delivered(desk, asked, request, context, taken, fields)
    record.accepted = len(taken.eligible)
    return result


async def _delivered(
    desk: Desk, asked: Asked, request: Update, context: Context, taken: Taken, fields: dict[str, Any]
) -> Result:
    """In the way that the feed chose."""
    match context.chosen.delivery:
        case "queued":
            await queue(desk, _entries(taken), asked, taken.offered, fields=fields)
            return _processed(taken.eligible)
        case "direct":
            with desk.waiting.place(context.connector):
                return await _deliver(desk, asked, taken, fields)
        case "batch":
            return _processed(taken.eligible, data=_batch_lines(taken.eligible, request, asked))
        case "file":
            return _processed(taken.eligible, data=_file_lines(taken, audience_of(request), context))


def _direction(operation: str | None) -> Direction:
    direction = _DIRECTIONS.get((operation or "").strip().lower())
    if direction is None:
        raise Trouble("The request's operation is neither UPSERT nor DELETE.", code="bad_operation")
    return direction


def _about_user(request: Update, selection: Selection) -> dict[str, Any]:
    """What mappings may know of the user beside the identifier. With each mutation, and not with the message: what is found, or
    forgotten, of a person is a mutation."""
    selected = profiles(request.user_profiles or (), selection)
    if selected and len(msgspec.json.encode(selected)) > MAX_PROFILES:
        raise Trouble(f"The profiles of the user are larger than {MAX_PROFILES // 1024} KB.", code="profiles_too_large")
    return {"profiles": selected} if selected else {}


def _fields(request: Update) -> dict[str, Any]:
    """What mappings may know of the request."""
    fields: dict[str, Any] = {}
    for name in ("feed_id", "datamart_id", "segment_id", "session_id", "preset_id"):
        value = getattr(request, name)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
            fields[name] = str(value)
    if request.ts is not None:
        fields["ts"] = request.ts
    return fields


def _take(
    desk: Desk,
    context: Context,
    request: Update,
    direction: Direction,
    fields: dict[str, Any],
    asked: Asked,
) -> Taken:
    """Which identifiers may leave and are accepted by the mappings. Blocks."""
    destination, audience = desk.destination, audience_of(request)
    offered = destination.offered(context.connector)
    people = identities(request.user_identifiers or (), context.selection)
    if not people:
        return Taken(offered, None, [])
    about = _about_user(request, context.selection)
    mutations = tuple(
        Mutation(index=index, direction=direction, user=one.user, fields=about) for index, one in enumerate(people)
    )
    message = Message(
        version=VERSION,
        kind="change",
        connector=context.connector,
        audience=audience,
        request_id=asked.record.request_id,
        received_at=asked.received_at,
        mutations=mutations,
        fields=fields,
    )
    destination.agree(context.connector, audience, context.use)
    handed_out = context.chosen.delivery in ("batch", "file")
    rows = destination.rows(context.connector, context.use, message, handed_out=handed_out)
    eligible = [
        Eligible(mutation, one.told, made) for mutation, one, made in zip(mutations, people, rows, strict=True) if made
    ]
    key = destination.key_of(context.connector, audience) if eligible else None
    return Taken(offered, key, eligible)


def _entries(taken: Taken) -> list[tuple[str, Mutation]]:
    if taken.key is None:
        raise Trouble(
            "The partner has not given the audience its ID yet: create the feed's segment first, or send the request again.",
            code="audience_not_ready",
            passes=True,
        )
    return [(taken.key, each.mutation) for each in taken.eligible]


async def queue(
    desk: Desk,
    entries: Sequence[tuple[str, Mutation]],
    asked: Asked,
    offered: Offered,
    *,
    fields: dict[str, Any],
    answer_by: float = 0,
) -> list[Message]:
    """The messages with these mutations, safe in the queue. answer_by: see `Message`. Raises `Trouble`."""
    try:
        make = partial(
            change_messages,
            entries,
            connector=offered.name,
            request_id=asked.record.request_id,
            received_at=asked.received_at,
            fields=fields,
            journal_days=offered.journal_days,
        )
        messages = await desk.threads.reading(make) if len(entries) > _MANY else make()
        if answer_by:
            messages = [msgspec.structs.replace(each, version=NEWEST, answer_by=answer_by) for each in messages]
        await publish(desk.publisher, messages, within_s=desk.bounds.publish_s)
    except Refusal as refusal:
        raise Trouble(refusal.sentence, code=refusal.code, passes=refusal.status == 503) from refusal
    return messages


async def deliver(
    desk: Desk, entries: Sequence[tuple[str, Mutation]], asked: Asked, offered: Offered, *, fields: dict[str, Any]
) -> Fate:
    """What became of these mutations in the request: through the audience's own turn, so that the order is the queue's. Raises
    `Trouble`."""
    seconds = desk.bounds.reply_s
    messages = await queue(desk, entries, asked, offered, fields=fields, answer_by=desk.clock.now() + seconds)
    parts = [each.part for each in messages]
    found = await wait_for(
        desk.replies, asked.record.request_id, parts, threads=desk.threads, clock=desk.clock, seconds=seconds
    )
    fate = fate_of(found, [mutation.index for _, mutation in entries])
    asked.record.note = fate.note
    return fate


async def _deliver(desk: Desk, asked: Asked, taken: Taken, fields: dict[str, Any]) -> Result:
    fate = await deliver(desk, _entries(taken), asked, taken.offered, fields=fields)
    if fate.left:
        raise Trouble(
            f"Not everything was delivered. {fate.reason} Please send the request again.",
            code="left",
            passes=True,
            delay_s=fate.due_at - desk.clock.now() if fate.due_at else None,
        )
    return Result("ok", fields={"stats": [_stat(each.told, fate.mutations[each.mutation.index]) for each in taken.eligible]})


def _stat(told_as: str, reply: MutationReply) -> dict[str, Any]:
    match reply.outcome:
        case "delivered":
            return {"identifier": told_as, "sync_result": "SUCCESS"}
        case "superseded":
            return {"identifier": told_as, "sync_result": "PROCESSED"}
    tags = {"code": reply.code or reply.outcome, "hint": reply.hint}
    shown = [{"key": name, "value": value} for name, value in tags.items() if value]
    return {"identifier": told_as, "sync_result": "REJECTED", "tags": shown}


def _processed(eligible: Sequence[Eligible], *, data: list[dict[str, Any]] | None = None) -> Result:
    stats = [{"identifier": each.told, "sync_result": "PROCESSED"} for each in eligible]
    return Result("ok", fields={"stats": stats} if data is None else {"data": data, "stats": stats})


def _batch_lines(eligible: Sequence[Eligible], request: Update, asked: Asked) -> list[dict[str, Any]]:
    ts = request.ts if request.ts is not None else round(asked.received_at * 1000)
    audience = audience_of(request)
    return [
        {
            "type": "BATCH_DELIVERY",
            "content": {
                "user": each.mutation.user,
                "direction": each.mutation.direction,
                "ts": ts,
                "rows": {action: row.mapped for action, row in each.rows.items()},
            },
            "grouping_key": audience,
        }
        for each in eligible
    ]


def _file_lines(taken: Taken, audience: str, context: Context) -> list[dict[str, Any]]:
    return [
        {
            "type": "FILE_DELIVERY",
            "content": csv_line([row.prepared.get(column) for column in taken.offered.columns.get(action, ())]),
            "grouping_key": f"{audience}/{action}",
            "destination_token": context.chosen.destination_token,
        }
        for each in taken.eligible
        for action, row in each.rows.items()
    ]


def csv_line(values: Sequence[object]) -> str:
    """A line of CSV (RFC 4180, but for its end, which is a line feed). Text is left as it is: a program reads the file.

    Written here, since Python's own writer quotes a lone carriage return in some versions only.
    """
    cells = [_cell(value) for value in values]
    quoted = [f'"{cell.replace(_QUOTE, _QUOTE * 2)}"' if _TO_QUOTE.search(cell) else cell for cell in cells]
    return (",".join(quoted) or '""') + "\n"  # an empty line would be no line at all for many readers


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

