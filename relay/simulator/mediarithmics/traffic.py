"""Traffic as the platform makes it: feeds created and connected, then users pushed one by one, and sent again where asked."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from relay.domain.clock import Clock, SystemClock
from relay.domain.message import Direction
from relay.simulator.dmp import Change
from relay.simulator.ledger import Fate, Ledger
from relay.simulator.mediarithmics import people
from relay.simulator.mediarithmics.case_file import Feed
from relay.simulator.mediarithmics.deliveries import Batches, Files, Row
from relay.simulator.mediarithmics.gateway import Gateway
from relay.simulator.mediarithmics.platform import Platform, PlatformAnswer
from relay.simulator.mediarithmics.summary import FeedSummary, pace
from relay.simulator.population import Population
from relay.simulator.summary import problems

CONNECTIONS = 32
"""Requests that can be under way at once."""

PATIENCE_S = 60.0
"""So long a request is sent again that is answered with a retry."""

OPERATIONS: dict[Direction, str] = {"joined": "UPSERT", "left": "DELETE"}
ENDPOINT = "/v1/user_segment_update"


class FeedSimulation:
    """Feeds that are created and connected, and users who then join and leave their segments.

    feeds       all of one delivery; the gateway knows them from the start of the run
    users       how many
    rate        updates a second
    duration_s  for how long
    seed        the same seed draws the same content
    stop        set from elsewhere, it ends the traffic early and in order
    """

    def __init__(
        self,
        platform: Platform,
        gateway: Gateway,
        feeds: Sequence[Feed],
        *,
        users: int = 1000,
        rate: float = 20.0,
        duration_s: float = 10.0,
        seed: int = 1,
        patience_s: float = PATIENCE_S,
        clock: Clock | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.ledger = Ledger()
        self.files = Files()
        self.requests = max(1, round(rate * duration_s))
        self._platform, self._gateway = platform, gateway
        self._feeds = {feed.audience: feed for feed in feeds}
        self._users = people.users(users)
        self._rate, self._seed, self._patience_s = rate, seed, patience_s
        self._clock = clock or SystemClock()
        self._stop = stop or threading.Event()
        self._batches = Batches(self._send_batch, self._clock)
        self._progress: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._took_ms: dict[str, list[float]] = {"creations": [], "updates": [], "batches": []}
        self._counts = dict.fromkeys(("joined", "left", "rejected", "not_eligible", "retries", "skipped", "lines"), 0)
        self._failures: list[tuple[str, int, str]] = []
        self._asked: dict[str, str] = {}

    def on_progress(self, called: Callable[[], None]) -> None:
        """Called after every update that was started; there are `requests` of them."""
        self._progress = called

    def run(self) -> FeedSummary:
        """Creates, connects, sends, waits for the answers and asks what can be asked. Call it once."""
        begun = self._clock.monotonic()
        ready = [feed.audience for feed in self._feeds.values() if self._announce(feed)]
        if ready:
            self._send_traffic(ready)
            self._ask(self._feeds[ready[0]])
        for key in self.files.torn:
            self._failures.append(("the file", 200, f"{key} does not hold one record for each of its lines"))
        return self._summary(len(ready), self._clock.monotonic() - begun)

    def _announce(self, feed: Feed) -> bool:
        self._gateway.put(feed)
        steps = (("creation", self._platform.create), ("connection", self._platform.connect))
        for name, call in steps:
            answer = self._patiently("creations", lambda call=call: call(feed))  # type: ignore[misc]
            if not answer.accepted:
                self._failures.append((name, answer.code, answer.message or answer.status))
                return False
        return True

    def _send_traffic(self, audiences: Sequence[str]) -> None:
        chance = random.Random(self._seed)  # noqa: S311 - content of a demonstration
        population = Population(audiences, self._users, chance, self.ledger, largest=1)
        begun = self._clock.monotonic()
        updates: list[Future[None]] = []
        with ThreadPoolExecutor(min(CONNECTIONS, self.requests), thread_name_prefix="platform") as pool:
            for number in range(self.requests):
                if self._stop.wait(max(0.0, begun + number / self._rate - self._clock.monotonic())):
                    break
                drawn = population.draw()
                if drawn is None:
                    self._count("skipped")
                else:
                    updates.append(pool.submit(self._update, drawn.direction, drawn.changes[0]))
                self._progress()
        self._batches.close()
        for update in updates:
            update.result()

    def _update(self, direction: Direction, change: Change) -> None:
        feed = self._feeds[change.audience]
        said = {"operation": OPERATIONS[direction], "ts": round(self._clock.now() * 1000), "session_id": f"session-{self._seed}"}
        identifiers, profiles = people.identifiers(change.user), people.profiles(change.user)
        answer = self._patiently("updates", lambda: self._platform.update(feed, identifiers, profiles=profiles, **said))
        if answer.status == "no_eligible_identifier":
            self._count("not_eligible")
            self._settle(direction, change, "not_accepted")
        elif not answer.accepted:
            self._failed("update", answer, direction, change)
        elif feed.delivery == "batch":
            self._batch(feed, direction, change, answer)
        elif feed.delivery == "file":
            self._write(direction, change, answer)
        else:
            self._settle(direction, change, _fate(answer, change.user))

    def _batch(self, feed: Feed, direction: Direction, change: Change, answer: PlatformAnswer) -> None:
        by_key: dict[str, list[Any]] = {}
        for delivery in answer.data:
            if delivery.get("type") == "BATCH_DELIVERY":
                by_key.setdefault(str(delivery.get("grouping_key", "")), []).append(delivery.get("content"))
        if not by_key:
            self._failures.append(("update", answer.code, "it returned nothing to be sent in a batch"))
            self._settle(direction, change, "not_accepted")
            return
        answers: list[PlatformAnswer] = []

        def settle(sent: PlatformAnswer) -> None:
            with self._lock:
                answers.append(sent)
                if len(answers) < len(by_key):
                    return
            worst = next((one for one in answers if not _all_sent(one)), sent)
            if _all_sent(worst):
                self._settle(direction, change, "accepted")
            else:
                self._settle(direction, change, "perhaps_accepted")

        for key, contents in by_key.items():
            self._batches.add(feed, key, Row(tuple(contents), settle))

    def _send_batch(self, feed: Feed, grouping_key: str, contents: Sequence[Any]) -> PlatformAnswer:
        context = {"endpoint": ENDPOINT, "feed_session_id": f"session-{self._seed}", "grouping_key": grouping_key}
        at = round(self._clock.now() * 1000)
        answer = self._patiently("batches", lambda: self._platform.batch_update(feed, contents, context, ts=at))
        if not _all_sent(answer):
            bad = answer.body.get("sent_items_in_error")
            said = answer.message or (f"{bad} of {len(contents)} items were not taken" if bad else answer.status)
            with self._lock:
                self._failures.append(("batch", answer.code, said))
        return answer

    def _write(self, direction: Direction, change: Change, answer: PlatformAnswer) -> None:
        lines = [delivery for delivery in answer.data if delivery.get("type") == "FILE_DELIVERY"]
        for line in lines:
            self.files.add(str(line.get("grouping_key")), str(line.get("content")), str(line.get("destination_token")))
            self._count("lines")
        if not lines:
            self._failures.append(("update", answer.code, "it returned no line for a file"))
        self._settle(direction, change, "accepted" if lines else "not_accepted")

    def _patiently(self, kind: str, call: Callable[[], PlatformAnswer]) -> PlatformAnswer:
        """The call, again after the time that its answer asks for, as long as there is patience."""
        give_up_at = self._clock.monotonic() + self._patience_s
        while True:
            begun = self._clock.monotonic()
            answer = call()
            with self._lock:
                self._took_ms[kind].append((self._clock.monotonic() - begun) * 1000)
            again = answer.wants_retry or answer.status == "external_segment_not_ready_yet"
            if not again or self._clock.monotonic() + answer.retry_after_s > give_up_at or self._stop.is_set():
                return answer
            self._count("retries")
            self._clock.sleep(answer.retry_after_s)

    def _ask(self, feed: Feed) -> None:
        """Asks about a feed of a connector to Pangolin, at which nobody has to log in."""
        properties = [{"technical_name": name, "value": value} for name, value in feed.properties.items()]
        about = {"datamart_id": feed.place["datamart_id"], "user_id": "3", "plugin_version_id": "710", "properties": properties}
        questions: dict[str, tuple[str, Callable[[], PlatformAnswer]]] = {
            "troubleshoot": ("ok", lambda: self._platform.troubleshoot(feed)),
            "authentication status": ("authenticated", lambda: self._platform.authentication_status(**about)),
            "dynamic property values": ("ok", lambda: self._platform.dynamic_property_values(**about)),
        }
        for name, (right, ask) in questions.items():
            answer = ask()
            told = answer.status or (f"answered {answer.code}" if answer.code else "not answered")
            self._asked[name] = told if answer.accepted or not answer.message else f"{told} ({answer.message})"
            if not answer.accepted or answer.status != right:
                self._failures.append((name, answer.code, answer.message or f"it says {told!r} where {right!r} is right"))

    def _failed(self, what: str, answer: PlatformAnswer, direction: Direction, change: Change) -> None:
        with self._lock:
            self._failures.append((what, answer.code, answer.message or answer.status))
        fate: Fate = "perhaps_accepted" if answer.code else "unanswered"
        self._settle(direction, change, fate)

    def _settle(self, direction: Direction, change: Change, fate: Fate | None) -> None:
        """fate None: the partner rejected the user point, by which members are compared."""
        if fate == "accepted":
            self._count(direction)
        elif fate is None:
            self._count("rejected")
        self.ledger.settle(direction, [change], fate or "not_accepted")

    def _count(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1

    def _summary(self, audiences: int, duration_s: float) -> FeedSummary:
        return FeedSummary(
            url=self._platform.url,
            seed=self._seed,
            delivery=next(iter(self._feeds.values())).delivery,
            duration_s=round(duration_s, 3),
            audiences=audiences,
            **self._counts,
            creations=pace(self._took_ms["creations"]),
            updates=pace(self._took_ms["updates"]),
            batches=pace(self._took_ms["batches"]),
            asked=self._asked,
            gateway_calls=dict(self._gateway.calls),
            problems=problems(self._failures),
            passed=not self._failures and self._counts["joined"] > 0,
        )


def _fate(answer: PlatformAnswer, user: str) -> Fate | None:
    """What an update that went well says about the user point; None: the partner rejected it."""
    results = {str(stat.get("sync_result")) for stat in answer.stats if stat.get("identifier") == user}
    if results & {"PROCESSED", "SUCCESS"}:
        return "accepted"
    return None if "REJECTED" in results else "not_accepted"


def _all_sent(answer: PlatformAnswer) -> bool:
    return answer.accepted and not answer.body.get("sent_items_in_error")
