"""A DMP whose users change their minds all the time, and who sends each request again until it is accepted."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.end_to_end.stack import Stack

THREADS = 3
_PATIENCE_S = 60.0
_PAUSE_S = 0.05


class ChangingDmp:
    """Sends from its making until `stop`. A thread's users are its own, since requests that overlap have no order.

    users    of each thread, in each audience: so few that each changes its mind many times. With every addition comes one more
             who never does, so that nothing later hides its loss
    pause_s  between two requests of a thread
    """

    def __init__(self, stack: Stack, audiences: Sequence[str], seed: int, *, users: int, pause_s: float) -> None:
        self.accepted = 0
        self.changes_of_mind = 0
        """How often somebody who had joined left, or the other way round."""
        self._stack, self._audiences, self._users, self._pause_s = stack, audiences, users, pause_s
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._last: dict[tuple[str, str], bool] = {}
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="dmp")
        self._threads = [self._pool.submit(self._send, number, random.Random(seed + number)) for number in range(THREADS)]

    def stop(self) -> None:
        """Returns when every request has been accepted. Raises what went wrong in a thread."""
        self._stopped.set()
        for thread in self._threads:
            thread.result()
        self._pool.shutdown()

    def members(self, audience: str) -> set[str]:
        """Who must be in it."""
        with self._lock:
            return {user for (where, user), joined in self._last.items() if where == audience and joined}

    def send(self, audience: str, users: list[str], *, joins: bool) -> None:
        """Sends it until it is accepted."""
        kind = "ADD_TO_AUDIENCE" if joins else "REMOVE_FROM_AUDIENCE"
        give_up_at = time.monotonic() + _PATIENCE_S
        while not self._is_accepted(audience, users, kind):
            assert time.monotonic() < give_up_at, f"the receiver accepts nothing for {_PATIENCE_S:g} s"
            time.sleep(_PAUSE_S)
        with self._lock:
            self.accepted += 1
            self.changes_of_mind += sum(self._last.get((audience, user), joins) != joins for user in users)
            self._last |= {(audience, user): joins for user in users}

    def _send(self, number: int, chance: random.Random) -> None:
        for steadfast in itertools.count():
            if self._stopped.wait(self._pause_s):
                return
            joins = chance.random() < 0.6
            users = [f"user-{number}-{one}" for one in chance.sample(range(self._users), chance.randint(1, 4))]
            self.send(chance.choice(self._audiences), users + [f"steadfast-{number}-{steadfast}"] * joins, joins=joins)

    def _is_accepted(self, audience: str, users: list[str], kind: str) -> bool:
        try:
            return self._stack.change(audience, users, kind=kind, timeout=10).status_code == 200
        except requests.RequestException:
            return False
