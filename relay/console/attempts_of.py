"""The last attempts to deliver to one audience."""

from __future__ import annotations

import msgspec

from relay.backends.interfaces import Backend
from relay.domain.audience import Audience
from relay.domain.outcome import Report

LOOKED_AT = 200
"""The newest attempts of the connector that are looked through: attempts are kept by connector."""

_SHOWN = 10


class Attempts(msgspec.Struct, frozen=True):
    """Newest first. looked_at: among how many of the connector's newest they were found; 0: among all that are kept."""

    shown: tuple[Report, ...]
    looked_at: int


def attempts_of(backend: Backend, audience: Audience) -> Attempts:
    """Raises `StoreUnavailable`."""
    newest = backend.reports.attempts(audience.connector, limit=LOOKED_AT, brief=True)
    found = [report for report in newest if report.audience == audience.id]
    return Attempts(tuple(found[:_SHOWN]), LOOKED_AT if len(newest) == LOOKED_AT and len(found) < _SHOWN else 0)
