"""The worker as a process on the embedded back end: takes messages, hands them to threads, looks after holds and old records."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType

from relay.backends import open_backend
from relay.backends.interfaces import Backend, Leased
from relay.configuration import Configuration
from relay.domain.clock import Clock, SystemClock
from relay.domain.errors import NotFound, StoreUnavailable
from relay.wide_log import log
from worker.retention import retire_old
from worker.tick import tick
from worker.turn import Worker

THREADS = 32
_IDLE_S = 0.02
_TICK_S = 1.0
_OVERDUE_S = 0.2
_TIDY_S = 3600.0
_GRACE_S = 10.0
_TROUBLE_S = 1.0
_LIMITS_GOOD_FOR_S = 5.0


class WorkerProcess:
    """Runs until `stop` is called; then finishes what is in hand."""

    def __init__(self, backend: Backend, clock: Clock, *, threads: int = THREADS) -> None:
        self._backend = backend
        self._clock = clock
        self._threads = threads
        self._stop = threading.Event()
        self._freed = threading.Condition()
        self._in_hand: Counter[str] = Counter()
        self._limits: dict[str, tuple[float, int]] = {}
        self.worker = Worker(backend, clock, stopping=self._stop.is_set)

    def stop(self) -> None:
        """No further message is taken and no further call begins."""
        self._stop.set()

    def run(self) -> bool:
        """Returns when stopped: True if everything in hand was finished in time."""
        attendants = [
            threading.Thread(target=self._attend, args=(self._tick, self._until_next_due), daemon=True, name="tick"),
            threading.Thread(target=self._attend, args=(self._tidy, lambda: _TIDY_S), daemon=True, name="tidy"),
        ]
        for attendant in attendants:
            attendant.start()
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="turn")
        while not self._stop.is_set():
            self._take_one(pool)
        with self._freed:
            finished = self._freed.wait_for(lambda: not self._in_hand.total(), timeout=_GRACE_S)
        pool.shutdown(wait=finished, cancel_futures=True)
        for attendant in attendants:
            attendant.join(_GRACE_S)
        return finished and not any(attendant.is_alive() for attendant in attendants)

    def _take_one(self, pool: ThreadPoolExecutor) -> None:
        with self._freed:
            if self._in_hand.total() >= self._threads:
                self._freed.wait(timeout=_TICK_S)
                return
            held = dict(self._in_hand)
        try:
            busy = [name for name, turns in held.items() if turns >= self._concurrency(name)]
            leased = self._backend.queue.take(busy=busy)
        except StoreUnavailable as error:
            log("store_unavailable", "ERROR", hint=str(error))
            self._stop.wait(_TROUBLE_S)
            return
        if leased is None:
            self._stop.wait(_IDLE_S)
            return
        connector = leased.key.partition("/")[0]
        with self._freed:
            self._in_hand[connector] += 1
        pool.submit(self.worker.handle, leased).add_done_callback(lambda done: self._done(done, leased, connector))

    def _done(self, done: Future[None], leased: Leased, connector: str) -> None:
        with self._freed:
            self._in_hand[connector] -= 1
            if not self._in_hand[connector]:
                del self._in_hand[connector]
            self._freed.notify_all()
        if not done.cancelled() and (error := done.exception()) is not None:
            log("turn_ended", "ERROR", connector=connector, message=leased.message_id, error=type(error).__name__)

    def _concurrency(self, connector: str) -> int:
        """Turns of this connector at once: its limit, read again every few seconds."""
        at, limit = self._limits.get(connector, (0.0, 0))
        now = self._clock.now()
        if not limit or not 0 <= now - at < _LIMITS_GOOD_FOR_S:
            try:
                running = self.worker.catalog.get(self._backend.connectors.state(connector))
                limit = running.connector.limits.rate.concurrency
            except NotFound:
                limit = 1
            self._limits[connector] = (now, limit)
        return limit

    def _attend(self, work: Callable[[], None], pause_s: Callable[[], float]) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            try:
                work()
                pause = pause_s()
            except StoreUnavailable as error:
                log("store_unavailable", "ERROR", hint=str(error))
                pause = _TROUBLE_S
            except Exception as error:
                log("attendant_failed", "ERROR", thread=threading.current_thread().name, error=type(error).__name__)
                pause = _TROUBLE_S

    def _tick(self) -> None:
        tick(self._backend, self.worker.catalog, self._clock)

    def _until_next_due(self) -> float:
        """Exactly when the next hold is due. One that was due and could not be resumed (its connector is off) is not asked after
        all the time."""
        next_due = self._backend.audiences.next_due()
        if next_due is None:
            return _TICK_S
        wait = next_due - self._clock.now()
        return min(_TICK_S, wait) if wait > 0 else _OVERDUE_S

    def _tidy(self) -> None:
        retire_old(self._backend, self.worker.catalog, self._clock)
        self._backend.tidy()


def run_worker(configuration: Configuration) -> int:
    """The process `diy worker`: until SIGTERM or SIGINT. Returns the exit code."""
    clock = SystemClock()
    backend = open_backend(configuration, clock, create=False)
    process = WorkerProcess(backend, clock)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        process.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log("worker_started", threads=THREADS)
    finished = process.run()
    log("worker_stopped", finished=finished)
    if not finished:
        # Threads are still in calls, and would be waited for. What they have in hand is free for others once this process ends.
        sys.stdout.flush()
        os._exit(0)
    backend.close()
    return 0
