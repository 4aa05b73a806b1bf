"""An audience's record: its identity at the partner, its turn, its hold. The state changes are pure functions, so that every
back end runs the same ones, each inside its own kind of transaction.

The mechanism (turn, position, fence, hold) is described in docs/architecture.md.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec
from msgspec.structs import replace

from relay.domain.feed import Use
from relay.domain.message import Message, Replay

VERSION = 1

NEWEST = 2
"""The newest that this program reads. 2 has a `use` with settings or a login of its own: a program that passed that over would
lose it, and deliver with the connector's."""

CRASH_LIMIT = 3
"""The begun-but-never-ended attempts at one message after which it joins the hold instead of being tried again."""

REFUSAL_LIMIT = 3
"""A message that is behind the recorded position is refused so many times; then the queue's order is the truth."""

REMEMBERED_TURNS = 100
"""So many messages of one position at most are remembered to have had their turn: as many as a request with 100,000 users of one
audience is cut into."""

ASK_AGAIN_S = 60
"""A hold that a resume was published for is not asked again within so many seconds."""

REPLAY_PLACES = 1_000_000
"""Free places in front of a replay in a hold, for the journaled batches that are put there, some at a time."""

Status = Literal["unknown", "creating", "ready", "failed"]

HoldReason = Literal[
    "gathering",
    "connector_off",
    "partner_unavailable",
    "come_back_later",
    "credentials_refused",
    "audience_not_ready",
    "audience_gone",
    "misconfigured",
    "crashed",
    "paused",
    "replaying",
]
HOLD_REASONS: tuple[HoldReason, ...] = get_args(HoldReason)

NEEDS_SOMEONE: frozenset[HoldReason] = frozenset(
    {"credentials_refused", "audience_gone", "misconfigured", "crashed"}
)
"""Reasons that rarely pass without a person: `diy status` says what to do."""


class Proof(msgspec.Struct, frozen=True, omit_defaults=True):
    """The actions by which the partner took something during a hold, under one version of the document: what they are refused
    there is the users' own, and not the connector's, fault."""

    document_version: int
    actions: tuple[str, ...]


