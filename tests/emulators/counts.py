"""What the calls through a proxy were, and what Google would bill for them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

import msgspec


class Bill(msgspec.Struct, frozen=True):
    """Billed items: https://firebase.google.com/docs/firestore/pricing and https://cloud.google.com/pubsub/pricing

    reads              documents read, those that were not there and one for a query without results included
    writes, deletes    documents
    aggregation_reads  reads for counts and sums: one for up to 1,000 index entries
    messages, message_bytes  published; a call with fewer than 1,000 bytes is billed as 1,000
    """

    reads: int = 0
    writes: int = 0
    deletes: int = 0
    aggregation_reads: int = 0
    messages: int = 0
    message_bytes: int = 0

    def __add__(self, other: Bill) -> Bill:
        return Bill(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))


NOTHING = Bill()


class Counts(msgspec.Struct, frozen=True):
    """calls: `Firestore/Commit` → how often it was called, refused calls included. billed: for those that succeeded."""

    calls: Mapping[str, int]
    billed: Bill


class Tally:
    """Counts as they grow. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._billed = NOTHING

    def called(self, method: str) -> None:
        """method: as gRPC writes it, `/google.firestore.v1.Firestore/Commit`."""
        with self._lock:
            self._calls[method.rpartition(".")[2]] += 1

    def bill(self, bill: Bill) -> None:
        with self._lock:
            self._billed += bill

    def counts(self) -> Counts:
        with self._lock:
            return Counts(dict(self._calls), self._billed)

    def reset(self) -> Counts:
        """Starts anew. Returns what was counted till now."""
        with self._lock:
            counts = Counts(dict(self._calls), self._billed)
            self._calls.clear()
            self._billed = NOTHING
            return counts
