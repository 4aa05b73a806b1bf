"""Notices: telling somebody that a connector stands otherwise than before, once for each change.

The changes of the record are pure; whoever looks stores them by a conditional write, so that of several who see the same change
one makes its notice.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from relay.domain.audience import NEEDS_SOMEONE, HoldReason

VERSION = 1

STANDS_S = 120.0
"""What passes by itself, and what has passed, is told of once it has stood for so long."""

Standing = Literal["fine", "on_hold", "needs_someone", "credentials_refused"]
"""`on_hold`: audiences wait for what passes by itself. `needs_someone`: for what does not."""

Channel = Literal["webhook", "email"]
CHANNELS: tuple[Channel, ...] = ("webhook", "email")


class Situation(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a connector stands. reason: of its gravest hold; None where it is fine. since: seconds since the epoch."""

    standing: Standing = "fine"
    reason: HoldReason | None = None
    since: float = 0

    def same_as(self, other: Situation) -> bool:
        """Whether nobody need be told of the difference: what passes by itself may pass for one reason or another."""
        if self.standing != other.standing:
            return False
        return self.standing != "needs_someone" or self.reason == other.reason

    @property
    def stands_at_once(self) -> bool:
        """Whether it is told of without waiting whether it passes."""
        return self.reason in NEEDS_SOMEONE


class Notice(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change, as it is told.

    id        the same whenever it is sent again, by which a receiver knows a repeat
    at        when the change was noticed; situation.since: since when it stands so
    meaning, detail, what_to_do  why, in our words; what the partner's answer said of it; empty where nothing is to be done
    audiences, batches, mutations  what waited then
    lasted_s, delivered  where it is fine again: how long it was not, and how many mutations were delivered since it began
    """

    id: str
    connector: str
    at: float
    situation: Situation
    meaning: str = ""
    detail: str = ""
    what_to_do: str = ""
    audiences: int = 0
    batches: int = 0
    mutations: int = 0
    lasted_s: float = 0
    delivered: int = 0


class Untaken(msgspec.Struct, frozen=True, omit_defaults=True):
    """One who has not taken the newest notice yet. tries: begun so far. due_at: when the next may begin."""

    channel: Channel
    tries: int = 0
    due_at: float = 0


class Watch(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of one connector between two looks.

    told           how it stood when somebody was last told
    seen           how it stands since, where that is another situation nobody was told of yet
    trouble_since  since when it is not fine, as far as was told; 0: it is
    delivered_before  mutations delivered before that in the minute in which it began, since they are counted by minutes
    notice         the newest one; untaken: who is still to get it
    """

    version: int
    connector: str
    told: Situation = Situation()
    seen: Situation | None = None
    trouble_since: float = 0
    delivered_before: int = 0
    notice: Notice | None = None
    untaken: tuple[Untaken, ...] = ()


def look(before: Watch, standing: Standing, reason: HoldReason | None, now: float) -> Watch:
    """The record after a look at the connector. Where `told` differs from that before, somebody is to be told.

    What a person must do something about is told of at once, all else when it has stood for `STANDS_S`; a situation that gave way
    to the told one before that is forgotten.
    """
    found = Situation(standing, reason, now)
    if found.same_as(before.told):
        return replace(before, seen=None)
    if before.seen is not None and found.same_as(before.seen):
        found = replace(found, since=min(before.seen.since, now))
    seen = replace(before, seen=found)
    if not found.stands_at_once and now - found.since < STANDS_S:
        return seen
    trouble_since = 0.0 if found.standing == "fine" else before.trouble_since or found.since
    return replace(seen, told=found, seen=None, trouble_since=trouble_since)


def begins(before: Watch, after: Watch) -> bool:
    """Whether the look between them is the first that saw this trouble of a connector that was fine, as far as was told."""
    known = before.seen.since if before.seen is not None else None
    now = after.seen or after.told
    return not before.trouble_since and now.standing != "fine" and now != before.told and now.since != known


def unwatched(before: Watch) -> Watch:
    """The record while nobody is to be told how the connector stands, since somebody switched it off or it is incomplete: what
    was told stays so, and what was not is seen anew when it runs again. That a trouble is over stays known, and when that was."""
    return before if before.seen is not None and before.seen.standing == "fine" else replace(before, seen=None)


def told(watch: Watch, notice: Notice, channels: tuple[Channel, ...]) -> Watch:
    """This notice is to be taken by these; one before it that was not taken is overtaken."""
    return replace(watch, notice=notice, untaken=tuple(Untaken(channel) for channel in channels))


def claimed(watch: Watch, channel: Channel, *, until: float) -> Watch:
    """Somebody begins to send the notice there, and nobody else does before that moment."""
    return replace(
        watch,
        untaken=tuple(
            replace(one, tries=one.tries + 1, due_at=until) if one.channel == channel else one for one in watch.untaken
        ),
    )


def taken(watch: Watch, notice_id: str, channel: Channel) -> Watch:
    """It was taken there. Nothing changes where another notice has come since."""
    if watch.notice is None or watch.notice.id != notice_id:
        return watch
    return replace(watch, untaken=tuple(one for one in watch.untaken if one.channel != channel))


def retry_s(tries: int) -> float:
    """Seconds after the beginning of a try until the next one may begin: a minute, longer than any try takes, doubling to an
    hour."""
    return min(3_600.0, 60.0 * float(2 ** min(max(tries - 1, 0), 10)))
