"""Drafts: documents that somebody writes in the console and has not finished."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Draft(msgspec.Struct, frozen=True, omit_defaults=True):
    """One unfinished document. What is in it concerns nobody but who edits it: nothing runs by it.

    key         names it, in addresses too: nothing that could be guessed
    document    the name that the document has so far; may be empty
    changed_at  seconds since the epoch
    content     what is written so far, as JSON
    base        number of the version that it began from; 0: from none
    revision    counts its changes; 0: it is not stored yet
    """

    key: str
    document: str
    by: str
    changed_at: float
    content: str
    base: int = 0
    revision: int = 0


class Drafts(Protocol):
    """All drafts of the installation; there are few. One that nobody has changed for 90 days is tidied away."""

    def put(self, draft: Draft) -> Draft:
        """Stores the next revision of it, which is returned. `Conflict` where what is stored is not the revision that was
        changed: somebody else, or another window, was faster; or it was deleted."""
        ...

    def get(self, key: str) -> Draft:
        """`NotFound` if there is none."""
        ...

    def all(self) -> list[Draft]:
        """The one that was changed last first."""
        ...

    def delete(self, key: str) -> None:
        """Nothing happens if there is none."""
        ...
