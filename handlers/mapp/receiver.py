"""The receiver: one request from the DMP, checked step by step, answered once what it says is safe.

The order of the checks is the design's (docs/architecture.md), and nothing happens before its turn: no JSON is parsed and no body
is kept before the request is known to be small enough and genuine. A request that would be refused for what the receiver knows of
its connectors may wait until that was read again (`InboundView.reread`); one that is genuine by what is known never does.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from handlers.answer import Answer
from handlers.body import MAX_HELD_BYTES, HeldBytes, read_bytes, require_announced_size
from handlers.creation import Creator
from handlers.inbound import CompiledInbound, InboundView
from handlers.mapp.arrival import Arrival, BodyFields, Countdown, Deadlines
from handlers.mapp.authenticity import is_signed, require_allowed_place, require_basic, signature_refused
from handlers.mapp.body import read_object
from handlers.mapp.changing import change
from handlers.mapp.creating import Creations
from handlers.mapp.reading import MutationReader
from handlers.mapp.refusal_log import RefusalLog
from handlers.mapp.request_log import RequestRecord
from handlers.mapp.request_type import RequestType, type_in_query, type_of, types_in_query
from handlers.mapp.tally import Tally
from relay.domain.clock import Clock
from relay.domain.errors import Refusal, StoreUnavailable
from relay.domain.message import Direction

if TYPE_CHECKING:
    from relay.backends.interfaces import Publisher

_NAME = re.compile(r"[A-Za-z0-9_@-]{1,64}")

_CHANGES = (RequestType.ADD_TO_AUDIENCE, RequestType.REMOVE_FROM_AUDIENCE)

_encoder = msgspec.json.Encoder()

_UNEXPECTED = Refusal(500, "Something went wrong on our side. Please send the request again.")


class Receiver:
    """Answers requests; keeps nothing between them but creations that are still under way.

    max_held_bytes: of bodies that are arriving, together; see `HeldBytes`.
    """

    def __init__(
        self,
        inbound: InboundView,
        publisher: Publisher,
        creator: Creator,
        clock: Clock,
        *,
        deadlines: Deadlines = Deadlines(),  # noqa: B008 - immutable
        max_held_bytes: int = MAX_HELD_BYTES,
    ) -> None:
        self._inbound = inbound
        self._publisher = publisher
        self._creations = Creations(creator, publisher)
        self._clock = clock
        self._deadlines = deadlines
        self._held = HeldBytes(max_held_bytes)
        self._tally = Tally(clock)
        self._refusals = RefusalLog(clock)

    async def __call__(self, request: Request) -> Response:
        """The answer. Never raises: what was not foreseen is a 500 with a sentence."""
        began = self._clock.monotonic()
        record = RequestRecord(request_id=f"{random.getrandbits(128):032x}")
        problem: Exception | None = None
        try:
            content = await self._answer(request, record)
            self._tally.add(record)
            response = _response(200, content, record)
        except Refusal as refusal:
            problem = refusal
            response = _refused(problem, record)
        except ClientDisconnect:
            problem = Refusal(400, "The request broke off before its end.", code="client_gone")
            response = _refused(problem, record)
        except Exception as error:
            problem = error
            response = _refused(_UNEXPECTED, record)
        if isinstance(problem, Refusal) and not record.genuine:
            self._refusals.write(record, problem, began)
        elif problem is not None or record.type == RequestType.CREATE_AUDIENCE:
            record.write(response.status_code, (self._clock.monotonic() - began) * 1000, problem)
        problem = None  # it knows this frame, which knows it: the body would stay until somebody collects such circles
        return response

    async def _answer(self, request: Request, record: RequestRecord) -> dict[str, Any]:
        received_at = self._clock.now()
        path: str = request.scope["path"]
        connector = self._inbound.latest(_name_in(path)) or await self._connector(path)
        record.connector = connector.name
        query: bytes = request.scope["query_string"]
        _require_method(request.method, query)
        try:
            _require_admission(connector, request)
        except Refusal:
            if not self._may_have_changed(connector, path):
                raise
            connector = await self._newer(request)
        limit = connector.inbound.max_body_bytes
        require_announced_size(request, limit)
        if request.method == "GET":
            record.type = RequestType.VALIDATE
            return {}
        body = await read_bytes(request, limit=limit, within_s=self._deadlines.body_s, held=self._held)
        countdown = Countdown(self._clock)
        record.genuine = is_signed(connector, request, body)
        if not record.genuine and self._may_have_changed(connector, path):
            connector = await self._newer(request)
            record.genuine = is_signed(connector, request, body)
        if not record.genuine:
            raise signature_refused(connector, request)
        wanted, fields = _type_and_fields(type_in_query(query), body, connector.reader)
        record.type = wanted
        del body  # nobody needs it while the changes are stored
        return await self._handle(wanted, Arrival(connector, fields, record, received_at, countdown))

    async def _handle(self, wanted: RequestType, arrival: Arrival) -> dict[str, Any]:
        deadlines, publisher = self._deadlines, self._publisher
        match wanted:
            case RequestType.VALIDATE:
                return {}
            case RequestType.CREATE_AUDIENCE:
                return {
                    **await self._creations.create(
                        arrival, creator_s=deadlines.creator_s, whole_s=deadlines.creation_s, store_s=deadlines.store_s
                    )
                }
            case RequestType.ADD_TO_AUDIENCE | RequestType.REMOVE_FROM_AUDIENCE:
                direction: Direction = "joined" if wanted is RequestType.ADD_TO_AUDIENCE else "left"
                return {
                    **await change(
                        arrival, direction, publisher=publisher, within_s=deadlines.publish_s, store_s=deadlines.store_s
                    )
                }

    def _may_have_changed(self, connector: CompiledInbound, path: str) -> bool:
        """Whether to look at it again before a request is refused. Nobody waits for the answer: a flood asks it, too."""
        return self._inbound.is_due() or self._inbound.latest(_name_in(path)) is not connector

    async def _newer(self, request: Request) -> CompiledInbound:
        """For a request that was refused: the connector as it is by now, where that admits the request. Raises `Refusal`."""
        await self._inbound.reread()
        newer = await self._connector(request.scope["path"])
        _require_admission(newer, request)
        return newer

    async def _connector(self, path: str) -> CompiledInbound:
        at_root = path in ("", "/")
        name = _name_in(path)
        try:
            found = await self._find(name) if name or at_root else None
        except StoreUnavailable:
            sentence = "The request was not accepted: the connectors cannot be read at the moment. Please send it again."
            raise Refusal(503, sentence, code="store_unavailable") from None
        if found is not None:
            return found
        if at_root:
            raise Refusal(404, "No connector answers at this address yet.", code="no_default_connector")
        sentence = f"There is no connector{_shown(name)} at this address. Please check the URL."
        raise Refusal(404, sentence, code="unknown_connector")

    async def _find(self, name: str) -> CompiledInbound | None:
        """Where it is unknown, it may have been applied since the copy was read."""
        found = await self._inbound.connector(name)
        if found is not None:
            return found
        await self._inbound.reread()
        return await self._inbound.connector(name)


def _name_in(path: str) -> str:
    return path.removeprefix("/").removesuffix("/")


def _require_admission(connector: CompiledInbound, request: Request) -> None:
    """What is asked of a request before its body is read."""
    require_allowed_place(connector, request)
    require_basic(connector, request)


def _require_method(method: str, query: bytes) -> None:
    """POST, and GET for validation. Everything else, HEAD and OPTIONS among it, is no part of the contract."""
    if method == "POST":
        return
    if method != "GET":
        raise Refusal(405, "Only POST is accepted here, and GET for validation.", {"Allow": "GET, POST"}, code="method")
    if any(each != RequestType.VALIDATE for each in types_in_query(query)):
        raise Refusal(405, "GET is accepted for validation only; please use POST.", {"Allow": "POST"}, code="method")


def _type_and_fields(in_query: RequestType | None, body: bytes, reader: MutationReader) -> tuple[RequestType, BodyFields]:
    """The type and the body's other fields. A validation's body may be anything, or nothing."""
    try:
        fields = BodyFields(read_object(body, reader.decode) if in_query in _CHANGES else read_object(body))
    except Refusal:
        if in_query is not RequestType.VALIDATE:
            raise
        return in_query, BodyFields({})
    return type_of(in_query, fields), fields


def _shown(name: str) -> str:
    """The name from a URL, if it is one that a connector could have: others are not repeated."""
    return f" “{name}”" if _NAME.fullmatch(name) else ""


def _refused(refusal: Refusal, record: RequestRecord) -> Response:
    return _response(refusal.status, {"error": refusal.sentence}, record, refusal.headers)


def _response(status: int, content: dict[str, Any], record: RequestRecord, headers: dict[str, str] | None = None) -> Response:
    return Answer(status, _encoder.encode(content), request_id=record.request_id, headers=headers)
