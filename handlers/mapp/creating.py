"""CREATE_AUDIENCE: the audience is created at the partner while the source waits, or finished behind its back.

Mode `own` (the source keeps its ID): trouble that should pass is no error for the source, since a `created` message finishes the
work in front of the audience's additions. Mode `partner` (the source goes on with the partner's ID): the answer needs that ID.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from handlers.creation import Creator, code_of, passes, sentence_of, status_of
from handlers.mapp.arrival import Arrival, BodyFields
from handlers.mapp.body import carried
from handlers.mapp.customers import take_customer
from handlers.publishing import publish
from handlers.values import Unreadable, audience_id, audience_name
from relay.domain.errors import PartnerError, Refusal, RelayError
from relay.domain.message import VERSION, Message

if TYPE_CHECKING:
    from relay.backends.interfaces import Publisher

_SHOWN = 300
"""Characters of a partner's reason that the source is shown."""

_IN_SENTENCES = {
    503: "The partner cannot create the audience at the moment: {} Please send the request again.",
    422: "The partner refused the audience: {}",
    502: "The partner could not be asked to create the audience: {}",
}


class _TooSlow(Exception):
    """The partner has not answered within the deadline; the creation goes on."""


class Creations:
    """Creates audiences. Holds those under way, so that one that outlives its request is not lost."""

    def __init__(self, creator: Creator, publisher: Publisher) -> None:
        self._creator = creator
        self._publisher = publisher
        self._under_way: set[asyncio.Task[str]] = set()

    async def create(self, arrival: Arrival, *, creator_s: float, whole_s: float, store_s: float) -> dict[str, str]:
        """The answer to the source: with the partner's ID in the mode `partner`.

        creator_s, whole_s: how long after the request's arrival the partner, and the whole, may take.
        store_s: what the store gets at least.
        """
        announced = _announced(arrival)
        own = arrival.connector.inbound.audience_id == "own"
        try:
            partner_id = await self._ask(announced, own=own, within_s=arrival.countdown.left(creator_s))
        except (_TooSlow, RelayError) as trouble:
            if not own or not passes(trouble):
                raise _refusal(trouble) from trouble
            arrival.record.finished_later = _code(trouble)
            await publish(self._publisher, [announced], within_s=max(store_s, arrival.countdown.left(whole_s)))
            return {}
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
    try:
        return audience_name(fields.take("name"))
    except Unreadable as why:
        raise Refusal(400, f"The audience cannot be created. {why}", code="bad_name") from None


def _refusal(trouble: Exception) -> Refusal:
    """What the source is told, which shows it to its user."""
    if isinstance(trouble, _TooSlow):
        sentence = (
            "The partner has not answered yet; the audience is still being created. Please send the same request again in "
            "a moment."
        )
        return Refusal(504, sentence, code=_code(trouble))
    status, sentence = status_of(trouble), _short(sentence_of(trouble))
    if isinstance(trouble, PartnerError):
        sentence = _IN_SENTENCES[status].format(sentence if sentence.endswith((".", "!", "?")) else f"{sentence}.")
    return Refusal(status, sentence, code=_code(trouble))


def _code(trouble: Exception) -> str:
    return "too_slow" if isinstance(trouble, _TooSlow) else code_of(trouble)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
