"""Slows down whoever guesses passwords."""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict

from relay.domain.clock import Clock

FREE_FAILURES = 3
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
MOST_REMEMBERED = 1_000


class Throttle:
    """Counts failed logins by where they come from: an IPv4 address, or the 64 bits of an IPv6 network, in which one visitor has
    all addresses. After some, each next try has to wait twice as long as the one before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def begin(self, origin: str) -> float:
        """Seconds until this one may try again; 0: now, and the try counts as a failure already, so that many at once have no
        more than their number. `succeeded` takes that back."""
        place = _place(origin)
        with self._lock:
            failures, last_at = self._failures.get(place, (0, 0.0))
            wait_s = self._wait_s(failures, last_at)
            if wait_s > 0:
                return wait_s
            self._failures.pop(place, None)
            self._failures[place] = failures + 1, self._clock.monotonic()
            if len(self._failures) > MOST_REMEMBERED:
                self._failures.popitem(last=False)  # who failed longest ago
        return 0.0

    def succeeded(self, origin: str) -> None:
        with self._lock:
            self._failures.pop(_place(origin), None)

    def _wait_s(self, failures: int, last_at: float) -> float:
        if failures < FREE_FAILURES:
            return 0.0
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (failures - FREE_FAILURES))
        return max(0.0, last_at + pause_s - self._clock.monotonic())


def _place(origin: str) -> str:
    """What is counted together."""
    try:
        address = ipaddress.ip_address(origin)
    except ValueError:
        return origin
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), 64), strict=False))
