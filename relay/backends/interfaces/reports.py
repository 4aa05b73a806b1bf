"""What happened: attempts, rejections, counters and latencies by minute."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from relay.domain.exchange import Exchanges
from relay.domain.outcome import Rejection, Report

LATENCY_CLASSES_MS: tuple[int, ...] = (
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 600_000,
    2_592_000_000,
)  # fmt: skip
"""Upper bounds of the latency classes: fine up to ten minutes, then one for all that waited in a hold (30 days)."""


def latency_class(latency_ms: float) -> int:
    """The upper bound of its class; the last one has no end."""
    return next((bound for bound in LATENCY_CLASSES_MS if latency_ms <= bound), LATENCY_CLASSES_MS[-1])


class RejectionCode(msgspec.Struct, frozen=True):
    """Rejections of one kind. hint: that of the newest. newest_at: when that was made, seconds since the epoch."""

    connector: str
    action: str
    code: str
    hint: str
    number: int
    newest_at: float


class Reports(Protocol):
    """What happened: attempts, rejections, counters and latencies by minute."""

    def attempt(self, report: Report, rejections: Sequence[Rejection], exchanges: Exchanges | None = None) -> None:
        """Records one attempt, whose ID no other has, with its counters (`outcome` → number) and its latency for what it
        delivered. exchanges: what went to the partner and came back, masked."""
        ...

    def exchanges(self, attempt_id: str) -> Exchanges | None:
        """Of the attempt with this ID; None where there was none, or it is not kept any more. Kept at least: those of the last
        1,000 attempts of each connector of the last 7 days."""
        ...

    def attempts(
        self, connector: str | None = None, *, limit: int = 50, failed_only: bool = False, brief: bool = False
    ) -> list[Report]:
        """Newest first. Kept at least: the last 1,000 of each connector of the last 7 days, and all failed ones of these. brief:
        without `request_ids` and `exceptions`, of which an attempt can have a thousand each."""
        ...

    def attempt_by_id(self, attempt_id: str) -> Report | None:
        """That attempt; None where it is not kept (any more)."""
        ...

    def add_rejections(self, rejections: Iterable[Rejection]) -> None: ...

    def rejections(
        self, connector: str | None = None, *, limit: int = 100, audience: str | None = None, user_hash: str | None = None,
        after: int = 0, newest_first: bool = False
    ) -> list[tuple[int, Rejection]]:
        """Oldest first, or newest first, from behind the number `after` in that order (0: from the beginning); each with its
        number. Where several have the same one, a page that ends among them is so much longer than `limit`."""
        ...

    def rejection_codes(self, connector: str | None = None, *, since: float) -> list[RejectionCode]:
        """How many rejections there are of each connector, action and code that were made since the hour in which that moment
        lies, most first. What was deleted, by its age or since somebody is to be forgotten, is not counted."""
        ...

    def totals(self, connector: str | None, *, since: float) -> dict[str, int]:
        """outcome → number since that moment, by minutes."""
        ...

    def totals_of_all(self, *, since: float) -> dict[str, dict[str, int]]:
        """connector → outcome → number since that moment, by minutes."""
        ...

    def by_minute(self, connector: str, *, since: float) -> list[tuple[int, dict[str, int]]]:
        """(minute as seconds since the epoch, outcome → number), oldest first, minutes without any left out."""
        ...

    def by_hour(self, connector: str | None, *, since: float) -> dict[str, dict[int, dict[str, int]]]:
        """connector → hour as seconds since the epoch → outcome → number, hours oldest first, hours without any left out; of all
        connectors for None. Of the first hour, the minutes since that moment."""
        ...

    def sums_by_hour(self, connector: str | None, *, since: float) -> dict[int, dict[str, int]]:
        """As `by_hour`, of one connector or of all together: hour → outcome → number."""
        ...

    def latencies(self, connector: str | None, *, since: float) -> dict[int, int]:
        """Upper bound of a class (`LATENCY_CLASSES_MS`) → number of mutations delivered within it."""
        ...

    def latencies_by_hour(self, connector: str | None, *, since: float) -> dict[int, dict[int, int]]:
        """Hour as seconds since the epoch → upper bound of a class → number of mutations delivered within it, as `by_hour`."""
        ...
