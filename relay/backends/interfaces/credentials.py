"""Secrets, tokens, and the document by which the receiver knows its own."""

from __future__ import annotations

from typing import Protocol

import msgspec

from relay.domain.connector import InboundDocument


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

    def names(self, prefix: str) -> list[str]:
        """Those that begin so, in order: of tokens, and of leases for a token that is yet to come."""
        ...


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
