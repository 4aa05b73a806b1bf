"""What one process remembers of the journal's objects, which never change under their name and generation: what each holds of one
key. A replay reads the same ones many times, some at every step."""

from __future__ import annotations

import hashlib
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from relay.backends.google.storage import Stored

NOTES_BYTES = 64 * 1024 * 1024
"""Of notes without what the messages hold: some 200,000 objects that each have a message of a key, or a million messages in fewer
objects."""

_RESTING_S = 600.0
"""What was not asked for so long makes room for another key. Longer than between two readings of a replay that is still read."""

_LARGEST_BYTES = 2 * 1024 * 1024
"""Of one object and one key: what messages hold beyond that is read again."""

_KEY_BYTES = 1_000
_OBJECT_BYTES = 250
_DATA_BYTES = 150
"""What a key, an object, and what a message holds take beside it, about."""

_PACKED = struct.Struct("<qdqqB16s")
_KINDS = ("", "change", "replay")


class Note(NamedTuple):
    """A message of one key, as far as it matters to a replay: see `Exported` and `Head`. size: of the data. data: None where only
    the rest is remembered."""

    micros: int
    kind: str
    received_at: float
    part: int
    digest: bytes
    size: int
    data: bytes | None


class _OfKey:
    """What is remembered of a key: by object, its notes; by digest, what messages hold."""

    def __init__(self) -> None:
        self.objects: dict[bytes, bytes] = {}
        self.data: dict[bytes, bytes] = {}
        self.asked_at = 0.0
        self.notes_bytes = _KEY_BYTES
        self.data_bytes = 0

    def unpacked(self, packed: bytes) -> Iterator[Note]:
        for micros, received_at, part, size, kind, digest in _PACKED.iter_unpack(packed):
            yield Note(micros, _KINDS[kind], received_at, part, digest, size, self.data.get(digest))


class Memory:
    """Safe for several threads. There is room for notes, and other room for what the messages hold: where that is full, the notes
    alone are remembered, so that each reading comes further than the one before. Where there is no room for a key, those that
    were not asked for some time are forgotten, and never those that are being read, nor the key itself: where all of them are
    large, the first ones come to their end first."""

    def __init__(self, data_bytes: int, monotonic: Callable[[], float], *, notes_bytes: int = NOTES_BYTES) -> None:
        """monotonic: what time it is, in seconds."""
        self._most_data = data_bytes
        self._most_notes = notes_bytes
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._keys: OrderedDict[str, _OfKey] = OrderedDict()
        """The one that was asked for last is last."""
        self._notes_bytes = self._data_bytes = 0

    def knows(self, key: str, stored: Stored) -> bool:
        """Whether it need not be read."""
        with self._lock:
            known = self._keys.get(key)
            return known is not None and _place(stored) in known.objects

    def notes(self, key: str, stored: Stored, read: Iterator[Note]) -> Iterator[Note]:
        """What the object holds of the key: remembered, else read, and remembered from then on. Of a kind that matters to nobody
        it is remembered that it is another one (``""``)."""
        place = _place(stored)
        with self._lock:
            known = self._asked_for(key)
            packed = known.objects.get(place)
        if packed is not None:
            yield from known.unpacked(packed)
            return
        collected = bytearray()
        data: dict[bytes, bytes] = {}
        size = 0
        for note in read:
            kind = _KINDS.index(note.kind) if note.kind in _KINDS else 0
            collected += _PACKED.pack(note.micros, note.received_at, note.part, note.size, kind, note.digest)
            size += note.size
            if note.data is not None and size <= _LARGEST_BYTES:
                data[note.digest] = note.data
            yield note
        self._remember(key, place, bytes(collected), data)

    def _remember(self, key: str, place: bytes, packed: bytes, data: dict[bytes, bytes]) -> None:
        more = _OBJECT_BYTES + len(packed)
        with self._lock:
            known = self._asked_for(key)
            if place in known.objects:
                return
            while self._notes_bytes + more > self._most_notes:
                if not self._forget_another(key):
                    return
            known.objects[place] = packed
            known.notes_bytes += more
            self._notes_bytes += more
            for digest, held in data.items():
                size = _DATA_BYTES + len(held)
                if digest not in known.data and self._has_room_for_data(size, key):
                    known.data[digest] = held
                    known.data_bytes += size
                    self._data_bytes += size

    def _asked_for(self, key: str) -> _OfKey:
        known = self._keys.get(key)
        if known is None:
            known = self._keys[key] = _OfKey()
            self._notes_bytes += known.notes_bytes
        known.asked_at = self._monotonic()
        self._keys.move_to_end(key)
        return known

    def _has_room_for_data(self, size: int, key: str) -> bool:
        while self._data_bytes + size > self._most_data:
            if not self._forget_another(key):
                return False
        return True

    def _forget_another(self, key: str) -> bool:
        """Whether there was one that rests."""
        other = next(iter(self._keys))
        if other == key or self._keys[other].asked_at > self._monotonic() - _RESTING_S:
            return False
        forgotten = self._keys.pop(other)
        self._notes_bytes -= forgotten.notes_bytes
        self._data_bytes -= forgotten.data_bytes
        return True


def _place(stored: Stored) -> bytes:
    return hashlib.blake2b(f"{stored.name}\n{stored.generation}".encode(), digest_size=16).digest()
