"""What would become of an audience that is filled again from the journal, and what the journal lacks of it."""

from __future__ import annotations

import msgspec

from relay.backends.interfaces import Backend, JournalSize
from relay.domain.audience import Audience
from relay.domain.errors import Conflict
from relay.operating.resyncing import lack, require_possible
from relay.operating.sending_again import kept, with_events


class Way(msgspec.Struct, frozen=True):
    """lacks: what the journal does not have; empty: nothing. why_not: why this way is closed; empty: it is open."""

    lacks: str = ""
    why_not: str = ""

    @property
    def possible(self) -> bool:
        return not self.why_not


class ResyncPage(msgspec.Struct, frozen=True):
    """same: the list is there, and filled again. anew: another one is created first. size: what the journal has of it; None:
    nothing, or that was not counted (`counted`). gone: the partner has said that the list is gone."""

    same: Way
    anew: Way
    reaches_to: float | None
    size: JournalSize | None
    counted: bool
    events: str
    gone: bool


def resync_page(backend: Backend, audience: Audience, now: float, *, counts: bool) -> ResyncPage:
    """counts: whether the journal can be counted cheaply. Raises `NotFound` where no version of the connector is published."""
    journal = kept(backend, audience.connector, now)
    ways = []
    for anew in (False, True):
        lacking = lack(journal, audience, now, anew=anew)
        try:
            require_possible(audience, journal, anew=anew)
        except Conflict as error:
            ways.append(Way(why_not=str(error)))
            continue
        closed = lacking is not None and lacking.nothing and not anew
        ways.append(Way(why_not=lacking.what) if lacking and closed else Way(lacks=lacking.what if lacking else ""))
    size = None
    if counts and journal.reaches_to is not None:
        sizes = backend.journal.sizes(audience.connector, since=journal.reaches_to)
        size = next((one for one in sizes if one.audience == audience.id), None)
    hold = audience.hold
    return ResyncPage(
        ways[0],
        ways[1],
        journal.reaches_to,
        size,
        counts and journal.reaches_to is not None,
        with_events(journal.connector),
        hold is not None and hold.reason == "audience_gone",
    )
