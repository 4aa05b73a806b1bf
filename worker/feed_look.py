"""What is known of a feed's audience in the three places where its members can be: received from the source, stored here, at the
partner. For people who compare them: identifiers only as hashes (`domain.outcome.hash_user`)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from adapters.contract import Adapter
from relay.backends.interfaces import Backend
from relay.domain.audience import Audience
from relay.domain.clock import Clock
from relay.domain.message import Message
from relay.domain.outcome import Rejection, hash_user

_ATTEMPTS = 200
_SAMPLE = 10
_BATCHES = 20
_JOURNAL_S = 86400.0
_REJECTIONS = 10

_SAMPLED = "SHA-256, in hexadecimal, of the identifier as it was received."
_COUNTED = "Attempts are counted as long as they are kept: the last ones of the connector, for 7 days."
_NO_JOURNAL = "The connector keeps no journal, so which users were received is not known once they are delivered."
_NO_MEMBERS = "The partner does not show who is in an audience, only what is said here."


def received(backend: Backend, audience: Audience, journal_days: int, *, now: float) -> dict[str, Any]:
    """What was settled lately, by outcome, and users of the newest day as far as there is a journal."""
    attempts = [
        one for one in backend.reports.attempts(audience.connector, limit=_ATTEMPTS, brief=True) if one.audience == audience.id
    ]
    outcomes: Counter[str] = Counter()
    for one in attempts:
        outcomes.update(one.counts)
    outcomes.pop("retry", None)  # it is counted again where it is settled
    found: dict[str, Any] = {
        "attempts": len(attempts),
        "settled": dict(outcomes),
        "last_attempt_at": max((one.at for one in attempts), default=None),
        "note": _COUNTED,
    }
    if not journal_days:
        return {**found, "note": f"{_COUNTED} {_NO_JOURNAL}"}
    since = now - _JOURNAL_S
    size = next((one for one in backend.journal.sizes(audience.connector, since=since) if one.audience == audience.id), None)
    entries = backend.journal.entries(audience.connector, audience.id, since=since, after=0, until=None)
    try:
        sample = _sample(one.message for one in itertools.islice(entries, _BATCHES))
    finally:
        entries.close()
    return {**found, "users_in_24h": size.items if size else 0, "sample": sample, "sample_is": _SAMPLED}


def stored(backend: Backend, audience: Audience) -> dict[str, Any]:
    """What waits here in front of the partner."""
    hold = audience.hold
    waiting = backend.audiences.peek(audience.connector, audience.id, limit=_BATCHES) if hold else []
    return {
        "batches": hold.batches if hold else 0,
        "users": hold.items if hold else 0,
        "oldest_at": (hold.oldest_at or None) if hold else None,
        "sample": _sample(one.message for one in waiting),
        "sample_is": _SAMPLED,
        "note": "What is still in the queue is not counted: it is there for moments.",
    }


def held(audience: Audience) -> dict[str, Any] | None:
    """Why that waits, and until when."""
    hold = audience.hold
    if hold is None:
        return None
    return {"reason": hold.reason, "detail": hold.detail, "since": hold.since, "due_at": hold.due_at, "paused": audience.paused}


def last_rejections(backend: Backend, audience: Audience) -> list[dict[str, Any]]:
    """The newest ones."""
    found = backend.reports.rejections(audience.connector, audience=audience.id, limit=_REJECTIONS, newest_first=True)
    return [_rejection(one) for _, one in found[:_REJECTIONS]]


def at_partner(adapter: Adapter, audience: Audience) -> dict[str, Any]:
    """What the partner says of it. Raises the `PartnerError`s."""
    if audience.partner_id is None:
        return {"exists": False, "note": "The audience has not been made at the partner yet."}
    described: Mapping[str, Any] = msgspec.to_builtins(adapter.describe_audience(audience.partner_id))
    return {"exists": True, "id": audience.partner_id, "status": audience.status, **described, "note": _NO_MEMBERS}


def nothing_known(clock: Clock) -> dict[str, Any]:
    """Of an audience that was never announced."""
    note = "This audience was never created here."
    return {
        "at": clock.now(),
        "received": {"attempts": 0, "settled": {}, "note": note},
        "stored": {"batches": 0, "users": 0, "sample": [], "note": note},
        "partner": {"exists": False, "note": note},
        "last_rejections": [],
        "hold": None,
    }


def _sample(messages: Iterable[Message]) -> list[dict[str, str]]:
    """The first users of these, each once, with the direction of the last that is known of them."""
    users: dict[str, str] = {}
    for message in messages:
        for mutation in message.mutations:
            key = mutation.user_key
            if key and (key in users or len(users) < _SAMPLE):
                users[key] = mutation.direction
    return [{"user": hash_user(key), "direction": direction} for key, direction in users.items()]


def _rejection(one: Rejection) -> dict[str, Any]:
    return {
        "user": one.user_hash,
        "direction": one.direction,
        "action": one.action,
        "code": one.code,
        "hint": one.hint,
        "at": one.at,
    }
