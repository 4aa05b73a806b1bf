"""What was taken of a connector's rate within the last period, as the instances tell it to one another. Pure policy.

Times are whole microseconds since the epoch: a caller that waits exactly as long as told is then admitted.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

import msgspec
from msgspec.structs import replace

from relay.backends.records import Record
from relay.domain.connector import RateLimits

MICROSECONDS = 1_000_000

LEAD_US = 2 * MICROSECONDS
"""Nothing is taken for longer than so much beyond its own moment. What lies further in the future was written before a clock was
set back."""

_EXACT = 400
"""Entries that are kept as they are; of more, the older ones are merged."""

_GRAIN = 100
"""Entries of the same hundredth of a period are merged, and count as long as the last of them."""

_CORRECTED_US = 20 * MICROSECONDS
"""One who is still at work corrects what it took within so much time."""


class Taken(msgspec.Struct, frozen=True, array_like=True):
    """So many calls with so many items, none of which starts after `until`. `lease`: who may correct it; empty: nobody."""

    until: int
    calls: int
    items: int
    lease: str = ""


class Ledger(msgspec.Struct, frozen=True):
    """What counts, in the order of `until`.

    A call counts from the moment it is taken until a period after `until`, which it does not start after. So whatever is taken
    while the ledger has room keeps the rate in every stretch of a period, wherever that begins.
    """

    taken: tuple[Taken, ...] = ()

    def at(self, now: int, period: int) -> Ledger:
        """What of it counts at this moment. Of a clock that was set back: what lies in its future happens now, and no wait is
        longer than a period."""
        pulled = [replace(one, until=now) if one.until > now + LEAD_US else one for one in self.taken]
        return _sorted(one for one in pulled if one.until > now - period)

    def without(self, lease: str) -> Ledger:
        """Without what was taken under this lease."""
        return Ledger(tuple(one for one in self.taken if one.lease != lease))

    def corrected(self, used: Taken) -> Ledger:
        """The lease has ended, and this is what was used of it, the last call at `until`, unless that was pulled back since. A
        lease that is merged or gone stays as it is."""
        corrected = (
            replace(used, until=min(used.until, one.until)) if one.lease == used.lease else one for one in self.taken
        )
        return _sorted(one for one in corrected if one.calls)

    def free_at(self, rate: RateLimits, charged: int, period: int) -> int:
        """When there is room for one call with so many items; 0: now."""
        return max(
            self._free_at([one.calls for one in self.taken], 1, rate.calls, period),
            self._free_at([one.items for one in self.taken], charged, rate.items, period),
        )

    def room(self, rate: RateLimits) -> tuple[int | None, int | None]:
        """Calls and items that there is room for now; None: any number."""
        calls = None if rate.calls is None else rate.calls - sum(one.calls for one in self.taken)
        items = None if rate.items is None else rate.items - sum(one.items for one in self.taken)
        return calls, items

    def added(self, taken: Taken, *, now: int, period: int) -> Ledger:
        """With this; short, however many calls a period has."""
        longer = _sorted([*self.taken, taken])
        return longer if len(longer.taken) <= _EXACT else longer._merged(now - _CORRECTED_US, max(1, period // _GRAIN))

    def _free_at(self, amounts: list[int], wanted: int, limit: int | None, period: int) -> int:
        """When so much has left the period that `wanted` fits."""
        if limit is None:
            return 0
        excess = sum(amounts) + wanted - limit
        if excess <= 0:
            return 0
        gone = zip(accumulate(amounts), self.taken, strict=True)
        return next((one.until + period for sum_so_far, one in gone if sum_so_far >= excess), 0)

    def _merged(self, before: int, grain: int) -> Ledger:
        merged: dict[int, Taken] = {}
        kept = []
        for one in self.taken:
            if one.until > before:
                kept.append(one)
                continue
            same = merged.get(one.until // grain, Taken(0, 0, 0))
            merged[one.until // grain] = Taken(max(one.until, same.until), one.calls + same.calls, one.items + same.items)
        return Ledger((*merged.values(), *kept))


LEDGER = Record(Ledger, 1, "What was taken of a connector's rate")


def _sorted(taken: Iterable[Taken]) -> Ledger:
    return Ledger(tuple(sorted(taken, key=lambda one: one.until)))
