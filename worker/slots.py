"""A connector's turns at once (`limits.rate.concurrency`), where messages are pushed to a worker that has no choice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Slots:
    """Counts the turns in this process that may call their partner. A worker that asks for messages (`worker.process`) needs
    none: it leaves those of a busy connector in the queue."""

    def __init__(self) -> None:
        self._freed = threading.Condition()
        self._taken: Counter[str] = Counter()

    @contextmanager
    def slot(self, connector: str, limit: int, *, within_s: float) -> Iterator[bool]:
        """Whether the turn may call: there is room below the limit now, or within so many seconds. Its slot is free again behind
        the block."""
        with self._freed:
            mine = self._freed.wait_for(lambda: self._taken[connector] < limit, timeout=within_s)
            self._taken[connector] += mine
        try:
            yield mine
        finally:
            with self._freed:
                self._taken[connector] -= mine
                if not self._taken[connector]:
                    del self._taken[connector]
                self._freed.notify_all()
