"""When to try again: pure policy."""

from __future__ import annotations

import random

PROBE_FIRST_S = 30.0
PROBE_LONGEST_S = 300.0

ATTEMPTS_IN_TURN = 3
"""Calls of one chunk within a turn, the first included, before the rest joins a hold."""

LONGEST_WAIT_IN_TURN_S = 2.0
"""Longer waits are holds: a waiting turn would occupy a place that another audience could use."""

_BACK_OFF_BASE_S = 0.2


def back_off_s(retry: int, chance: random.Random) -> float:
    """Seconds before the `retry`-th repetition (from 1) within a turn: exponential with full jitter."""
    return chance.uniform(0, min(LONGEST_WAIT_IN_TURN_S, _BACK_OFF_BASE_S * 2**retry))


def probe_s(probes: int, chance: random.Random) -> float:
    """Seconds until a held audience is tried again after so many vain probes: 30 s, doubling to 5 minutes.

    Up to a tenth less, so that the holds of one partner do not all come back at the same moment; never more, so that data flows
    again within 5 minutes of a recovery.
    """
    wait = min(PROBE_LONGEST_S, PROBE_FIRST_S * float(2 ** min(probes, 10)))
    return wait * (1 - chance.uniform(0, 0.1))
