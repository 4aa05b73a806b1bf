"""Sending to a receiver that is not on this machine: one marked audience, few users, none of them left behind."""

from __future__ import annotations

from collections.abc import Iterable

from relay.domain.clock import Clock
from relay.simulator.credentials import Credentials
from relay.simulator.dmp import Answer, Change, Dmp, DmpAudience

AUDIENCE = DmpAudience("diy-relay-test.1", "DIY Relay test – may be deleted")
"""Always the same one, so that the partner does not fill with them."""

MOST_USERS = 10

_TRIES = 3
_PAUSE_S = 2.0


def users(count: int) -> tuple[str, ...]:
    """IDs that nobody else has."""
    return tuple(f"diy-relay-test-user-{number}" for number in range(1, min(count, MOST_USERS) + 1))


def remove_all(url: str, credentials: Credentials, audience_ids: Iterable[str], user_ids: Iterable[str], clock: Clock) -> Answer:
    """Removes all these users, whether they are known to be members or not. The last answer, which says if it worked."""
    changes = [Change(audience_id, user_id) for audience_id in audience_ids for user_id in user_ids]
    if not changes:
        return Answer(200)
    dmp = Dmp(url, credentials.hmac_secret, credentials.basic)
    try:
        answer = dmp.change("left", changes)
        for _ in range(_TRIES - 1):
            if answer.accepted:
                break
            clock.sleep(_PAUSE_S)
            answer = dmp.change("left", changes)
        return answer
    finally:
        dmp.close()
