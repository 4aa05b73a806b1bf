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


def least_s(probes: int) -> float:
    """The least wait after so many vain probes, whatever sooner moment the partner named: 1 s, doubling to 5 minutes."""
    return min(PROBE_LONGEST_S, float(2 ** min(probes, 10)))


def spread_s(wait_s: float, probes: int, chance: random.Random) -> float:
    """Seconds to add to the wait of one that found the rate used up so often, at most 30: of many that wait for the same moment
    only a few can go, and the others should not all come back at the next one."""
    return chance.uniform(0, min(30.0, wait_s * (2 ** min(probes, 10) - 1)))


def crashed_s(probes: int) -> float:
    """Seconds until a batch that ended its worker is tried again: 5 minutes, doubling to an hour. Most often it was not the batch
    that was to blame, and then nobody needs to act."""
    return min(3_600.0, 300.0 * float(2 ** min(probes, 10)))
