"""`create`: makes an audience at the partner, for the receiver, which has no partner's credentials."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from relay.domain.clock import SystemClock
from relay.domain.errors import Refusal, RelayError
from relay.functions import parts
from relay.functions.answers import answer, refuse_strangers
from relay.wide_log import log

if TYPE_CHECKING:
    import flask
    from werkzeug.wrappers import Response


_REQUEST_ID = re.compile("[0-9a-f]{32}")


class CreationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the receiver asks of `create`."""

    connector: str
    audience: str
    name: str
    customer: int | str | None = None


def create(request: flask.Request) -> Response:
    """`create`: POST a `CreationRequest`; answers `{"partner_id"}` or `{"error", "code"}` with the status that says whose turn
    it is: 400 no creation request, 404 no such connector, 409 the connector does not run, 422 refused, 502 credentials or
    settings refused, 503 try again. The receiver answers the source with the same ones."""
    if refused := refuse_strangers(request):
        return refused
    from handlers.creation import code_of, sentence_of, status_of

    try:
        asked = _asked_for(request.get_data())
    except Refusal as refusal:
        return answer({"error": refusal.sentence, "code": refusal.code}, refusal.status)
    clock = SystemClock()
    began = clock.monotonic()
    status, code = 200, ""
    try:
        return answer({"partner_id": _create(asked)}, status)
    except RelayError as trouble:
        status, code = status_of(trouble), code_of(trouble)
        return answer({"error": sentence_of(trouble), "code": code}, status)
    except Exception:
        status, code = 500, "unforeseen"
        raise
    finally:
        log(
            "creation",
            "INFO" if status == 200 else "WARNING" if status < 500 else "ERROR",
            request_id=_id_of(request),
            connector=asked.connector,
            audience=asked.audience,
            status=status,
            code=code,
            duration_ms=round((clock.monotonic() - began) * 1000, 1),
        )


def _id_of(request: flask.Request) -> str:
    """The ID of the source's request, by which its line in the receiver's log is found; empty for what is none."""
    told = request.headers.get("X-Request-Id", "")
    return told if _REQUEST_ID.fullmatch(told) else ""


def _create(asked: CreationRequest) -> str:
    worker = parts.worker()
    running = worker.catalog.get(parts.backend().connectors.state(asked.connector))
    return worker.creation.for_source(
        asked.connector,
        asked.audience,
        name=asked.name,
        customer=asked.customer,
        mode=running.connector.inbound.audience_id,
    )


def _asked_for(body: bytes) -> CreationRequest:
    """Raises `Refusal` for what is none, or names an audience as none can be named."""
    from handlers.values import Unreadable, audience_id, audience_name, customer

    try:
        asked = msgspec.json.decode(body, type=CreationRequest)
        audience = audience_id(asked.audience)
        name = audience_name(asked.name)
    except (ValueError, RecursionError, Unreadable) as error:  # invalid UTF-8 and everything of msgspec's is a ValueError
        raise _no_creation(str(error)) from None
    if audience is None:
        raise _no_creation("It names no audience.")
    if asked.customer is not None and customer(asked.customer) is None:
        raise _no_creation("Its customer cannot be one.")
    return msgspec.structs.replace(asked, name=name or audience)


def _no_creation(why: str) -> Refusal:
    return Refusal(400, f"This is no creation request: {why}", code="bad_request")
