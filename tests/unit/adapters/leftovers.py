"""What is left to the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Callable


def left_each_time(step: Callable[[], object]) -> int:
    """How many objects it leaves that only the collector frees, whenever it is done again: what it makes once, and what threads
    of other tests leave meanwhile, does not count."""
    gc.disable()
    try:
        step()
        return min(_left_by(step) for _ in range(3))
    finally:
        gc.enable()


def _left_by(step: Callable[[], object]) -> int:
    gc.collect()
    step()
    return gc.collect()
