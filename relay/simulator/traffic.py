"""Traffic as a DMP makes it, open loop: every request starts at its time, whatever became of the earlier ones.

A slow receiver so shows in the measurements as it would to the DMP, instead of slowing the measurement down.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from relay.domain.clock import Clock, SystemClock
from relay.simulator.dmp import MAX_USERS, REQUEST_TYPES, Answer, Dmp, DmpAudience
from relay.simulator.ledger import Fate, Ledger
from relay.simulator.population import MicroBatch, Population
from relay.simulator.population import audiences as made_up_audiences
from relay.simulator.population import users as made_up_users
from relay.simulator.summary import CREATION_LIMIT_MS, UPLOAD_LIMIT_MS, Speed, Summary, problems, speed

CONNECTIONS = 64
"""Requests that can be under way at once. More wait for a connection, and the wait counts."""


class Simulation:
    """Audiences that are announced, and users who then join and leave them.

    url            address of the connector, without a query
    basic          `user:password`; empty for none
    audiences      how many, or which
    users          how many (at least one), or which
    rate           micro-batches a second
    duration_s     for how long
    seed           the same seed draws the same content (what is under way at a moment is up to the machine)
    largest        most users in one micro-batch
    stop           set from elsewhere, it ends the traffic early and in order
    """

    def __init__(
        self,
        url: str,
        hmac_secret: str,
        basic: str = "",
        *,
        audiences: int | Sequence[DmpAudience] = 3,
        users: int | Sequence[str] = 1000,
        rate: float = 20.0,
        duration_s: float = 10.0,
        seed: int = 1,
        largest: int = MAX_USERS,
        customer: int = 123,
        timeout_s: float = 10.0,
        clock: Clock | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.dmp = Dmp(url, hmac_secret, basic, customer=customer, timeout_s=timeout_s)
        self.ledger = Ledger()
        self.requests = max(1, round(rate * duration_s))
        self.announced: list[str] = []
        """IDs of the audiences that were accepted: those that the answers named, else the DMP's own."""
        self._audiences = made_up_audiences(audiences) if isinstance(audiences, int) else tuple(audiences)
        self._users = made_up_users(users) if isinstance(users, int) else tuple(users)
        self._rate = rate
        self._seed = seed
        self._largest = largest
        self._clock = clock or SystemClock()
        self._stop = stop or threading.Event()
        self._progress: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._upload_ms: list[float] = []
        self._creation_ms: list[float] = []
        self._failures: list[tuple[str, int, str]] = []
        self._accepted = {"joined": 0, "left": 0}
        self._skipped = 0

    @property
    def expected(self) -> dict[str, set[str]]:
        """Audience ID (the DMP's) → users who must be in it, as far as this simulation touched them and can know."""
        return self.ledger.members

    def on_progress(self, called: Callable[[], None]) -> None:
        """Called after every micro-batch that was started; there are `requests` of them."""
        self._progress = called

    def run(self) -> Summary:
        """Announces the audiences, sends the traffic, waits for the answers. Call it once."""
        begun = self._clock.monotonic()
        try:
            for audience in self._audiences:
                self._announce(audience)
            if self.announced:
                self._send_traffic()
        finally:
            self.dmp.close()
        return self._summary(self._clock.monotonic() - begun)

    def _announce(self, audience: DmpAudience) -> None:
        begun = self._clock.monotonic()
        answer = self.dmp.create_audience(audience)
        with self._lock:
            self._creation_ms.append((self._clock.monotonic() - begun) * 1000)
            if not answer.accepted:
                self._failures.append(("CREATE_AUDIENCE", answer.status, answer.error))
                return
        self.announced.append(answer.audience or audience.id)

    def _send_traffic(self) -> None:
        chance = random.Random(self._seed)  # noqa: S311 - content of a demonstration
        population = Population(self.announced, self._users, chance, self.ledger, largest=self._largest)
        begun = self._clock.monotonic()
        uploads: list[Future[None]] = []
        with ThreadPoolExecutor(min(CONNECTIONS, self.requests), thread_name_prefix="dmp") as pool:
            for number in range(self.requests):
                due = begun + number / self._rate
                if self._stop.wait(max(0.0, due - self._clock.monotonic())):
                    break
                batch = population.draw()
                if batch is None:
                    self._skipped += 1
                else:
                    uploads.append(pool.submit(self._upload, batch, due))
                self._progress()
        for upload in uploads:
            upload.result()

    def _upload(self, batch: MicroBatch, due: float) -> None:
        answer = self.dmp.change(batch.direction, batch.changes)
        took_ms = (self._clock.monotonic() - due) * 1000
        self.ledger.settle(batch.direction, batch.changes, fate(answer))
        with self._lock:
            self._upload_ms.append(took_ms)
            if answer.accepted:
                self._accepted[batch.direction] += len(batch.changes)
            else:
                self._failures.append((REQUEST_TYPES[batch.direction], answer.status, answer.error))

    def _summary(self, duration_s: float) -> Summary:
        creations = speed(self._creation_ms, CREATION_LIMIT_MS)
        uploads = speed(self._upload_ms, UPLOAD_LIMIT_MS)
        return Summary(
            url=self.dmp.url,
            seed=self._seed,
            duration_s=round(duration_s, 3),
            audiences=len(self.announced),
            joined=self._accepted["joined"],
            left=self._accepted["left"],
            skipped=self._skipped,
            creations=creations,
            uploads=uploads,
            problems=problems(self._failures),
            passed=_passed(creations, uploads, failed=bool(self._failures)),
        )


def fate(answer: Answer) -> Fate:
    """What an answer says about the changes of its request."""
    if answer.accepted:
        return "accepted"
    if answer.status == 0:
        return "unanswered" if answer.reached else "not_accepted"
    return "perhaps_accepted" if answer.status >= 500 else "not_accepted"


def _passed(creations: Speed, uploads: Speed, *, failed: bool) -> bool:
    return not failed and uploads.requests > 0 and creations.within and uploads.within
