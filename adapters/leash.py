"""How long calls may still be made: set by whoever has a limited time, asked by whoever begins a call or waits.

A worker's turn must not begin a call that cannot end within it. What an adapter does in one `send` can be several calls (a token,
a repetition, the steps of a job), so each of them asks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import ContextVar
from typing import NamedTuple

from adapters.within import Within
from relay.domain.errors import TryAgain


class OutOfTime(TryAgain):
    """The call was not begun: what is left of the time is too short for it."""

    code = "out_of_time"


class _Leash(NamedTuple):
    left_s: Callable[[], float]
    before_call: Callable[[], object]


_NONE = _Leash(lambda: math.inf, lambda: None)
_leash: ContextVar[_Leash] = ContextVar("leash", default=_NONE)


def within(left_s: Callable[[], float], before_call: Callable[[], object] = lambda: None) -> Within[_Leash]:
    """What is done inside may begin calls only while `left_s()`, in seconds, is enough for them. `before_call` is asked before
    each; it raises where no call may begin any more."""
    return Within(_leash, _Leash(left_s, before_call))


def left_s() -> float:
    """Seconds for which calls may still be made; infinite where nothing limits it."""
    return _leash.get().left_s()


def require(seconds: float) -> None:
    """Right before a call that may take so long. Raises `OutOfTime`."""
    _leash.get().before_call()  # it may wait
    if left_s() < seconds:
        raise OutOfTime("The turn's time is over; the rest goes on at once.")
