"""A change that came in a while ago, where one is kept: in a hold, or in the journal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Literal, NamedTuple

import msgspec

from relay.backends.interfaces import Backend
from relay.domain.audience import HOLD_REASONS
from relay.domain.connector import Connector
from relay.domain.errors import Conflict
from relay.domain.message import Message, Mutation

_WINDOWS_S = (60.0, 3600.0, 86_400.0, 7 * 86_400.0, 31 * 86_400.0)
_HOLDS = 5
_BATCHES = 5


class Place(msgspec.Struct, frozen=True):
    """Where a change is kept, so that the same one is found again. Names no person.

    audience  the DMP's ID
    request   ID of the request that brought it
    index     its place there
    position  in the journal; 0: it is in a hold
    """

    audience: str
    request: str
    index: int
    position: int = 0


class KeptChange(NamedTuple):
    """One mutation. `at`: when its request came in, seconds since the epoch."""

    place: Place
    mutation: Mutation
    at: float

    @property
    def where(self) -> Literal["journal", "hold"]:
        return "journal" if self.place.position else "hold"


def kept_change(backend: Backend, connector: Connector, *, now: float, journal: bool) -> KeptChange:
    """The newest of those that are found cheaply. journal: it can be read while somebody waits. Raises `Conflict`, which says
    why there is none."""
    found: list[KeptChange] = [*_held(backend, connector), *(_journaled(backend, connector, now) if journal else ())]
    if found:
        return max(found, key=lambda one: one.at)
    if not connector.retention.journal_days:
        raise Conflict("Nothing waits in a hold, and the journal is off (Configure, “What is kept”), so no change is kept.")
    if not journal:
        raise Conflict("Nothing waits in a hold, and to read the journal in Cloud Storage takes longer than a page may.")
    raise Conflict("Nothing waits in a hold, and nothing has come in since the journal is on.")


def _held(backend: Backend, connector: Connector) -> Iterator[KeptChange]:
    for audience in backend.audiences.page(connector.name, held=HOLD_REASONS, limit=_HOLDS):
        for waiting in backend.audiences.peek(connector.name, audience.id, limit=_BATCHES):
            if found := _first_of(waiting.message, 0):
                yield found


def _journaled(backend: Backend, connector: Connector, now: float) -> Iterator[KeptChange]:
    """Those of the shortest time within which there are any."""
    for window in _WINDOWS_S if connector.retention.journal_days else ():
        since = now - window
        some: list[KeptChange] = []
        for size in backend.journal.sizes(connector.name, since=since)[:_HOLDS]:
            with closing(backend.journal.entries(connector.name, size.audience, since=since, after=0, until=None)) as of_one:
                entries = [entry for _, entry in zip(range(_BATCHES), of_one, strict=False)]
            some += [found for entry in entries if (found := _first_of(entry.message, entry.position))]
        if some:
            yield from some
            return


def the_same_change(backend: Backend, connector: Connector, place: Place, *, journal: bool) -> KeptChange | None:
    """The one that was found before; None: it is not kept any more, or is in a journal that is not to be read. journal: as
    above."""
    if place.position and not journal:
        return None
    if place.position:
        at = place.position
        with closing(backend.journal.entries(connector.name, place.audience, since=0.0, after=at - 1, until=at)) as some:
            messages = [entry.message for _, entry in zip(range(1), some, strict=False)]
    else:
        messages = [one.message for one in backend.audiences.peek(connector.name, place.audience, limit=_BATCHES)]
    for message in messages:
        for mutation in message.mutations:
            if (message.request_id, mutation.index) == (place.request, place.index):
                return KeptChange(place, mutation, message.received_at)
    return None


def _first_of(message: Message, position: int) -> KeptChange | None:
    for mutation in message.mutations if message.kind == "change" else ():
        if mutation.unreadable is None and mutation.user:
            place = Place(message.audience, message.request_id, mutation.index, position)
            return KeptChange(place, mutation, message.received_at)
    return None
