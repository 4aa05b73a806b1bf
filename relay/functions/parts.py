"""The parts that the functions of one process share, each made at its first use, once.

Nothing connects and no thread starts while this is imported, since the server forks after that.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import relay.configuration
from relay.backends import open_backend
from relay.domain.clock import SystemClock
from relay.functions.ending import process_is_ending, see_to_the_end

if TYPE_CHECKING:
    from worker.turn import Worker

T = TypeVar("T")


class Once(Generic[T]):
    """A part that is made at its first use, by one thread."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.RLock()
        self._made: list[T] = []

    def __call__(self) -> T:
        if not self._made:
            with self._lock:
                if not self._made:
                    self._made.append(self._make())
        return self._made[0]


def load_publisher_ahead() -> None:
    """Imports what the first publish would wait for, so that it is there when the server forks. Nothing connects."""
    if configuration().backend == "google":
        import relay.backends.google.publisher  # noqa: F401 - to have it
        from relay.backends.google.channels import load_ahead

        load_ahead(configuration())


def keep_what_is_loaded() -> None:
    """What is there now stays until the end: the garbage collector need not look at it again, and forked processes go on sharing
    its pages."""
    gc.collect()
    gc.freeze()


configuration = Once(relay.configuration.read)
backend = Once(lambda: open_backend(configuration(), create=False))


@Once
def worker() -> Worker:
    """With the connectors, the partners' connections and the creations of this process, which all of its threads share."""
    from worker.slots import Slots
    from worker.turn import Worker

    see_to_the_end()
    return Worker(backend(), SystemClock(), stopping=process_is_ending, slots=Slots())
