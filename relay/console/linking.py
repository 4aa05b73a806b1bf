"""What the partner offers to link an audience to, asked of it when somebody wants to see it."""

from __future__ import annotations

import msgspec

from adapters.contract import Option
from relay.backends.interfaces import Backend
from relay.domain.clock import Clock
from relay.domain.errors import Conflict, NotFound, PartnerError, Unsupported
from relay.operating.audiences import at_the_partner

SHOWN = 200
"""Most of them that one page has."""


class Offer(msgspec.Struct, frozen=True):
    """shown: some of the partner's audiences; more: how many are left out. trouble: why there are none to choose from."""

    asked: bool = False
    shown: tuple[Option, ...] = ()
    more: int = 0
    trouble: str = ""


def offer_of(backend: Backend, connector: str, find: str, clock: Clock) -> Offer:
    """Calls the partner. find: part of a name or an ID, whatever its case."""
    try:
        options = at_the_partner(backend, connector, clock)
    except Unsupported:
        return Offer(True, trouble="The partner has no list of its audiences to choose from: type the ID.")
    except (PartnerError, Conflict, NotFound) as error:
        return Offer(True, trouble=f"The partner could not be asked: {error} You can type the ID.")
    sought = find.strip().casefold()
    found = [one for one in options if sought in one.value.casefold() or sought in one.label.casefold()]
    if not found:
        return Offer(True, trouble="The partner has none by that name." if sought else "The partner has no audience yet.")
    return Offer(True, tuple(found[:SHOWN]), max(0, len(found) - SHOWN))
