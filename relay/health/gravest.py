"""How a connector stands as a whole: by the gravest of its holds."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

import msgspec

from relay.domain.audience import Audience, HoldReason
from relay.domain.connector import Connector, ConnectorState
from relay.domain.notice import Standing
from relay.domain.own_pace import ASKED_FOR, is_trouble
from relay.health.advice import meaning, what_to_do
from relay.health.concerns import Held

_GRAVEST_FIRST: tuple[HoldReason, ...] = (
    "credentials_refused",
    "misconfigured",
    "audience_gone",
    "crashed",
    "audience_not_ready",
    "partner_unavailable",
    "come_back_later",
)


class Trouble(msgspec.Struct, frozen=True):
    """How it stands. reason: of the gravest holds, which are `gravest`; None where it is fine. audiences, batches, mutations: all
    that wait, but for what somebody asked to wait."""

    standing: Standing = "fine"
    reason: HoldReason | None = None
    gravest: tuple[Held, ...] = ()
    audiences: int = 0
    batches: int = 0
    mutations: int = 0


class Explanation(msgspec.Struct, frozen=True):
    """Why it stands so, in our words; what the partner's answer said of it; and the advice, empty where it passes by itself."""

    meaning: str = ""
    detail: str = ""
    what_to_do: str = ""


def trouble(held: Iterable[Audience], state: ConnectorState) -> Trouble:
    """Of a connector that runs and is switched on. held: its audiences with a hold."""
    waiting = [one for one in _holds(held, state) if one.reason not in ASKED_FOR]
    in_trouble = [one for one in waiting if is_trouble(one.hold)]
    standing: Standing = "fine"
    reason: HoldReason | None = None
    gravest: tuple[Held, ...] = ()
    if in_trouble:
        first = min(in_trouble, key=_gravest_first)
        standing, reason = _standing(first), first.reason
        gravest = tuple(one for one in in_trouble if _gravest_first(one) == _gravest_first(first))
    return Trouble(
        standing,
        reason,
        gravest,
        audiences=len(waiting),
        batches=sum(one.hold.batches for one in waiting),
        mutations=sum(one.hold.items for one in waiting),
    )


def explained(what: Trouble, connector: Connector, state: ConnectorState) -> Explanation:
    """Of its gravest hold. Takes much longer than to find it."""
    if not what.gravest:
        return Explanation()
    first = what.gravest[0]
    return Explanation(
        meaning(first.audience, first.hold, connector, state), first.hold.detail, _to_do(what.gravest, connector, state)
    )


def _holds(held: Iterable[Audience], state: ConnectorState) -> Iterable[Held]:
    return (Held(audience, audience.hold, state) for audience in held if audience.hold is not None)


def _gravest_first(one: Held) -> tuple[bool, int]:
    return not one.needs_someone, _GRAVEST_FIRST.index(one.reason)


def _standing(gravest: Held) -> Standing:
    if gravest.reason == "credentials_refused":
        return "credentials_refused"
    return "needs_someone" if gravest.needs_someone else "on_hold"


def _to_do(alike: Sequence[Held], connector: Connector, state: ConnectorState) -> str:
    """The advice for the first of them, and where the others are listed if that for the next is another one."""
    first, *others = (what_to_do(one.audience, one.hold, connector, state) for one in alike[:2])
    if others in ([], [first]):
        return first
    return f"{first}; and so for each of: diy holds list {shlex.quote(alike[0].audience.connector)}"
