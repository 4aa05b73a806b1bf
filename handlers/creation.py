"""How the receiver asks for an audience to be created: the interface that the composition root fills in.

The receiver holds no partner credentials; behind this is either the same process or a private function.
"""

from __future__ import annotations

from typing import Literal, Protocol

AudienceMode = Literal["own", "partner"]
"""Whose ID the source uses afterwards: its own, or the one that the partner gave."""


class Creator(Protocol):
    """Creates audiences at the partner."""

    async def create(
        self,
        *,
        connector: str,
        audience: str,
        name: str,
        customer: int | str | None,
        mode: AudienceMode,
        request_id: str,
    ) -> str:
        """Returns the partner's ID of the audience, which is made if it does not exist; the same call again finds it.

        audience: the source's ID of it. In the mode `partner`, the entry under the partner's ID is written before this returns.
        Callers bound the time themselves and let the creation go on.

        Raises the `PartnerError`s, `NotFound` (no such connector), `Conflict` (the connector is off or incomplete, or its mode
        contradicts what exists; a readable sentence) and `StoreUnavailable`.
        """
        ...
