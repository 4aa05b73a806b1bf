"""The journal: copies of accepted batches, kept so that they can be sent again."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

import msgspec

from relay.domain.message import Message


class Journaled(msgspec.Struct, frozen=True):
    """A batch as it was accepted. accepted_at: seconds since the epoch.

    position: its place in the order of its key, for whoever goes on behind it. Where places of the queue can be equal (google), a
    number of the journal's own, which no other batch of the key has.
    """

    position: int
    accepted_at: float
    message: Message


class JournalSize(msgspec.Struct, frozen=True):
    """What the journal has of one audience: batches, the mutations in them, and when the first of these was accepted."""

    audience: str
    batches: int
    items: int
    first_at: float


class Journal(Protocol):
    """Read by replays. Written with the queue: by a back end that knows the connector's state there, else as the receiver has
    marked the message (`Message.journal_days`)."""

    @property
    def late_s(self) -> float:
        """Seconds within which a receiver learns that a connector's journal was switched on."""
        ...

    def sizes(self, connector: str, *, since: float) -> list[JournalSize]:
        """By audience, of what was accepted since; in the order of the IDs. What was accepted a moment ago may be missing."""
        ...

    def entries(
        self, connector: str, audience_id: str, *, since: float, after: int, until: int | None
    ) -> Generator[Journaled, None, None]:
        """The batches (kind `change`) with positions above `after`, in the order of positions: from the first one accepted since
        that moment on, and up to the one at `until` where that is given, which is the position of a replay's own message: one
        accepted at the same moment may have been delivered before it. None: whatever is there, which may lack the newest. The
        generator is used up, or closed, within a turn.

        Raises `JournalBehind` while not everything up to `until` is there yet.
        """
        ...