class Hold(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an audience's batches wait, and what waits.

    due_at    seconds since the epoch at which a resume is published; None: only when the reason is gone or someone says so
    probes    how often the partner was tried in this hold without success
    asked_at  when a resume was last published for it; 0 if none is on its way
    proof     what shows that refusals are the users' own fault
    at_most   most users in a call while a bad one is looked for, so that the search gets further however short its turns are;
              0: as the connector's limits say
    own_pace  nothing is wrong: there is only more to send than the connector may send just now
    batches, items, bytes, oldest_at  what waits: numbers, encoded size, and when the oldest request in it was received
    """

    reason: HoldReason
    since: float
    due_at: float | None = None
    detail: str = ""
    probes: int = 0
    asked_at: float = 0
    proof: Proof | None = None
    at_most: int = 0
    own_pace: bool = False
    batches: int = 0
    items: int = 0
    bytes: int = 0
    oldest_at: float = 0


class Replayed(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far the replay is that came first in the hold last, or how it ended.

    request_id  of its message
    began_at, ended_at  seconds since the epoch; ended_at 0: it goes on
    """

    request_id: str
    replay: Replay
    began_at: float
    ended_at: float = 0


class Audience(msgspec.Struct, frozen=True, omit_defaults=True):
    """One audience of one connector.

    id          the key everywhere: the DMP's ID, or the partner's where the connector's mode is `partner`
    partner_id  the partner's ID; None until created
    turn        number of the newest turn: the fence
    position    position of the newest message that had its turn
    turns_at    the IDs of the last messages that had their turn at this very position, in that order: a queue whose positions are
                times can give several the same one
    attempt_of, attempts  the message whose turn began last, and how often: a message that kills its worker is found so
    refused_of, refusals  the message refused last for its position, and how often
    claim_by, claim_until who creates the audience at the partner right now, and until when that holds
    answers_to  in mode `partner`, the record under the DMP's ID is only the memory of a creation: it says which ID was answered
    next_place  the next free place in the hold
    went_back_at  the place in the hold at which a message was last let through though a later one had had its turn: the queue
                hands out everything behind it again, too, so what waits before this place does not count as being there already
    replayed    what was sent again from the journal last
    use         how a feed uses the connector for this audience; None: as the document says
    """

    version: int
    connector: str
    id: str
    name: str = ""
    status: Status = "unknown"
    partner_id: str | None = None
    customer: int | str | None = None
    error: str = ""
    paused: bool = False
    hold: Hold | None = None
    turn: int = 0
    position: int = 0
    turns_at: tuple[str, ...] = ()
    attempt_of: str = ""
    attempts: int = 0
    refused_of: str = ""
    refusals: int = 0
    claim_by: str = ""
    claim_until: float = 0
    answers_to: str = ""
    next_place: int = 1
    went_back_at: int = 0
    replayed: Replayed | None = None
    use: Use | None = None
    created_at: float = 0
    updated_at: float = 0

    @property
    def reference(self) -> str:
        """Our name for it at the partner, by which a repeated creation finds it."""
        return f"{self.connector}/{self.id}"


class Waiting(msgspec.Struct, frozen=True):
    """A batch in a hold. `message` holds only what is not settled yet (see `Mutation.done`). `bytes`: its encoded size."""

    place: int
    message_id: str
    message: Message
    bytes: int
    added_at: float


class HoldRequest(msgspec.Struct, frozen=True):
    """The hold that a turn asks for: see `Hold`. `probe`: whether it was tried in vain, which lengthens the wait."""

    reason: HoldReason
    due_at: float | None
    detail: str = ""
    probe: bool = False
    proof: Proof | None = None
    at_most: int = 0
    own_pace: bool = False


Verdict = Literal["go", "behind", "crashed"]


def begin_turn(
    audience: Audience, *, position: int, message_id: str, now: float, forgiven: int = 0
) -> tuple[Audience, Verdict, bool]:
    """The one conditional write that begins a turn: the record, the verdict, and whether the message was let through.

    `behind`: a later message has already had its turn; the record only counts the refusal, no turn begins. Of two with the same
    position the one whose turn began last is the later one.
    `crashed`: a turn begins, and it is the third for this message: it must join the hold untouched. In a hold that is there for
    that reason already, it is the second.

    A message that is let through though a later one had its turn takes the queue's order with it: see `went_back_at`. The record
    names the place in the hold at which this turn's batch would be.

    forgiven: turns of this message that ended in an orderly way without an end to it, since the store could not be reached.
    """
    behind = position < audience.position or (position == audience.position and message_id in audience.turns_at[:-1])
    if behind:
        refusals = audience.refusals + 1 if audience.refused_of == message_id else 1
        if refusals <= REFUSAL_LIMIT:
            return replace(audience, refused_of=message_id, refusals=refusals, updated_at=now), "behind", False
    attempts = audience.attempts + 1 if audience.attempt_of == message_id else 1
    if position > audience.position:
        turns_at: tuple[str, ...] = (message_id,)
    elif behind or message_id in audience.turns_at:
        turns_at = audience.turns_at
    else:
        turns_at = (*audience.turns_at, message_id)[-REMEMBERED_TURNS:]
    # One of the same position that is not remembered is new, or forgotten. For a new one it makes no difference: what is in front
    # of it comes again only if it is let through.
    is_newest = position > audience.position or audience.turns_at[-1:] == (message_id,)
    begun = replace(
        audience,
        turn=audience.turn + 1,
        position=max(position, audience.position),
        turns_at=turns_at,
        attempt_of=message_id,
        attempts=attempts,
        went_back_at=audience.went_back_at if is_newest else audience.next_place,
        created_at=audience.created_at or now,
        updated_at=now,
    )
    limit = CRASH_LIMIT - 1 if audience.hold and audience.hold.reason == "crashed" else CRASH_LIMIT
    return begun, "crashed" if attempts - forgiven >= limit else "go", behind


def had_together(audience: Audience, *, position: int, message_id: str, now: float) -> Audience:
    """The turn that stands has also had the messages that follow its own, up to this one, which is written when it ends: until
    then it would begin anew with the first of them."""
    return replace(audience, position=position, turns_at=(message_id,), updated_at=now)


def join(audience: Audience, message: Message, size: int, request: HoldRequest, *, now: float) -> tuple[Audience, int]:
    """The batch joins the hold, which is set if there is none. Returns the record and the batch's place.

    A standing hold keeps its reason and due time: the batch is behind what already waits there. In front of a replay
    `REPLAY_PLACES` places are left free.
    """
    place = audience.next_place + (REPLAY_PLACES if message.kind == "replay" else 0)
    hold = audience.hold or Hold(
        reason=request.reason,
        since=now,
        due_at=request.due_at,
        detail=request.detail,
        probes=1 if request.probe else 0,
        proof=request.proof,
        at_most=request.at_most,
        own_pace=request.own_pace,
        oldest_at=message.wanted_at,
    )
    hold = replace(
        hold,
        batches=hold.batches + 1,
        items=hold.items + len(message.mutations),
        bytes=hold.bytes + size,
        oldest_at=min(hold.oldest_at or message.wanted_at, message.wanted_at),
    )
    return replace(audience, hold=hold, next_place=place + 1, updated_at=now), place


def settle(
    audience: Audience,
    *,
    batches: int,
    items: int,
    size: int,
    oldest_at: float,
    request: HoldRequest | None,
    progress: bool,
    now: float,
) -> Audience:
    """The end of a step of a resume turn. `batches`, `items`, `size`, `oldest_at` describe what waits now (the back end counts).

    Nothing waits: the hold is lifted. Something waits: the hold stands; with a request the turn ends, and the hold has its reason
    and due time. `progress`: the partner took something, which starts the probes anew, as another reason does.
    """
    counted = recount(audience, batches=batches, items=items, size=size, oldest_at=oldest_at, now=now)
    if counted.hold is None:
        return counted
    hold = counted.hold
    if request is not None:
        before = 0 if progress or request.reason != hold.reason else hold.probes
        hold = replace(
            hold,
            reason=request.reason,
            due_at=request.due_at,
            detail=request.detail,
            probes=before + (1 if request.probe else 0),
            asked_at=0,
            proof=request.proof or hold.proof,
            at_most=request.at_most or (0 if progress else hold.at_most),
            own_pace=request.own_pace,
        )
    elif progress:
        hold = replace(hold, own_pace=True)  # whatever it was set for is over, and what is left goes on at once
    return replace(audience, hold=hold, updated_at=now)


def recount(audience: Audience, *, batches: int, items: int, size: int, oldest_at: float, now: float) -> Audience:
    """The record after batches left the hold: it is lifted if nothing waits, and else stands as it is."""
    if batches == 0:
        return replace(audience, hold=None, updated_at=now)
    hold = audience.hold or Hold(reason="gathering", since=now)
    return replace(
        audience, hold=replace(hold, batches=batches, items=items, bytes=size, oldest_at=oldest_at), updated_at=now
    )


def expand(
    audience: Audience,
    replay: Message,
    rest: Message | None,
    *,
    batches: int,
    items: int,
    size: int,
    oldest_at: float,
    now: float,
) -> Audience:
    """Journaled batches were put in front of the replay, which now is `rest` or has left (None). `batches`, `items`, `size`,
    `oldest_at` describe what waits now (the back end counts).

    Whatever the hold was set for is over, since everything in front of the replay has been settled.
    """
    if replay.replay is None:
        raise ValueError("This message is no replay.")
    last = audience.replayed
    began_at = last.began_at if last is not None and last.request_id == replay.request_id else now
    state = rest.replay if rest is not None and rest.replay is not None else replay.replay
    ended_at = now if rest is None else 0
    counted = recount(audience, batches=batches, items=items, size=size, oldest_at=oldest_at, now=now)
    if counted.hold is not None and counted.hold.reason != "replaying":
        anew = replace(counted.hold, reason="replaying", due_at=now, detail="", probes=0, at_most=0, own_pace=False)
        counted = replace(counted, hold=anew)
    return replace(counted, replayed=Replayed(replay.request_id, state, began_at, ended_at))


def end_turn(audience: Audience) -> Audience:
    """The turn that stands, if it is still under way, writes nothing more. That is not held against its message."""
    return replace(audience, turn=audience.turn + 1, attempts=max(0, audience.attempts - 1))


def make_due(audience: Audience, *, now: float) -> Audience:
    """Its hold, if there is one, is to be resumed now, even if that was asked for a moment ago."""
    if audience.hold is None:
        return audience
    return replace(audience, hold=replace(audience.hold, due_at=now, asked_at=0), updated_at=now)


def claim(audience: Audience, *, owner: str, until: float, now: float) -> Audience | None:
    """The right to create it at the partner, or None while somebody else has it or it needs no creation."""
    if audience.partner_id is not None or audience.answers_to:
        return None
    if audience.claim_by and audience.claim_by != owner and audience.claim_until > now:
        return None
    return replace(
        audience, status="creating", claim_by=owner, claim_until=until, created_at=audience.created_at or now, updated_at=now
    )
