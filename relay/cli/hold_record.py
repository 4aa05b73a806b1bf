"""A hold as scripts are given it."""

from __future__ import annotations

from typing import Any

from relay.cli.output import iso
from relay.domain.audience import Audience, Hold
from relay.health.advice import hold_reason, needs_someone, what_to_do


def hold_as_json(audience: Audience, hold: Hold) -> dict[str, Any]:
    """A hold for a script. Moments are UTC."""
    return {
        "connector": audience.connector,
        "audience": audience.id,
        "name": audience.name,
        "reason": hold_reason(audience, hold),
        "detail": hold.detail,
        "needs_someone": needs_someone(audience, hold),
        "what_to_do": what_to_do(audience, hold),
        "since": iso(hold.since),
        "due_at": iso(hold.due_at),
        "oldest_at": iso(hold.oldest_at),
        "probes": hold.probes,
        "batches": hold.batches,
        "mutations": hold.items,
        "bytes": hold.bytes,
    }
