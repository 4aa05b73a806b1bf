"""What one process remembers of the journal's objects, which never change under their name and generation: what each holds of one
key. A replay reads the same ones many times, some at every step."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from relay.backends.google.storage import Stored

_LARGEST_BYTES = 2 * 1024 * 1024
"""Of one object and one key: what is larger is read again."""

_OVERHEAD_BYTES = 250
"""What an object, and a message, takes beside what it holds, about."""


class Note(NamedTuple):
    """A message of one key, as far as it matters to a replay: see `Exported` and `Head`."""

    micros: int
    kind: str
    received_at: float
    part: int
    data: bytes


_Place = tuple[str, str, str]


class Memory:
    """Safe for several threads. Where it is full, other keys are forgotten, what was not asked for longest first, and never the
    key itself: its objects are read in the same order each time, and what is forgotten is what would be asked for next. Half is
    for messages; that an object holds nothing of a key takes little, and spares most."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._known: OrderedDict[_Place, tuple[Note, ...]] = OrderedDict()
        self._bytes = self._data_bytes = 0

    def knows(self, key: str, stored: Stored) -> bool:
        """Whether it need not be read."""
        with self._lock:
            return (key, stored.name, stored.generation) in self._known

    def notes(self, key: str, stored: Stored, read: Iterator[Note]) -> Iterator[Note]:
        """What the object holds of the key: remembered, else read, and remembered from then on."""
        place = (key, stored.name, stored.generation)
        with self._lock:
            known = self._known.get(place)
            if known is not None:
                self._known.move_to_end(place)
        if known is not None:
            yield from known
            return
        collected: list[Note] = []
        size = 0
        for note in read:
            size += _OVERHEAD_BYTES + len(note.data)
            if size <= _LARGEST_BYTES:
                collected.append(note)
            else:
                collected.clear()
            yield note
        if size <= _LARGEST_BYTES:
            self._remember(place, tuple(collected))

    def _remember(self, place: _Place, notes: tuple[Note, ...]) -> None:
        data_bytes = _size(notes)
        with self._lock:
            if place in self._known:
                return
            others = [one for one in self._known if one[0] != place[0]] if self._is_full(data_bytes) else []
            for other in others:
                if not self._is_full(data_bytes):
                    break
                self._count(self._known.pop(other), -1)
            if not self._is_full(data_bytes):
                self._known[place] = notes
                self._count(notes, 1)

    def _is_full(self, data_bytes: int) -> bool:
        more = _OVERHEAD_BYTES + data_bytes
        too_much_data = data_bytes > 0 and self._data_bytes + data_bytes > self._most_bytes // 2
        return too_much_data or self._bytes + more > self._most_bytes

    def _count(self, notes: tuple[Note, ...], sign: int) -> None:
        self._bytes += sign * (_OVERHEAD_BYTES + _size(notes))
        self._data_bytes += sign * _size(notes)


def _size(notes: tuple[Note, ...]) -> int:
    return sum(_OVERHEAD_BYTES + len(note.data) for note in notes)
