"""The reasons of holds as the pages say them: what one means, and the way out, by pages and buttons instead of commands."""

from __future__ import annotations

import msgspec

from relay.domain.audience import NEEDS_SOMEONE, HoldReason
from relay.health.advice import ADVICE


class Words(msgspec.Struct, frozen=True):
    """meaning: why batches wait. way: the way out. place: where on the connector's page that is; empty: not there. act: it rarely
    passes without a person."""

    reason: HoldReason
    meaning: str
    way: str
    place: str = ""
    act: bool = False


_BY_ITSELF = "Nothing to do: it is tried again by itself. Resuming tries it now."

_WAYS: dict[HoldReason, tuple[str, str]] = {
    "gathering": ("Nothing to do: it is sent when enough has come together, or the time is over. Resuming sends it now.", ""),
    "connector_off": (
        "Switch the connector, or its paused action, on, or complete what it lacks. What waits then goes on by itself.",
        "switches",
    ),
    "partner_unavailable": (_BY_ITSELF, ""),
    "come_back_later": ("Nothing to do: it goes on when the partner allows it. Resuming does not shorten that.", ""),
    "credentials_refused": (
        "Set the right secrets on the connector's page: then it is tried at once. If the partner was wrong, resume.",
        "secrets",
    ),
    "audience_not_ready": (
        "Usually nothing to do: it is tried again by itself. An audience that nobody has announced must be created in the DMP, "
        "or linked here to one of the partner's.",
        "",
    ),
    "audience_gone": (
        "Link the audience to another one of the partner's; or have it created anew there and filled from the journal; or "
        "discard what waits.",
        "",
    ),
    "misconfigured": (
        "Correct the connector and publish it: then it is tried at once. Once the partner's account is right, resume. If it is "
        "the users themselves that cannot be sent, discard what waits.",
        "settings",
    ),
    "crashed": ("Look at the worker's log, then resume. If it ends the worker again, discard what waits.", ""),
    "paused": ("Resume when it may go on.", ""),
    "replaying": ("Nothing to do: it goes on by itself.", ""),
}


def words_of(reason: HoldReason) -> Words:
    """Of this reason, in general; what one hold needs may be said more closely by `relay.health.advice`."""
    way, place = _WAYS[reason]
    meaning = ADVICE[reason].meaning
    return Words(reason, f"{meaning[0].upper()}{meaning[1:]}.", way, place, reason in NEEDS_SOMEONE)
