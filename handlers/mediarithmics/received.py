"""Which identifiers this process received lately, by audience: as hashes, to compare with what is stored and what the partner
has."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any

from relay.domain.clock import Clock
from relay.domain.outcome import hash_user

SAMPLE = 20
"""So many of each audience, the newest."""

MOST_AUDIENCES = 1_000


class _Seen:
    __slots__ = ("newest", "number")

    def __init__(self) -> None:
        self.number = 0
        self.newest: deque[str] = deque(maxlen=SAMPLE)


class Received:
    """Used on one event loop. Nobody ever asks about most audiences, so an identifier is hashed only when it is looked at."""

    def __init__(self, clock: Clock) -> None:
        self._since = clock.now()
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def note(self, audience: str, identifiers: Iterable[str]) -> None:
        """These were accepted, as the platform writes them."""
        seen = self._seen.pop(audience, None) or _Seen()
        self._seen[audience] = seen
        if len(self._seen) > MOST_AUDIENCES:
            self._seen.popitem(last=False)
        for one in identifiers:
            seen.number += 1
            seen.newest.append(one)

    def told(self, audience: str) -> dict[str, Any]:
        """The number and the newest, as hashes."""
        seen = self._seen.get(audience) or _Seen()
        return {
            "identifiers": seen.number,
            "since": self._since,
            "sample": [hash_user(one) for one in seen.newest],
            "sample_is": f"SHA-256, in hexadecimal, of the newest {SAMPLE} identifiers, as the platform sends them.",
            "note": "By the process that answers this request, since it started; others have received more.",
        }
