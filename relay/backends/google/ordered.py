"""Records in the order in which they were written: their numbers, the keys that hold these, and reading along them.

A key is the names by which records are looked for, and the number: `pangolin/1800000000000000`. A range of keys is the records of
those names in order, in either direction, found along the index that Firestore has of every field by itself: no query needs an
index that must be listed and built.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from relay.backends.google.documents import Documents, Query, Stored
from relay.backends.google.names import safe_name
from relay.domain.clock import Clock

PAGE = 300
"""Records read by one query: they come well within its time, even large ones."""

_DIGITS = 16
_LARGEST = 10**_DIGITS - 1
_BEHIND_ALL_DIGITS = ":"
_BEHIND_ALL_NAMES = "\x7f"


class Numbers:
    """Numbers of records: whole microseconds since the epoch (below 2^53), each given once in this process and larger than the
    one before. Two processes can give the same one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        """The next one."""
        with self._lock:
            self._last = max(self._last + 1, number_at(self._clock.now()))
            return self._last


def number_at(moment: float) -> int:
    """The number of a record written at that moment, in seconds since the epoch."""
    return max(0, round(moment * 1_000_000))


def ordered_key(names: Sequence[str], number: int) -> str:
    """The key of these names and this number. At most 1,217 bytes for two names: Firestore indexes strings of up to 1,500
    (https://firebase.google.com/docs/firestore/quotas)."""
    return f"{_beginning(names)}{min(number, _LARGEST):0{_DIGITS}d}"


def number_in(key: str) -> int:
    """The number that the key ends with."""
    return int(key[-_DIGITS:])


def name_in(key: str) -> str:
    """The only name of a key, which is not a long one (see `safe_name`)."""
    return unquote(key.rpartition("/")[0])


class Line(NamedTuple):
    """The records of a collection whose key in this field has these names, in the order of their numbers."""

    collection: str
    field: str
    names: tuple[str, ...] = ()

    @property
    def beginning(self) -> str:
        """In front of all of its keys, and of those of longer names that begin with these."""
        return _beginning(self.names)

    @property
    def end_of_longer(self) -> str:
        """Behind all keys of names that begin with these."""
        return _beginning(self.names) + _BEHIND_ALL_NAMES

    @property
    def end(self) -> str:
        """Behind all of its keys."""
        return _beginning(self.names) + _BEHIND_ALL_DIGITS

    def query(
        self,
        *,
        above: int | None = None,
        below: int | None = None,
        newest_first: bool = False,
        limit: int = 0,
        fields: Sequence[str] | None = None,
    ) -> Query:
        """Those with numbers between these two, which are not among them."""
        lower = (">=", _beginning(self.names)) if above is None else (">", ordered_key(self.names, above))
        end = self.end if below is None else ordered_key(self.names, below)
        order = f"-{self.field}" if newest_first else self.field
        return Query(self.collection, [(self.field, *lower), (self.field, "<", end)], [order], limit, fields)

    def pages(
        self,
        documents: Documents,
        *,
        above: int | None = None,
        below: int | None = None,
        newest_first: bool = False,
        size: int = PAGE,
        fields: Sequence[str] | None = None,
    ) -> Iterator[list[tuple[int, Stored]]]:
        """All of those in order, a page of `size` after the other, each record with its number. What has the same number comes in
        one page: who goes on behind the last number of a page leaves nothing out."""
        while True:
            query = self.query(above=above, below=below, newest_first=newest_first, limit=size + 1, fields=fields)
            found = [(number_in(stored.fields[self.field]), stored) for stored in documents.query(query)]
            if len(found) <= size:
                yield found
                return
            whole = [one for one in found if one[0] != found[-1][0]]
            if not whole:
                size *= 2
                continue
            yield whole
            if newest_first:
                below = whole[-1][0]
            else:
                above = whole[-1][0]


def _beginning(names: Sequence[str]) -> str:
    return "".join(f"{safe_name(name)}/" for name in names)
