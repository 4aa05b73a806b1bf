"""Notices: of which situation of a connector somebody was told, and who has yet to get the newest one."""

from __future__ import annotations

from typing import Protocol

from relay.domain.notice import Watch


class Notices(Protocol):
    """One record for each connector that is watched."""

    def all(self) -> list[Watch]:
        """In the order of the connectors' names. Records of a newer program are left out: they are that one's to look after."""
        ...

    def get(self, connector: str) -> Watch | None:
        """None too for a record of a newer program."""
        ...

    def replace(self, connector: str, before: Watch | None, after: Watch | None) -> bool:
        """Stores `after` (None: nothing) if the record still is `before` (None: if there is none); else False, and nothing
        changes."""
        ...
