"""What the rest of the project asks of a back end. Every back end passes the suite in `tests/contract/backends`.

All methods may raise `StoreUnavailable`. "Now" comes from the clock that the back end was opened with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from relay.domain.audience import Audience, HoldReason, HoldRequest, Verdict, Waiting
from relay.domain.connector import ActionSwitch, ConnectorState, DocumentVersion, InboundDocument, RateLimits
from relay.domain.message import Message
from relay.domain.outcome import Rejection, Report

ATTEMPTS_KEPT = 1_000
"""Attempts kept of each connector, of the last `FAILED_ATTEMPTS_KEPT_S` at least."""

FAILED_ATTEMPTS_KEPT_S = 7 * 86400.0
"""Failed attempts are kept so long, beyond that number too."""

DRAFTS_KEPT_S = 90 * 86400.0
"""Versions that were never published are kept so long."""

COUNTERS_KEPT_S = 40 * 86400.0

AUDIT_KEPT_S = 400 * 86400.0

LATENCY_CLASSES_MS: tuple[int, ...] = (
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 600_000,
    2_592_000_000,
)  # fmt: skip
"""Upper bounds of the latency classes: fine up to ten minutes, then one for all that waited in a hold (30 days)."""


def latency_class(latency_ms: float) -> int:
    """The upper bound of its class; the last one has no end."""
    return next((bound for bound in LATENCY_CLASSES_MS if latency_ms <= bound), LATENCY_CLASSES_MS[-1])


class Leased(msgspec.Struct, frozen=True):
    """A message taken from the queue, and the right to acknowledge it until `lease_until` (seconds since the epoch).

    position: its place in the order of its key. deliveries: how often it was handed out, this time included.
    """

    message_id: str
    key: str
    position: int
    body: bytes
    deliveries: int
    lease: str
    lease_until: float

    @property
    def connector(self) -> str:
        """The first part of its key."""
        return self.key.partition("/")[0]


class Publisher(Protocol):
    """The receiver's end of the queue."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns when all of them are safe; those of one key keep their order. Raises `StoreUnavailable`; then a part of
        them may have been queued."""
        ...

    async def close(self) -> None:
        """Finishes what is under way."""
        ...


class Queue(Protocol):
    """The worker's end: ordering keys, one message of a key at a time, leases, redelivery. How messages come to the worker is the
    matter of `PullQueue` and `PushQueue`."""

    def publish(self, messages: Sequence[Message]) -> None:
        """As `Publisher.publish`, synchronous."""
        ...

    def acknowledge(self, leased: Leased) -> bool:
        """Removes it. False if the lease had been lost: then nothing happened."""
        ...

    def give_back(self, leased: Leased, *, delay_s: float) -> None:
        """It is handed out again after the delay, or a longer one of the queue's own; its key waits for it."""
        ...

    def depth(self) -> QueueDepth | None:
        """How much waits; None where the queue cannot tell."""
        ...


@runtime_checkable
class PullQueue(Queue, Protocol):
    """A queue that workers ask for messages (embedded)."""

    def take(self, *, busy: Collection[str] = ()) -> Leased | None:
        """The longest-waiting message whose key has none leased, not of the connectors in `busy`; None if there is none."""
        ...


@runtime_checkable
class PushQueue(Queue, Protocol):
    """A queue that calls the worker with each message, and learns from the answer what became of it (google)."""

    def receive(self, body: bytes) -> Leased:
        """The message that a call brings. Raises `BadPush` for a body that is none."""
        ...

    def settled(self, leased: Leased) -> bool:
        """Whether it was acknowledged, once it was handled: then the call is answered with success, else with a failure, and the
        message comes again. Asked once."""
        ...


class QueueDepth(msgspec.Struct, frozen=True):
    """Messages in the queue, the leased ones among them, and the age in seconds of the oldest (0 if empty)."""

    messages: int
    leased: int
    oldest_s: float


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


