"""Creation and connection: the audience exists at the partner, and takes members."""

from __future__ import annotations

import asyncio
from functools import partial

from handlers.mediarithmics.answers import Result
from handlers.mediarithmics.context import audience_of
from handlers.mediarithmics.desk import Asked, Desk
from handlers.mediarithmics.gateway import Unknown
from handlers.mediarithmics.requests import FeedRequest, read
from handlers.mediarithmics.threads import within
from handlers.mediarithmics.trouble import Trouble, told
from handlers.values import MAX_NAME
from relay.domain.errors import NotFound, UsedOtherwise
from relay.domain.feed import Use

_STILL = "The partner has not answered yet; the audience is still being created. Please send the same request again in a moment."


class Creations:
    """Creates audiences. Holds those under way: the same request again joins the one that its predecessor began."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._under_way: dict[tuple[str, str], tuple[Use, asyncio.Future[None]]] = {}

    async def create(self, asked: Asked) -> Result:
        """`/v1/external_segment_creation`. Raises `Trouble`."""
        desk, request = self._desk, read(asked.content, FeedRequest)
        asked.record.about(request)
        context = await desk.contexts.get(request, anew=True)
        asked.record.connector, asked.record.delivery = context.connector, context.chosen.delivery
        audience = audience_of(request)
        name = context.name.strip()[:MAX_NAME] or audience
        with told(context.use.login):
            await _in_time(self._creation(context.connector, audience, context.use, name, asked), desk.bounds.partner_s)
        return Result("ok", visibility="PUBLIC")

    def _creation(self, connector: str, audience: str, use: Use, name: str, asked: Asked) -> asyncio.Future[None]:
        key = connector, audience
        before = self._under_way.get(key)
        if before is not None and before[0] == use:
            return before[1]
        work = partial(
            self._desk.destination.create, connector, audience, use, name=name, request_id=asked.record.request_id
        )
        creation = asyncio.ensure_future(self._create(connector, work))
        self._under_way[key] = use, creation
        creation.add_done_callback(lambda done: self._ended(key, done))
        return creation

    async def _create(self, connector: str, work: partial[None]) -> None:
        """In the place of another feed that uses the audience otherwise, where the platform no longer has that one."""
        threads, gateway = self._desk.threads, self._desk.gateway
        try:
            await threads.partner(connector, work)
        except UsedOtherwise as conflict:
            try:
                await threads.gateway(partial(gateway.feed, conflict.feed))
            except Unknown:
                await threads.partner(connector, partial(work, instead_of=conflict.feed))
            else:
                raise

    def _ended(self, key: tuple[str, str], done: asyncio.Future[None]) -> None:
        kept = self._under_way.get(key)
        if kept is not None and kept[1] is done:
            del self._under_way[key]


async def connect(desk: Desk, asked: Asked) -> Result:
    """`/v1/external_segment_connection`. Raises `Trouble`."""
    request = read(asked.content, FeedRequest)
    asked.record.about(request)
    context = await desk.contexts.get(request)
    asked.record.connector, asked.record.delivery = context.connector, context.chosen.delivery
    work = partial(desk.destination.require_ready, context.connector, audience_of(request), context.use)
    with desk.contexts.dropped_if_stale(request), told(context.use.login):
        try:
            await _in_time(asyncio.ensure_future(desk.threads.partner(context.connector, work)), desk.bounds.partner_s)
        except NotFound as error:
            sentence = "The audience was never created. Please create the feed's segment first."
            raise Trouble(sentence, code="unknown_audience") from error
    return Result("ok")


async def _in_time(creation: asyncio.Future[None], seconds: float) -> None:
    try:
        await within(creation, seconds)
    except TimeoutError:
        raise Trouble(_STILL, code="too_slow", passes=True) from None
