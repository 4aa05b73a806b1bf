"""The feeds' function: one request of the platform, checked step by step, answered as the contract says.

Nothing happens before its turn: no body is read before the request is admitted, nothing is parsed before there is room for it.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from handlers.body import HeldBytes, read_bytes, require_announced_size
from handlers.mediarithmics.answers import Result, answer, delay_ms, plain
from handlers.mediarithmics.authenticating import Authentication
from handlers.mediarithmics.batching import batch_update
from handlers.mediarithmics.creating import Creations, connect
from handlers.mediarithmics.desk import Asked, Bounds, Desk
from handlers.mediarithmics.destination import Destination
from handlers.mediarithmics.dynamic_values import dynamic_values
from handlers.mediarithmics.guard import Guard
from handlers.mediarithmics.overload import Load, overloaded
from handlers.mediarithmics.request_log import FeedRecord, RequestLog
from handlers.mediarithmics.requests import MISSING, read_object
from handlers.mediarithmics.routes import Route, route_of
from handlers.mediarithmics.service import change_log_level, log_level, metadata
from handlers.mediarithmics.settings import FeedSettings
from handlers.mediarithmics.trouble import Trouble, for_operator
from handlers.mediarithmics.troubleshooting import troubleshoot
from handlers.mediarithmics.updating import update
from relay.domain.clock import Clock
from relay.domain.errors import Refusal

if TYPE_CHECKING:
    from relay.backends.interfaces import Publisher, Replies

_AS_OBJECTS = 12
"""So many times the size of a body is what is made of it."""

_LARGE = 64 * 1024
"""Bytes: reading more takes so long that others would wait for it."""

_Handler = Callable[[Asked], Awaitable[Result]]


class _Empty(Refusal):
    """A request without the body that it needs."""

    def __init__(self) -> None:
        super().__init__(500, MISSING["error"], code="empty_body")


class FeedReceiver:
    """Answers requests; keeps nothing between them but contexts of feeds, and creations that are still under way.

    chance: for the spread of how long contexts are kept.
    """

    def __init__(
        self,
        settings: FeedSettings,
        destination: Destination,
        publisher: Publisher,
        replies: Replies,
        clock: Clock,
        *,
        chance: random.Random | None = None,
        bounds: Bounds = Bounds(),  # noqa: B008 - immutable
    ) -> None:
        chance = chance or random.Random()  # noqa: S311 - a spread, no secret
        desk = Desk(settings, destination, publisher, replies, clock, chance=chance, bounds=bounds)
        self._settings = settings
        self._clock = clock
        self._bounds = bounds
        self._guard = Guard(settings)
        self._load = Load(bounds.in_flight)
        self._held = HeldBytes(bounds.max_held)
        self._log = RequestLog(clock)
        self._threads = desk.threads
        authentication = Authentication(desk)
        self._handlers: dict[str, _Handler] = {
            "creation": Creations(desk).create,
            "connection": lambda asked: connect(desk, asked),
            "update": lambda asked: update(desk, asked),
            "batch_update": lambda asked: batch_update(desk, asked),
            "troubleshoot": lambda asked: troubleshoot(desk, asked),
            "authentication_status": authentication.status,
            "authentication": authentication.authenticate,
            "logout": authentication.log_out,
            "dynamic_values": lambda asked: dynamic_values(desk, asked),
            "test_authentication": authentication.test,
            "oauth_redirect_url": authentication.redirect_url,
        }

    async def __call__(self, request: Request) -> Response:
        """The answer. Never raises: what was not foreseen is an error with an ID that stands in the log."""
        began = self._clock.monotonic()
        record = FeedRecord(f"{random.getrandbits(128):032x}")
        try:
            self._guard.require_admission(request)
        except Refusal as refusal:
            response = _refused(refusal, Route(""), record)
            self._log.stranger(record, response.status_code, began, refusal)
            return response
        problem: Exception | None = None
        route = Route("")
        try:
            route = route_of(request.scope["path"], request.method)
            record.route = route.name
            with self._load.place(hurried=route.hurried):
                response = await self._answer(route, request, record)
        except Refusal as refusal:
            problem = refusal
            response = _refused(refusal, route, record)
        except ClientDisconnect:
            problem = Refusal(400, "The request broke off before its end.", code="client_gone")
            response = _refused(problem, route, record)
        except Trouble as trouble:
            problem = trouble
            response = _troubled(trouble, route, record)
        except Exception as error:
            problem = error
            response = _troubled(for_operator("It was not foreseen.", code="unexpected"), route, record)
        self._log.write(record, response.status_code, began, problem)
        problem = None  # it knows this frame, which knows it
        return response

    async def _answer(self, route: Route, request: Request, record: FeedRecord) -> Response:
        received_at = self._clock.now()
        match route.name:
            case "init":
                return plain(200, None, record.request_id)
            case "status":
                return plain(200 if self._settings.gateway.is_known else 503, None, record.request_id)
            case "metadata":
                return plain(200, metadata(self._settings.plugin), record.request_id)
            case "log_level":
                return plain(200, log_level(), record.request_id)
        require_announced_size(request, self._bounds.max_body)
        body = await self._read(request)
        if route.name == "set_log_level":
            return plain(200 if change_log_level(body) else 400, None, record.request_id)
        with self._holding(_AS_OBJECTS * len(body)):
            content = read_object(body) if len(body) < _LARGE else await self._threads.reading(partial(read_object, body))
            del body
            if content is None:
                raise _Empty
            result = await self._handlers[route.name](Asked(content, received_at, record))
        record.answer = result.status
        if route.name == "oauth_redirect_url" and result.status == "ok":
            return plain(200, result.fields, record.request_id)
        return answer(result, route.statuses, record.request_id)

    async def _read(self, request: Request) -> bytes:
        bounds = self._bounds
        try:
            return await read_bytes(request, limit=bounds.max_body, within_s=bounds.body_s, held=self._held)
        except Refusal as refusal:
            if refusal.status == 503:
                raise overloaded() from None
            raise

    @contextmanager
    def _holding(self, size: int) -> Iterator[None]:
        """What was read is there in another form, until it is done with."""
        try:
            try:
                self._held.add(size)
            except Refusal:
                raise overloaded() from None
            yield
        finally:
            self._held.release(size)


def _refused(refusal: Refusal, route: Route, record: FeedRecord) -> Response:
    body: dict[str, Any]
    if isinstance(refusal, _Empty):
        body = MISSING
    else:
        record.answer = "RETRY" if refusal.status == 429 else route.error
        body = {"status": record.answer, "message": refusal.sentence}
    return plain(refusal.status, body, record.request_id, refusal.headers)


def _troubled(trouble: Trouble, route: Route, record: FeedRecord) -> Response:
    status = route.passing if trouble.passes else route.error
    record.answer = status
    counted = {"sent_items_in_success": 0, "sent_items_in_error": 0} if route.name == "batch_update" else {}
    waits = trouble.passes and route.name in ("update", "batch_update")
    result = Result(
        status,
        message=trouble.shown(record.error_id),
        visibility=("PUBLIC" if trouble.public else "PRIVATE") if route.has_visibility else None,
        delay_ms=delay_ms(trouble.delay_s) if waits else 0,
        fields=counted,
    )
    return answer(result, route.statuses or {status: 500}, record.request_id)