class Audiences(Protocol):
    """Audiences, their turns and their holds. Methods that take a `Turn` raise `TurnLost` once another turn has begun."""

    def get(self, connector: str, audience_id: str) -> Audience | None: ...

    def all(self, connector: str | None = None) -> list[Audience]:
        """In the order of connector and ID."""
        ...

    def held(self, connector: str | None = None) -> list[Audience]:
        """Those with a hold, in the order of connector and ID."""
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

    # holds, from outside a turn
    def due(self, now: float) -> list[Audience]:
        """Held audiences whose due time has come, and all that are held as `connector_off` or `paused` (their reason may be
        gone); not those asked within the last 60 s."""
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
    def claim_creation(
        self, connector: str, audience_id: str, *, owner: str, for_s: float, name: str | None, customer: int | str | None
    ) -> tuple[Audience, bool]:
        """The record, and whether `owner` now has the claim. Notes name and customer where given."""
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


class Connectors(Protocol):
    """Documents with versions, and the state of connectors."""

    def documents(self) -> list[str]:
        """Names of the documents, the first applied one first."""
        ...

    def versions(self, document: str) -> list[DocumentVersion]:
        """All versions, oldest first; `NotFound` if there is no such document."""
        ...

    def version(self, document: str, number: int) -> DocumentVersion: ...

    def add_version(self, document: DocumentVersion) -> DocumentVersion:
        """Stores it under the next number, which the stored record, returned, and each of its connectors (`document_version`)
        carry, whatever number was given."""
        ...

    def publish(self, document: str, number: int) -> None:
        """This version runs: `live` of all its connectors' states, since now (`live_since`); its gathering holds become due.
        States of connectors that the version does not have are set to live 0."""
        ...

    def delete(self, document: str) -> None:
        """The document with its versions, states and audiences. `Conflict` while batches of its connectors are held, and, where
        the queue can tell, while messages of them are queued: nothing that was accepted goes with it. A message that comes later
        joins a hold, and is delivered when the connector is applied again."""
        ...

    def state(self, connector: str) -> ConnectorState:
        """`NotFound` if there is none."""
        ...

    def states(self) -> list[ConnectorState]: ...

    def set_enabled(self, connector: str, enabled: bool) -> ConnectorState: ...

    def set_paused(self, connector: str, paused: bool) -> ConnectorState: ...

    def set_action(self, connector: str, action: str, switch: ActionSwitch | None) -> ConnectorState:
        """None switches it on again."""
        ...

    def not_before(self, connector: str, moment: float, *, reason: HoldReason, detail: str) -> None:
        """No call to this account before `moment`. Never shortens a later one; a moment in the past clears it. `NotFound` if the
        connector has no state."""
        ...

    def admit(self, connector: str, rate: RateLimits, *, items: int) -> float:
        """Asks for one call with so many items: 0 and it is counted, or the seconds to wait before asking again, because of the
        rate or of `not_before`. A call with more items than the rate allows in a period takes a whole period for itself."""
        ...

    def default(self) -> str:
        """The document whose connector answers at `/`: the chosen one, else the first applied; empty if there is none."""
        ...

    def set_default(self, document: str) -> None: ...


class Reports(Protocol):
    """What happened: attempts, rejections, counters and latencies by minute."""

    def attempt(self, report: Report, rejections: Sequence[Rejection]) -> None:
        """Records one attempt, whose ID no other has, with its counters (`outcome` → number) and its latency for what it
        delivered."""
        ...

    def attempts(self, connector: str | None = None, *, limit: int = 50, failed_only: bool = False) -> list[Report]:
        """Newest first. Kept at least: the last 1,000 of each connector of the last 7 days, and all failed ones of these."""
        ...

    def add_rejections(self, rejections: Iterable[Rejection]) -> None: ...

    def rejections(
        self, connector: str | None = None, *, limit: int = 100, audience: str | None = None, user_hash: str | None = None,
        after: int = 0, newest_first: bool = False
    ) -> list[tuple[int, Rejection]]:
        """Oldest first, or newest first, from behind the number `after` in that order (0: from the beginning); each with its
        number. Where several have the same one, a page that ends among them is so much longer than `limit`."""
        ...

    def totals(self, connector: str | None, *, since: float) -> dict[str, int]:
        """outcome → number since that moment, by minutes."""
        ...

    def by_minute(self, connector: str, *, since: float) -> list[tuple[int, dict[str, int]]]:
        """(minute as seconds since the epoch, outcome → number), oldest first, minutes without any left out."""
        ...

    def latencies(self, connector: str | None, *, since: float) -> dict[int, int]:
        """Upper bound of a class (`LATENCY_CLASSES_MS`) → number of mutations delivered within it."""
        ...


