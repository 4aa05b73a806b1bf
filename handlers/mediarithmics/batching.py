"""`/v1/batch_update`: rows that updates gave back come again together, and are delivered in the request."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec

from handlers.mediarithmics.answers import Result, delay_ms
from handlers.mediarithmics.context import audience_of
from handlers.mediarithmics.desk import Asked, Desk
from handlers.mediarithmics.requests import Batch, FeedRequest, read
from handlers.mediarithmics.trouble import Trouble, told
from handlers.mediarithmics.updating import deliver
from handlers.values import Unreadable, identifier
from relay.domain.feed import Offered, Use
from relay.domain.message import Direction, Mutation

_CANONICAL = re.compile(
    r"(id|email|email_sha256|phone|phone_sha256|idfa|gaid|cookie_id|account\.[^\x00-\x1f\x7f]{1,128}|agent\.[^\x00-\x1f\x7f]{1,128})"
)


class Line(msgspec.Struct, frozen=True):
    """What an update gave back for one identifier. ts: milliseconds since the epoch. rows: action → the
    partner's fields."""

    user: dict[str, str]
    direction: Direction
    rows: dict[str, dict[str, Any]]
    ts: int | float = 0


async def batch_update(desk: Desk, asked: Asked) -> Result:
    """Raises `Trouble`."""
    batch, record = read(asked.content, Batch), asked.record
    request = batch.context
    record.about(request)
    context = await desk.contexts.get(request)
    record.connector, record.delivery = context.connector, context.chosen.delivery
    if context.chosen.delivery != "batch":
        return Result("error", message="The feed does not deliver in batches: its property delivery is not “batch”.")
    with desk.contexts.dropped_if_stale(request), told():
        offered = await desk.threads.store(partial(desk.destination.offered, context.connector))
    with desk.waiting.place(context.connector):
        return await _deliver(desk, asked, batch, offered, context.use)


async def _deliver(desk: Desk, asked: Asked, batch: Batch, offered: Offered, use: Use) -> Result:
    request, content = batch.context, batch.batch_content or []
    with told():
        lines = await desk.threads.reading(partial(_lines, content, offered))
        bad = len(content) - len(lines)
        if not lines:
            return _counted(0, bad)
        await desk.threads.store(partial(desk.destination.agree, offered.name, audience_of(request), use))
        key = await _key(desk, offered.name, request)
        fate = await deliver(
            desk,
            [(key, _mutation(index, line)) for index, line in enumerate(lines)],
            asked,
            offered,
            fields={name: str(value) for name in ("feed_id", "datamart_id", "segment_id") if (value := getattr(request, name))},
        )
    outcomes = [each.outcome for each in fate.mutations.values()]
    sent = sum(each in ("delivered", "superseded") for each in outcomes)
    refused = sum(each in ("rejected", "skipped") for each in outcomes)
    asked.record.accepted = sent
    if not fate.left:
        return _counted(sent, refused + bad)
    due_s = fate.due_at - desk.clock.now() if fate.due_at else None
    return Result(
        "RETRY",
        message=f"Not everything was delivered. {fate.reason} Please send the batch again.",
        delay_ms=delay_ms(due_s),
        fields=_counts(sent, refused + bad),
    )


async def _key(desk: Desk, connector: str, request: FeedRequest) -> str:
    key = await desk.threads.store(partial(desk.destination.key_of, connector, audience_of(request)))
    if key is None:
        raise Trouble("The partner has not given the audience its ID yet.", code="audience_not_ready", passes=True)
    return key


def _lines(content: Iterable[Any], offered: Offered) -> list[Line]:
    """Those that an update of ours gave back, by time. Takes a second for a hundred thousand."""
    return sorted((line for each in content if (line := _line(each, offered)) is not None), key=lambda line: line.ts)


def _line(content: Any, offered: Offered) -> Line | None:
    """None for what no update of ours gave back."""
    try:
        line = msgspec.json.decode(content, type=Line) if isinstance(content, str) else msgspec.convert(content, Line)
        usable = all(_CANONICAL.fullmatch(name) and identifier(value) for name, value in line.user.items())
    except (ValueError, Unreadable, RecursionError):
        return None
    if not (usable and line.user and line.rows) or not line.rows.keys() <= offered.columns.keys():
        return None
    return line


def _mutation(index: int, line: Line) -> Mutation:
    return Mutation(index=index, direction=line.direction, user=line.user, made=line.rows)


def _counted(sent: int, refused: int) -> Result:
    if sent or not refused:
        return Result("OK", fields=_counts(sent, refused))
    return Result("ERROR", message="Nothing of the batch was taken.", fields=_counts(sent, refused))


def _counts(sent: int, refused: int) -> dict[str, int]:
    return {"sent_items_in_success": sent, "sent_items_in_error": refused}
