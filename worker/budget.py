"""How long a turn may take. Past it the worker starts no call, writes nothing and does not acknowledge."""

from __future__ import annotations

import math
from collections.abc import Callable

from relay.domain.clock import Clock
from relay.domain.errors import TurnLost

TURN_S = 120.0
"""Shorter than the acknowledgement deadline and than the function's time-out."""


class Budget:
    """The time of one turn, by the wall clock and the monotonic one, whichever has gone further: one of them may stand still
    while a machine is frozen.

    until     end of the lease on the message, seconds since the epoch: a worker that was frozen between taking its message and
              beginning its turn has no time left either
    stopping  the process is asked to end, so no further call begins
    """

    def __init__(
        self,
        clock: Clock,
        seconds: float = TURN_S,
        *,
        until: float = math.inf,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._until = until
        self._stopping = stopping
        self._began_at = clock.now()
        self._began_monotonic = clock.monotonic()

    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return max(self._clock.now() - self._began_at, self._clock.monotonic() - self._began_monotonic)

    def remaining_s(self) -> float:
        """Seconds left; negative once it is over."""
        return min(self._seconds - self.elapsed_s(), self._until - self._clock.now())

    def left_for_calls_s(self) -> float:
        """Seconds for which calls may still be made: none once the process is asked to end."""
        return 0.0 if self._stopping() else self.remaining_s()

    def allows(self, seconds: float) -> bool:
        """Whether something that takes so long can begin and still end within it."""
        return self.left_for_calls_s() >= seconds

    def require(self) -> None:
        """Before every write and acknowledgement. Raises `TurnLost` once it is over."""
        if self.remaining_s() <= 0:
            raise TurnLost("The turn's time is over; its message will be handed out again.")
