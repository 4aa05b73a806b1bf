"""Audiences: their turns, their holds, and their creation at the partner."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import msgspec

from relay.domain.audience import Audience, HoldReason, HoldRequest, Status, Verdict, Waiting
from relay.domain.connector import ConnectorState
from relay.domain.feed import Use
from relay.domain.message import Message
from relay.domain.outcome import Rejection


class Turn(msgspec.Struct, frozen=True):
    """A turn as it began: the audience's record and the connector's state, read in the same transaction.

    number: the fence; every later write of the turn names it. verdict `behind`: no turn began.
    let_through: it is behind, and was refused as often as it may be.
    """

    connector: str
    audience_id: str
    message_id: str
    number: int
    verdict: Verdict
    audience: Audience
    state: ConnectorState
    let_through: bool = False


class HoldSummary(msgspec.Struct, frozen=True):
    """Audiences that are held for one reason, and what waits in them.

    oldest_at  when the oldest request that waits was received, seconds since the epoch; 0 if that is unknown
    next_due   when the next of them is tried again; for one that was asked for since, when it was asked for. None if none is by
               itself. Audiences that are paused have no part in it
    partly     they were too many to look at all of them: what waits is at least so much, and the moments are those of some
    """

    audiences: int = 0
    batches: int = 0
    items: int = 0
    bytes: int = 0
    oldest_at: float = 0
    next_due: float | None = None
    partly: bool = False


class AudienceSummary(msgspec.Struct, frozen=True):
    """The audiences of one connector, added up. A record that only remembers an answer to the DMP (`answers_to`) is not counted
    as an audience, though what is held in it is.

    holds: by the reason that the hold was set for, whether or not the audience was paused after that.
    """

    audiences: int = 0
    by_status: dict[str, int] = {}
    holds: dict[HoldReason, HoldSummary] = {}

    @property
    def held(self) -> int:
        """How many have a hold."""
        return sum(one.audiences for one in self.holds.values())


class Audiences(Protocol):
    """Audiences, their turns and their holds. Methods that take a `Turn` raise `TurnLost` once another turn has begun."""

    def get(self, connector: str, audience_id: str) -> Audience | None: ...

    def several(self, places: Collection[tuple[str, str]]) -> dict[tuple[str, str], Audience]:
        """Those of these audiences (connector, ID) that there are: one reading, however many. For some hundred."""
        ...

    def all(self, connector: str | None = None) -> list[Audience]:
        """In the order of connector and ID."""
        ...

    def held(self, connector: str | None = None) -> list[Audience]:
        """Those with a hold, in the order of connector and ID."""
        ...

    def page(
        self,
        connector: str | None = None,
        *,
        like: str = "",
        status: Status | None = None,
        held: Collection[HoldReason] = (),
        paused: bool = False,
        answers: bool = False,
        after: tuple[str, str] | None = None,
        limit: int,
    ) -> list[Audience]:
        """The first `limit` of them behind `after` (connector, ID), in the order of connector and ID (on google, where other
        characters than letters, digits and `-._~` are in them, the order is another one, and always the same).

        like: part of the ID, the name or the partner's ID, whatever its case. status: those that have it. held: those with a hold
        for one of these reasons, as the hold has it; empty: all, held or not. paused: those that an operator paused.
        answers: those that only remember an answer to the DMP (`answers_to`).
        """
        ...

    def summary(self, connector: str | None = None) -> dict[str, AudienceSummary]:
        """Connector → its audiences, added up; of one, or of all; connectors without any are left out."""
        ...

    # turns
    def begin_turn(
        self, connector: str, audience_id: str, *, position: int, message_id: str, forgiven: int = 0
    ) -> Turn:
        """`domain.audience.begin_turn` in a transaction; makes the record where there is none."""
        ...

    def require(self, turn: Turn) -> None:
        """Returns while the turn stands. Raises `TurnLost` once another turn has begun; one read."""
        ...

    def join(self, turn: Turn, message: Message, request: HoldRequest) -> Audience:
        """The batch joins the hold. A message that is there already (same message ID) is not added twice."""
        ...

    def waiting(self, turn: Turn, *, max_items: int, max_bytes: int) -> list[Waiting]:
        """The first batches in the hold, in order, up to these sums, at least one if any waits."""
        ...

    def settle(
        self, turn: Turn, *, taken: Sequence[Waiting], rest: Sequence[Waiting], request: HoldRequest | None, progress: bool
    ) -> Audience:
        """In one transaction: `taken` leave the hold, `rest` (some of them, with what is not settled) stay at their places,
        and the hold is lifted if nothing waits, else stands as requested (`domain.audience.settle`)."""
        ...

    def expand(self, turn: Turn, replay: Waiting, batches: Sequence[Waiting], rest: Message | None) -> Audience:
        """In one transaction: these batches, journaled ones with message IDs of their own, take the places before the replay, the
        first in the hold; and the replay becomes `rest`, or leaves (None; then there are no batches), which lifts the hold if
        nothing waits. The record says how far the replay is (`domain.audience.expand`). If somebody dropped the replay meanwhile,
        nothing is written.

        `place`, `bytes` and `added_at` of what is given are not heeded: the batches count as having joined, and as having been
        received, when the replay was, so that a hold stays in the order of time."""
        ...

    # holds, from outside a turn
    def due(self, now: float) -> list[Audience]:
        """Held audiences whose due time has come, and those that are held as `connector_off` or `paused` without one (their
        reason may be gone); not those asked within the last 60 s."""
        ...

    def next_due(self) -> float | None:
        """The earliest due time of a hold that was not asked yet; None if there is none."""
        ...

    def mark_asked(self, audience: Audience) -> bool:
        """A resume is about to be published for this hold. False, and nothing is written, if the hold is not the one in the given
        record any more, or was asked for since: then no resume is needed."""
        ...

    def make_due(self, connector: str, audience_id: str | None = None, *, reasons: Collection[HoldReason] | None = None) -> int:
        """Sets the due time of these holds to now. Returns how many."""
        ...

    def set_paused(self, connector: str, audience_id: str, paused: bool) -> Audience:
        """`NotFound` if the audience was never seen. What it holds as `paused` is among the `due`."""
        ...

    def peek(self, connector: str, audience_id: str, *, limit: int) -> list[Waiting]:
        """The first waiting batches, for display."""
        ...

    def drop(
        self,
        connector: str,
        audience_id: str,
        *,
        older_than: float | None,
        limit: int,
        reject: Callable[[Sequence[Waiting]], Sequence[Rejection]],
    ) -> int:
        """Takes the first `limit` batches (that joined before `older_than`, if given) out of the hold and stores the rejections
        that `reject` makes of them; no batch leaves without its rejections being stored in the same transaction. The record's
        hold is counted anew, and lifted if nothing waits. Returns how many batches left, at least one where any should."""
        ...

    # creation
    def unlink(self, connector: str, audience_id: str) -> Audience:
        """The partner lost it: the record forgets the partner's ID, which is free for another, and the next turn creates the
        audience anew. Its holds become due. `NotFound` if the audience was never seen; `Conflict` where its key is the partner's
        ID (mode `partner`)."""
        ...

    def claim_creation(
        self, connector: str, audience_id: str, *, owner: str, for_s: float, name: str | None, customer: int | str | None
    ) -> tuple[Audience, bool]:
        """The record, and whether `owner` now has the claim. Notes name and customer where given."""
        ...

    def set_use(self, connector: str, audience_id: str, use: Use, *, instead_of: str = "") -> Audience:
        """A feed uses the connector like this for the audience from now on; makes the record where there is none. In mode
        `partner` the entry under the answered ID is changed with it. `UsedOtherwise`, and nothing is written, where another feed
        uses it otherwise, unless that is `instead_of` (`domain.creation.used`)."""
        ...

    def created(self, connector: str, audience_id: str, *, partner_id: str, status: str = "ready") -> Audience:
        """The partner's ID is known; ends the claim; holds that wait for it become due. Never replaces another partner ID.
        `Conflict`, and nothing is written, if another audience of the connector has it: two in one list would undo each other's
        removals."""
        ...

    def creation_failed(self, connector: str, audience_id: str, *, owner: str, error: str, final: bool) -> None:
        """Ends the owner's claim; status `failed` if final, else `unknown`."""
        ...

    def remember_answer(self, connector: str, audience_id: str, *, partner_id: str, name: str) -> Audience:
        """Mode `partner`: writes the entry under the partner's ID (ready), and marks the record under the DMP's ID as the
        memory of its creation (`answers_to`), which no longer counts as having it. Returns the entry. `Conflict` as for
        `created`."""
        ...

    def link(self, connector: str, audience_id: str, *, partner_id: str, name: str | None = None) -> Audience:
        """By hand: this audience is that one at the partner, whatever was recorded before. Its holds become due. The partner's ID
        that it had is free for another. `Conflict` as for `created`."""
        ...
