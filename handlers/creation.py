"""How the receiver asks for an audience to be created: the interface that the composition root fills in.

The receiver holds no partner credentials; behind this is either the same process or a private function.
"""

from __future__ import annotations

import re
from typing import Literal, Protocol

from relay.domain.errors import (
    AudienceNotReady,
    BatchRefused,
    Conflict,
    NotFound,
    PartnerError,
    StoreUnavailable,
    TryAgain,
    Unsupported,
)

AudienceMode = Literal["own", "partner"]
"""Whose ID the source uses afterwards: its own, or the one that the partner gave."""

_CAPITAL = re.compile("(?<!^)(?=[A-Z])")


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
        contradicts what exists; a readable sentence) and `StoreUnavailable`; or any other `RelayError` while something of ours is
        in no fit state, with a text for the operator only (it may name a file).
        """
        ...


def passes(trouble: Exception) -> bool:
    """Whether it is worth trying again later, though someone of ours may have to do something first."""
    return isinstance(trouble, TryAgain | AudienceNotReady) or not isinstance(trouble, PartnerError | NotFound)


def status_of(trouble: Exception) -> int:
    """The HTTP status of a creation that failed so: whose turn it is."""
    match trouble:
        case Conflict():
            return 409
        case NotFound():
            return 404
        case BatchRefused() | Unsupported():
            return 422
        case PartnerError() if not passes(trouble):
            return 502
    return 503


def code_of(trouble: Exception) -> str:
    """A short name of it, for logs and programs: the partner's code, else the error's name, as in `not_found`."""
    if isinstance(trouble, PartnerError):
        return trouble.code
    return _CAPITAL.sub("_", type(trouble).__name__).lower()


def sentence_of(trouble: Exception) -> str:
    """What may be said of it to whoever asked for the audience."""
    match trouble:
        case PartnerError():
            return trouble.hint
        case Conflict() | NotFound():
            return str(trouble)
        case StoreUnavailable():
            return "The audience was not created: its state could not be stored. Please send the request again."
    return "The audience cannot be created before an operator has looked at the connector: something about it cannot be read."