class Token(msgspec.Struct, frozen=True):
    """A token from OAuth. `expires_at`: seconds since the epoch."""

    access: str
    expires_at: float
    refresh: str = ""


class Tokens(Protocol):
    """Tokens shared by all workers, refreshed by one at a time."""

    def get(self, name: str) -> Token | None: ...

    def lease(self, name: str, *, owner: str, for_s: float) -> bool:
        """The right to refresh it; False while somebody else has it."""
        ...

    def put(self, name: str, token: Token, *, owner: str) -> None:
        """Stores it and ends the lease; `Conflict` if the owner's lease was lost: taken by another, or ended. One that merely ran
        out still stores, since the partner may have made the refresh token before it useless."""
        ...

    def release(self, name: str, *, owner: str) -> None:
        """Ends the owner's lease without storing anything. Nothing happens if the owner has none."""
        ...

    def delete(self, name: str) -> None: ...


class SecretInfo(msgspec.Struct, frozen=True):
    """A secret without its value."""

    name: str
    changed_at: float
    has_previous: bool


class Secrets(Protocol):
    """Named secrets, each with a current and a previous value."""

    def get(self, name: str) -> tuple[str, ...]:
        """(current,) or (current, previous); empty if it is not set."""
        ...

    def set(self, name: str, value: str) -> None:
        """Sets the current value and forgets the previous one. `ConfigurationError` for an empty value, and everywhere for a name
        that is not made of a-z, 0-9, '.', '_' and '-'."""
        ...

    def rotate(self, name: str, value: str) -> None:
        """The current value becomes the previous one. `NotFound` if it is not set. Nothing changes where it is the current value
        already: one who repeats a rotation that was cut short must not lose the value before."""
        ...

    def retire(self, name: str) -> None:
        """Forgets the previous value."""
        ...

    def delete(self, name: str) -> None:
        """Forgets both values. `NotFound` if it is not set."""
        ...

    def all(self) -> list[SecretInfo]: ...


class InboundStore(Protocol):
    """Where the inbound document lives."""

    def read(self) -> InboundDocument | None:
        """None if it was never written."""
        ...

    def write(self, document: InboundDocument) -> None: ...

    def changed(self) -> object:
        """Something cheap that differs whenever the document may have changed."""
        ...


class AuditEntry(msgspec.Struct, frozen=True):
    """Who did what to which thing."""

    at: float
    by: str
    what: str
    subject: str
    detail: str = ""


class Audit(Protocol):
    def add(self, *, by: str, what: str, subject: str, detail: str = "") -> None: ...

    def newest(self, *, limit: int = 100) -> list[AuditEntry]:
        """Newest first."""
        ...


class Backend(Protocol):
    """All of it. Opening a back end is cheap; each part connects when it is first used."""

    @property
    def queue(self) -> Queue: ...

    @property
    def audiences(self) -> Audiences: ...

    @property
    def connectors(self) -> Connectors: ...

    @property
    def reports(self) -> Reports: ...

    @property
    def tokens(self) -> Tokens: ...

    @property
    def secrets(self) -> Secrets: ...

    @property
    def inbound(self) -> InboundStore: ...

    @property
    def audit(self) -> Audit: ...

    def publisher(self) -> Publisher: ...

    def tidy(self) -> None:
        """Deletes records whose age has passed: rejections (each connector's retention), attempts, counters (40 days), audit
        (400 days), and versions that were never published (90 days; the newest version of a document stays). Held batches are the
        worker's to retire, since they become rejections."""
        ...

    def close(self) -> None: ...
