"""Calls the function `tick` as Cloud Scheduler does: every minute, and every hour at its path for old records."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import requests

EVERY_S = 60.0
TIDY_EVERY_S = 3600.0
_TIMEOUT_S = 120.0


class Scheduler:
    """Two threads, each with one call at a time, from `start` to `stop`.

    url: of the function, with a final slash. complain: is told of the first call that fails after one that did not.
    """

    def __init__(
        self, url: str, complain: Callable[[str], None], *, every_s: float = EVERY_S, tidy_every_s: float = TIDY_EVERY_S
    ) -> None:
        self._complain = complain
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep_calling, args=(url, every_s), name="tick", daemon=True),
            threading.Thread(target=self._keep_calling, args=(f"{url}tidy", tidy_every_s), name="tidy", daemon=True),
        ]

    def start(self) -> None:
        """The first calls are made at once."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """No further call begins, and nothing more is complained of. One under way is not waited for."""
        self._over.set()

    def _keep_calling(self, url: str, every_s: float) -> None:
        complained = False
        pause = 0.0
        while not self._over.wait(pause):
            began = time.monotonic()
            trouble = _call(url)
            if trouble and not complained and not self._over.is_set():
                self._complain(trouble)
            complained = bool(trouble)
            pause = max(0.0, began + every_s - time.monotonic())


def _call(url: str) -> str:
    """What went wrong; empty if nothing did."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            status = session.post(url, timeout=_TIMEOUT_S).status_code
    except requests.RequestException as error:
        return f"{url} could not be called ({type(error).__name__}); holds wait until it can."
    return "" if status < 300 else f"{url} answered {status}; what it met is in its log."
