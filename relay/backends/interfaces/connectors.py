"""Connectors: their documents with versions, their state, and their rates."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from relay.backends.interfaces.audiences import Turn
from relay.domain.audience import HoldReason
from relay.domain.connector import ActionSwitch, ConnectorState, DocumentVersion, RateLimits


class Connectors(Protocol):
    """Documents with versions, and the state of connectors."""

    def documents(self) -> list[str]:
        """Names of the documents, the first applied one first."""
        ...

    def versions(self, document: str) -> list[DocumentVersion]:
        """All versions, oldest first; `NotFound` if there is no such document."""
        ...

    def newest(self, document: str) -> int:
        """Number of its newest version; `NotFound` if there is no such document."""
        ...

    def version(self, document: str, number: int) -> DocumentVersion: ...

    def versions_at(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], DocumentVersion]:
        """(document, number) → that version, in one read, however many; those that are not there are left out."""
        ...

    def add_version(self, document: DocumentVersion) -> DocumentVersion:
        """Stores it under the next number, which the stored record, returned, and each of its connectors (`document_version`)
        carry, whatever number was given."""
        ...

    def publish(self, document: str, number: int) -> None:
        """This version runs: `live` of all its connectors' states, since now (`live_since`); its gathering holds become due.
        States of connectors that the version does not have are set to live 0."""
        ...

    def delete(self, document: str) -> None:
        """The document with its versions, states and audiences, and its connectors' logins (tokens: `domain.feed.logins_of`).
        `Conflict` while batches of its connectors are held, and, where the queue can tell, while messages of them are queued:
        nothing that was accepted goes with it. A message that comes later joins a hold, and is delivered when the connector is
        applied again."""
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

    def admit(self, connector: str, rate: RateLimits, *, items: int, turn: Turn | None = None) -> float:
        """Asks for one call with so many items: 0 and it is counted, or the seconds to wait before asking again, because of the
        rate or of `not_before`. A call with more items than the rate allows in a period takes a whole period for itself.

        turn: whose call it is. Raises `TurnLost`, and nothing is counted, once another has begun (as `Audiences.require`); what
        says so is read together with the rate."""
        ...

    def default(self) -> str:
        """The document whose connector answers at `/`: the chosen one, else the first applied; empty if there is none."""
        ...

    def set_default(self, document: str) -> None: ...
