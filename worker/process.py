"""The worker as a process on the embedded back end: takes messages, hands them to threads, looks after holds and old records."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FrameType
from typing import cast

from adapters.in_flight import in_flight
from relay.backends import open_backend
from relay.backends.interfaces import Backend, Leased, PullQueue
from relay.configuration import Configuration
from relay.connectors.inbound_document import refresh_inbound
from relay.domain.clock import Clock, SystemClock
from relay.domain.computing import computing
from relay.domain.errors import ConfigurationError, StoreUnavailable
from relay.wide_log import log, place_of
from worker.notice_sending import NoticeSending
from worker.notices import NoticeKeeper
from worker.retention import retire_old
from worker.tick import tick
from worker.turn import MOST_TOGETHER, Worker

THREADS = 32
_IDLE_S = 0.02
_GLANCE_S = 0.004
"""Of a worker with nothing to do at whether there may be something."""
_NOTICED_S = 0.05
"""After being told to stop."""
_TICK_S = 1.0
_OVERDUE_S = 0.2
_TIDY_S = 3600.0
_INBOUND_S = 60.0
_CALLS_MAY_FINISH_S = 6.0
"""From the signal on: whoever sent it may kill us after ten seconds. Calls that have no answer by then are cut short, so that
their turns still end in order: what was tried waits, as after a time-out, and the rest goes on in another process."""
_ENDED_AFTER_S = 8.5
"""What has not ended by then is left, and free for others once this process is gone."""
_TROUBLE_S = 1.0
_LIMITS_GOOD_FOR_S = 5.0
_COLLECTED_AFTER = 10_000
"""New objects that can hold others. What a turn makes holds no circles, and there is much of it."""


class WorkerProcess:
    """Runs until `stop` is called; then finishes what is in hand, within ten seconds.

    Threads are shared, and a partner that does not answer keeps one for as long as its time-outs allow. So a connector that has
    threads gets another one only while more are free than it has, a quarter of all not counted: those are for connectors that
    have none.

    A thread that has come to the end of a turn takes the next message itself, so that nobody has to be woken in between; `take`
    is the thread that looks for more work than those at work have.
    """

    def __init__(
        self, backend: Backend, clock: Clock, *, threads: int = THREADS, configuration: Configuration | None = None
    ) -> None:
        """Raises `ConfigurationError` where the queue hands out nothing. configuration: names the mail server for notices, if
        there is one."""
        self._backend = backend
        self._queue = _pull_queue(backend)
        self._clock = clock
        self._threads = threads
        self._reserve = threads // 4
        self._stopping = False
        self._stopped_at = 0.0
        self._ended = threading.Event()
        self._taking = threading.Lock()
        """Held from counting what is in hand until what is taken counts, too."""
        self._freed = threading.Condition()
        self._in_hand: Counter[str] = Counter()
        self._at_work = 0
        """Threads with a turn, or about to look for the next one."""
        self._not_begun = 0
        """Turns that wait in the pool for a thread."""
        self._limits: dict[str, tuple[float, int]] = {}
        self.worker = Worker(backend, clock, stopping=lambda: self._stopping)
        self._notices = NoticeKeeper(
            backend,
            self.worker.catalog,
            NoticeSending(backend.secrets, configuration or Configuration(), clock),
            clock,
            stopping=lambda: self._stopping,
        )

    def stop(self) -> None:
        """No further message is taken and no further call begins. Waits for no lock: a signal handler may call it. A second call
        changes nothing."""
        if not self._stopping:
            self._stopped_at = time.monotonic()
            self._stopping = True

    def run(self) -> bool:
        """Returns when stopped: True if everything in hand was finished in time."""
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="turn")
        taking = threading.Thread(target=self._take, args=(pool,), daemon=True, name="take")
        attendants = [
            threading.Thread(target=self._attend, args=(self._tick, self._until_next_due), daemon=True, name="tick"),
            threading.Thread(target=self._attend, args=(self._tidy, lambda: _TIDY_S), daemon=True, name="tidy"),
            threading.Thread(target=self._attend, args=(self._keep_inbound, lambda: _INBOUND_S), daemon=True, name="inbound"),
        ]
        # Nobody waits for this one: what it is sending is sent again by whoever comes next, under the same ID.
        watch = (self._notices.look, self._notices.pause_s)
        telling = threading.Thread(target=self._attend, args=watch, daemon=True, name="notices")
        for thread in (taking, *attendants, telling):
            thread.start()
        # The main thread never waits for the store: until that let it go, no signal would be heard.
        while not self._stopping:
            self._clock.sleep(_NOTICED_S)
        self._ended.set()
        finished = self._finished_in(_CALLS_MAY_FINISH_S, taking)
        if not finished:
            in_flight.cut_short()
            finished = self._finished_in(_ENDED_AFTER_S, taking)
        pool.shutdown(wait=finished, cancel_futures=True)
        for attendant in attendants:
            attendant.join(self._left_s(_ENDED_AFTER_S))
        return finished and not any(attendant.is_alive() for attendant in attendants)

    def _finished_in(self, seconds: float, taking: threading.Thread) -> bool:
        """Whether nothing is taken and nothing in hand any more so long after the signal."""
        taking.join(self._left_s(seconds))
        with self._freed:
            nothing_in_hand = self._freed.wait_for(lambda: not self._at_work, timeout=self._left_s(seconds))
        return nothing_in_hand and not taking.is_alive()

    def _take(self, pool: ThreadPoolExecutor) -> None:
        """Until stopped: hands on whatever can be taken."""
        while not self._stopping:
            try:
                self._take_one(pool)
            except Exception as error:
                _note("taking_failed", error)
                self._ended.wait(_TROUBLE_S)

    def _left_s(self, seconds: float) -> float:
        return max(0.0, self._stopped_at + seconds - time.monotonic())

    def _take_one(self, pool: ThreadPoolExecutor) -> None:
        with self._freed:
            if self._at_work >= self._threads:
                self._freed.wait(timeout=_TICK_S)
                return
        with computing.alone():  # to wait until it can takes less than to be in the way of those that compute
            leased = self._next()
        if leased is None:
            self._idle()
            return
        with self._freed:
            self._at_work += 1
            self._not_begun += 1
        # Where no thread can be started, this raises and the turn still waits in the pool for one that is free.
        pool.submit(self._turns, leased)

    def _idle(self) -> None:
        """Until it is time to look again: soon, as long as something was written lately. Threads at work look by themselves when
        they have ended a turn, and all that they write would be taken for something new."""
        for _ in range(round(_IDLE_S / _GLANCE_S)):
            self._clock.sleep(_GLANCE_S)
            if not self._at_work and self._is_written_lately():
                return

    def _is_written_lately(self) -> bool:
        written_at = self._queue.written_at()
        # A commit is written first, and seen only when the disk has it.
        return written_at is not None and 0 <= self._clock.now() - written_at < _IDLE_S

    def _next(self, ended: str | None = None) -> Leased | None:
        """The next message, in hand from here on; None if there is none to take, or it is to end. ended: the connector of the
        turn that the thread has ended, whose place nobody else has got meanwhile."""
        with self._taking:
            if ended is not None:
                self._end(ended)
            if self._stopping:
                return None  # several may have waited here, each for the time that a locked store takes
            with self._freed:
                held = dict(self._in_hand)
            leased = self._queue.take(busy=self._busy(held), most=MOST_TOGETHER)
            if leased is not None:
                with self._freed:
                    self._in_hand[leased.connector] += 1
            return leased

    def _turns(self, leased: Leased) -> None:
        """One turn after the other, until there is nothing to take, or a turn waits in the pool, which this thread then gets."""
        with self._freed:
            self._not_begun -= 1
        following: Leased | None = leased
        try:
            with computing.alone():
                while following is not None:
                    ended = following.connector
                    self._turn(following)
                    if self._not_begun:
                        self._end(ended)
                        return
                    following = self._next(ended)
        except Exception as error:
            _note("taking_failed", error)
        finally:
            with self._freed:
                self._at_work -= 1
                self._freed.notify_all()

    def _turn(self, leased: Leased) -> None:
        try:
            self.worker.handle(leased)
        except BaseException as error:
            _note("turn_ended", error, connector=leased.connector, message=leased.message_id)

    def _end(self, connector: str) -> None:
        """A turn of this connector is in hand no more."""
        with self._freed:
            self._in_hand[connector] -= 1
            if not self._in_hand[connector]:
                del self._in_hand[connector]

    def _busy(self, held: dict[str, int]) -> list[str]:
        """The connectors that get no further thread now. `held`: turns in hand, of connectors that have any."""
        free = self._threads - sum(held.values()) - self._reserve
        return [name for name, turns in held.items() if turns >= free or turns >= self._concurrency(name)]

    def _concurrency(self, connector: str) -> int:
        """Turns of this connector at once: its limit, read again every few seconds; one where it cannot be read."""
        at, limit = self._limits.get(connector, (0.0, 0))
        now = self._clock.now()
        if not limit or not 0 <= now - at < _LIMITS_GOOD_FOR_S:
            try:
                running = self.worker.catalog.get(self._backend.connectors.state(connector))
                limit = running.connector.limits.rate.concurrency
            except StoreUnavailable:
                raise
            except Exception:
                limit = 1  # its turns meet the same trouble, and say so
            self._limits[connector] = (now, limit)
        return limit

    def _attend(self, work: Callable[[], None], pause_s: Callable[[], float]) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            try:
                work()
                pause = pause_s()
            except Exception as error:
                _note("attendant_failed", error, thread=threading.current_thread().name)
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

    def _keep_inbound(self) -> None:
        """A command that was killed between a change and telling the receiver of it must not leave the receiver behind."""
        refresh_inbound(self._backend)


def _pull_queue(backend: Backend) -> PullQueue:
    queue = backend.queue
    if not hasattr(queue, "take"):
        raise ConfigurationError(
            "Nothing is to be started here: with BACKEND=google the queue calls the function deliver, which is the worker."
        )
    return cast(PullQueue, queue)


def _note(event: str, error: BaseException, **fields: str) -> None:
    """One line about trouble that ends nothing: neither does a log that cannot be written. The error's text may hold identifiers
    and is left out, unless it is the store's."""
    with suppress(Exception):
        if isinstance(error, StoreUnavailable):
            log("store_unavailable", "ERROR", hint=str(error), **fields)
        else:
            log(event, "ERROR", error=type(error).__name__, where=place_of(error), **fields)


def run_worker(configuration: Configuration) -> int:
    """The process `diy worker`: until SIGTERM or SIGINT. Returns the exit code."""
    running: list[WorkerProcess] = []
    told_to_end = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal told_to_end
        told_to_end = True
        for process in running:
            process.stop()

    # First of all: whoever starts processes may also end one that is not ready yet.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    clock = SystemClock()
    backend = open_backend(configuration, clock, create=False)
    process = WorkerProcess(backend, clock, configuration=configuration)
    running.append(process)
    if told_to_end:
        process.stop()
    # What is there now stays until the end.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AFTER)
    log("worker_started", threads=THREADS)
    finished = process.run()
    for ending in (signal.SIGTERM, signal.SIGINT):
        # Python gives its handlers up before it is gone: who tells us again would kill us.
        signal.signal(ending, signal.SIG_IGN)
    log("worker_stopped", finished=finished)
    if not finished:
        # Threads are still in calls, and would be waited for. What they have in hand is free for others once this process ends.
        sys.stdout.flush()
        os._exit(0)
    backend.close()
    return 0
