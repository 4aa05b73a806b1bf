"""Reading the journal's objects: several at once, since there are many small ones, and each is a call."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from relay.backends.google import journal_objects as written
from relay.backends.google.journal_memory import Memory, Note
from relay.backends.google.journal_order import digest_of
from relay.backends.google.names import safe_name
from relay.backends.google.storage import Bucket, Stored
from relay.domain.errors import JournalBehind

T = TypeVar("T")

AT_ONCE = 16
"""Objects that are read at once."""

_SMALL_BYTES = 2 * 1024 * 1024
"""A larger object is read by itself, as a stream, where all that it holds may be wanted."""

_AHEAD_BYTES = 16 * 1024 * 1024
"""Of objects that are read ahead, since all that they hold may be in memory at once."""

_AGAIN_S = 20.0
"""For one object that is read again. A turn has two minutes."""


class Readers:
    """Threads that each have a bucket of their own, until this is closed."""

    def __init__(self, open_bucket: Callable[[], Bucket], at_once: int = AT_ONCE) -> None:
        """Raises what `open_bucket` raises."""
        self.bucket = open_bucket()
        self._open_bucket = open_bucket
        self._at_once = at_once
        self._own = threading.local()
        self._opened = [self.bucket]
        self._threads: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Ends what is under way, and the connections."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        for bucket in self._opened:
            bucket.close()

    def begin(self, work: Callable[[Bucket, Stored], T], stored: Stored) -> Future[T]:
        """The work on this object, as soon as a thread is free."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._at_once, "journal")
        return self._threads.submit(lambda: work(self._bucket_of_this_thread(), stored))

    def each(self, objects: Iterator[Stored], begin: Callable[[Stored], T]) -> Iterator[tuple[Stored, T]]:
        """What `begin` says of each object, in their order; it is asked some objects ahead."""
        ahead: deque[tuple[Stored, T]] = deque()
        size = 0
        while True:
            while len(ahead) < 2 * self._at_once and size < _AHEAD_BYTES:
                stored = next(objects, None)
                if stored is None:
                    break
                ahead.append((stored, begin(stored)))
                size += stored.bytes
            if not ahead:
                return
            stored, begun = ahead.popleft()
            size -= stored.bytes
            yield stored, begun

    def results(self, objects: Iterator[Stored], work: Callable[[Bucket, Stored], T]) -> Iterator[T]:
        """What the work on each object gives, in their order."""
        for _, begun in self.each(objects, lambda stored: self.begin(work, stored)):
            yield begun.result()

    def _bucket_of_this_thread(self) -> Bucket:
        bucket: Bucket | None = getattr(self._own, "bucket", None)
        if bucket is None:
            bucket = self._own.bucket = self._open_bucket()
            self._opened.append(bucket)
        return bucket


class Reading(Readers):
    """Reads for one key. What an object holds of it is remembered."""

    def __init__(self, open_bucket: Callable[[], Bucket], memory: Memory, key: str) -> None:
        super().__init__(open_bucket)
        self._memory = memory
        self._key = key
        self._name = safe_name(key)

    def all(self, objects: Iterator[Stored]) -> Iterator[tuple[Stored, Iterable[Note]]]:
        """What each of the objects holds of the key, in their order."""
        for stored, begun in self.each(objects, self._begin):
            yield stored, self._notes(self.bucket, stored) if begun is None else begun.result()

    def again(self, wanted: Mapping[Stored, set[bytes]]) -> Iterator[Mapping[bytes, bytes]]:
        """Of each object, in their order, the messages with these digests: what each holds. Raises `JournalBehind` where one of
        them takes too long."""
        for _, begun in self.each(iter(wanted), lambda stored: self.begin(partial(self._wanted, wanted[stored]), stored)):
            try:
                yield begun.result(timeout=_AGAIN_S)
            except TimeoutError as error:
                raise JournalBehind(f"An object in the journal's bucket could not be read within {_AGAIN_S:g} s.") from error

    def _wanted(self, digests: set[bytes], bucket: Bucket, stored: Stored) -> dict[bytes, bytes]:
        notes = self._of_key(bucket, stored)
        return {note.digest: note.data for note in notes if note.data is not None and note.digest in digests}

    def _begin(self, stored: Stored) -> Future[list[Note]] | None:
        if stored.bytes > _SMALL_BYTES or self._memory.knows(self._key, stored):
            return None
        return self.begin(lambda bucket, one: list(self._notes(bucket, one)), stored)

    def _notes(self, bucket: Bucket, stored: Stored) -> Iterator[Note]:
        return self._memory.notes(self._key, stored, self._of_key(bucket, stored))

    def _of_key(self, bucket: Bucket, stored: Stored) -> Iterator[Note]:
        for exported in written.present(bucket, stored):
            if exported.ordering_key not in (None, self._name):
                continue
            head = written.head_of(exported.data)
            if head is not None and head.key == self._key:
                data = exported.data
                yield Note(exported.micros, head.kind, head.received_at, head.part, digest_of(data), len(data), data)
