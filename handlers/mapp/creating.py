"""CREATE_AUDIENCE: the audience is created at the partner while the source waits, or finished behind its back.

Mode `own` (the source keeps its ID): trouble that should pass is no error for the source, since a `created` message finishes the
work in front of the audience's additions. Mode `partner` (the source goes on with the partner's ID): the answer needs that ID.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from handlers.creation import Creator
from handlers.mapp.arrival import Arrival, BodyFields
from handlers.mapp.body import carried
from handlers.mapp.customers import take_customer
from handlers.mapp.publishing import publish
from handlers.mapp.values import Unreadable, audience_id
from relay.domain.errors import (
    AudienceNotReady,
    BatchRefused,
    Conflict,
    NotFound,
    PartnerError,
    Refusal,
    StoreUnavailable,
    TryAgain,
    Unsupported,
)
from relay.domain.message import VERSION, Message

if TYPE_CHECKING:
    from relay.backends.interfaces import Publisher

MAX_NAME = 1_000
"""Characters."""

_SHOWN = 300
"""Characters of a partner's reason that the source is shown."""

_PASSING = (TryAgain, AudienceNotReady, StoreUnavailable, Conflict)


class _TooSlow(Exception):
    """The partner has not answered within the deadline; the creation goes on."""


class Creations:
    """Creates audiences. Holds those under way, so that one that outlives its request is not lost."""

    def __init__(self, creator: Creator, publisher: Publisher) -> None:
        self._creator = creator
        self._publisher = publisher
        self._under_way: set[asyncio.Task[str]] = set()

    async def create(self, arrival: Arrival, *, creator_s: float, whole_s: float) -> dict[str, str]:
        """The answer to the source: with the partner's ID in the mode `partner`.

        creator_s, whole_s: how long after the request's arrival the partner, and the whole, may take.
        """
        announced = _announced(arrival)
        own = arrival.connector.inbound.audience_id == "own"
        try:
            partner_id = await self._ask(announced, own=own, within_s=arrival.countdown.left(creator_s))
        except (_TooSlow, *_PASSING) as trouble:
            if not own:
                raise _refusal(trouble) from trouble
            arrival.record.finished_later = _code(trouble)
            await publish(self._publisher, [announced], within_s=arrival.countdown.left(whole_s))
            return {}
        except (PartnerError, NotFound) as trouble:
            raise _refusal(trouble) from trouble
        return {} if own else {"id": partner_id}

    async def _ask(self, announced: Message, *, own: bool, within_s: float) -> str:
        creation = asyncio.ensure_future(
            self._creator.create(
                connector=announced.connector,
                audience=announced.audience,
                name=announced.name or announced.audience,
                customer=announced.customer,
                mode="own" if own else "partner",
                request_id=announced.request_id,
            )
        )
        self._under_way.add(creation)
        creation.add_done_callback(self._ended)
        await asyncio.wait({creation}, timeout=within_s)
        if not creation.done():
            raise _TooSlow
        return creation.result()

    def _ended(self, creation: asyncio.Task[str]) -> None:
        self._under_way.discard(creation)
        if not creation.cancelled():
            creation.exception()  # one that outlived its request has nobody else to look at its error; the creator records it


def _announced(arrival: Arrival) -> Message:
    """The audience as the request announces it, in the form in which it travels if it has to."""
    fields = arrival.fields
    audience = _take_audience(fields, arrival.connector.reader.names.audience)
    return Message(
        version=VERSION,
        kind="created",
        connector=arrival.connector.name,
        audience=audience,
        request_id=arrival.record.request_id,
        received_at=arrival.received_at,
        name=_take_name(fields) or audience,
        customer=take_customer(arrival.connector, fields),
        fields=carried(fields.rest),
    )


def _take_audience(fields: BodyFields, names: tuple[str, ...]) -> str:
    for name in names:
        value: Any = fields.get(name)
        if value is not None and not isinstance(value, str):
            raise Refusal(400, "The audience's ID (field Audience) must be text.", code="bad_audience")
        try:
            found = audience_id(value)
        except Unreadable as why:
            raise Refusal(400, f"The audience cannot be created. {why}", code="bad_audience") from None
        fields.take(name)
        if found is not None:
            return found
    raise Refusal(400, "The request names no audience (field Audience).", code="no_audience")


def _take_name(fields: BodyFields) -> str:
    name = fields.take("name")
    if name is None:
        return ""
    if not isinstance(name, str):
        raise Refusal(400, "The audience's name (field Name) must be text.", code="bad_name")
    if len(name) > MAX_NAME:
        raise Refusal(400, f"The audience's name is longer than {MAX_NAME:,} characters.", code="bad_name")
    if "\0" in name:
        raise Refusal(400, "The audience's name holds a character that no name can have.", code="bad_name")
    return name if name.strip() else ""


def _refusal(trouble: Exception) -> Refusal:
    """What the source is told, which shows it to its user."""
    status, sentence = _told(trouble)
    return Refusal(status, sentence, code=_code(trouble))


def _told(trouble: Exception) -> tuple[int, str]:
    match trouble:
        case _TooSlow():
            return 504, (
                "The partner has not answered yet; the audience is still being created. Please send the same request again in "
                "a moment."
            )
        case Conflict():
            return 409, _short(str(trouble))
        case NotFound():
            return 404, _short(str(trouble))
        case StoreUnavailable():
            return 503, "The audience was not created: its state could not be stored. Please send the request again."
        case TryAgain() | AudienceNotReady():
            return 503, f"The partner cannot create the audience at the moment: {_hint(trouble)} Please send the request again."
        case BatchRefused() | Unsupported():
            return 422, f"The partner refused the audience: {_hint(trouble)}"
        case PartnerError():
            return 502, f"The partner could not be asked to create the audience: {_hint(trouble)}"
    raise trouble


def _code(trouble: Exception) -> str:
    if isinstance(trouble, PartnerError):
        return trouble.code
    return {_TooSlow: "too_slow", Conflict: "conflict", NotFound: "not_found"}.get(type(trouble), "store_unavailable")


def _hint(error: PartnerError) -> str:
    text = _short(error.hint)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
