"""The values that were asked for last, and no more of them than fit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Key → value for all threads; of more than `most`, those that were not asked for the longest are forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._values: OrderedDict[K, V] = OrderedDict()

    def find(self, key: K) -> V | None:
        """The value; None if it is not there."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def keep(self, key: K, value: V) -> None:
        """In place of one that is there."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)

    def drop(self, of: Callable[[K], bool], *, unless: Callable[[V], bool] = lambda _: False) -> None:
        """Forgets what lies under these keys, but for such values."""
        with self._lock:
            for key in [key for key, value in self._values.items() if of(key) and not unless(value)]:
                del self._values[key]

    def __len__(self) -> int:
        return len(self._values)
