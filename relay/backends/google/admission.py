"""A connector's rate: at most so many calls and items in any period, whichever instances make them.

Each call is entered in the connector's ledger before it starts: one call to Firestore that reads ledger and state, with the
record of the audience whose turn has to stand, and one that writes the ledger on condition that nobody else has written it since.
Where a period allows twenty such calls or more, an instance that soon has used up what it took takes twice as much the next time,
up to a tenth of the period's calls and items, and spends it within a fifth of the period, or a second: then a call reads only the
state and that record. A document of Firestore can be written about once a second for long
(https://firebase.google.com/docs/firestore/best-practices#updates_to_a_single_document), more often for a while.

What this costs:
- A slice counts as if all of its calls were made at its end, until the instance's next one: from then on as if they were made at
  its last call. So of a rate that one instance asks for without end next to all is used. Where several do, at least 80 % are (a
  period's calls every 1.2 seconds where it is one second, and next to all where it is a minute). Below one second, less: a slice
  has to last longer than Firestore takes to write it down.
- What is left of a slice is given back with the instance's next one. Of an instance that has nothing more to send, it counts for
  a period. It is never more than twice what the instance had just used up.
- Instances whose clocks differ, differ as much about where a period ends.
"""

from __future__ import annotations

import math
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import grpc

from relay.backends.google import audience_documents
from relay.backends.google import connector_documents as docs
from relay.backends.google.documents import SERVICE, Documents, Stored, Write
from relay.backends.google.failures import unavailable
from relay.backends.google.rate_ledger import LEAD_US, LEDGER, MICROSECONDS, Ledger, Taken
from relay.backends.interfaces import Turn
from relay.domain.clock import Clock
from relay.domain.connector import RateLimits

_LONGEST_SLICE_US = MICROSECONDS

_SLICED_FROM = 20
"""Calls in a period from which on they are taken several at a time."""

_PART = 10
"""A slice is at most this part of what a period allows."""

_SLICE_OF_PERIOD = 5

_PATIENCE_S = 10.0
"""How long one thread waits while others of its process talk to Firestore."""

_TRIES = 3
"""So often what was taken is taken anew where Firestore was slow to write it down."""

_ASK_AGAIN_S = 0.01


class Slice:
    """Calls that this process may start from `begin` to `end`. Times as in the ledger."""

    def __init__(self, lease: str, taken: tuple[int | None, int | None], begin: int, end: int, clock: Clock) -> None:
        self.lease = lease
        self.begin, self.end = begin, end
        self.used = Taken(begin, 0, 0, lease)
        """What was spent of it."""
        self._most_calls, self._most_items = taken
        self._clock = clock
        self._opened_at = clock.monotonic()
        self._closed = False
        self._lock = threading.Lock()

    def has(self, items: int) -> bool:
        """Whether one more call with so many items may start now."""
        return (
            not self._closed
            and (self._most_calls is None or self.used.calls < self._most_calls)
            and (self._most_items is None or self.used.items + items <= self._most_items)
            and self.begin <= microseconds(self._clock.now()) <= self.end
            # The clock may have been set back since.
            and (self._clock.monotonic() - self._opened_at) * MICROSECONDS <= self.end - self.begin + 1
        )

    def spend(self, items: int) -> bool:
        """Whether it may, and it is counted."""
        with self._lock:
            allowed = self.has(items)
            if allowed:
                # The clock is read again, so this is not before the moment that was allowed; nor is a call behind the end.
                until = max(self.used.until, min(self.end, microseconds(self._clock.now())))
                self.used = Taken(until, self.used.calls + 1, self.used.items + items, self.lease)
            return allowed

    def close(self) -> None:
        """Nothing more is spent of it."""
        with self._lock:
            self._closed = True


class _Call(NamedTuple):
    """What is asked for. charged: its items, as they are counted."""

    connector: str
    rate: RateLimits
    charged: int
    turn: Turn | None


class Admission:
    """`interfaces.Connectors.admit`. Without limits, and out of a slice: one read. Else: two reads in one call, and one write. A
    turn that has to stand is one more read in the same call.

    `not_before` is looked at every time, and whoever records one changes the ledger's document as well: of a call that is being
    admitted at that moment the write fails, and it is asked again. So no call is admitted after a moment was recorded.
    """

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._lock = threading.Lock()
        self._pools: dict[tuple[str, RateLimits], _Pool] = {}
        self._commit_s = 0.0

    def admit(self, connector: str, rate: RateLimits, *, items: int, turn: Turn | None = None) -> float:
        """See `interfaces.Connectors`."""
        if rate.calls is None and rate.items is None:
            return self._postponed_s(_Call(connector, rate, items, turn))
        # More items in one call than the rate allows in a period: the call takes a whole period for itself.
        charged = items if rate.items is None else min(items, rate.items)
        call = _Call(connector, rate, charged, turn)
        with self._lock:
            pool = self._pools.setdefault((connector, rate), _Pool())
        while True:
            current = pool.current
            if current is not None and current.has(charged):
                wait = self._postponed_s(call)
                if wait > 0 or current.spend(charged):
                    return wait
            with pool.alone():
                # Another thread may have taken enough for both meanwhile.
                if pool.current is None or not pool.current.has(charged):
                    return self._take(pool, call)

    def _postponed_s(self, call: _Call) -> float:
        stored = self._read(call).get(docs.state_path(call.connector))
        return max(0.0, docs.state_of(stored).not_before - self._clock.now()) if stored else 0.0

    def _read(self, call: _Call, *others: str) -> dict[str, Stored]:
        """The connector's state, and these documents. Raises `TurnLost` unless the call's turn stands."""
        paths = [docs.state_path(call.connector), *others]
        if call.turn is None:
            return self._documents.get_all(paths)
        record = audience_documents.path_of(call.turn.connector, call.turn.audience_id)
        found = self._documents.get_all([*paths, record])
        audience_documents.require_standing(call.turn, found.get(record))
        return found

    def _take(self, pool: _Pool, call: _Call) -> float:
        for _ in range(_TRIES):
            last = pool.current
            if last is not None:
                last.close()
            taken = self._taken(last, call)
            if not isinstance(taken, Slice):
                return taken
            pool.current = taken
            if taken.spend(call.charged):
                return 0
            # It took so long to write it down that its time is over. Nothing of it was spent: the next one gives it back.
        return _ASK_AGAIN_S

    def _taken(self, last: Slice | None, call: _Call) -> Slice | float:
        # Named before the first try, so that a second one finds what the first has written where its confirmation got lost.
        lease = uuid.uuid4().hex[:12]
        return self._documents.change(lambda: self._try_to_take(last, lease, call))

    def _try_to_take(self, last: Slice | None, lease: str, call: _Call) -> Slice | float:
        """A slice with room for this call, or the seconds until there may be room."""
        connector, rate, charged, _ = call
        began_at = self._clock.monotonic()
        state_path, rate_path = docs.state_path(connector), docs.rate_path(connector)
        found = self._read(call, rate_path)
        # Read after Firestore has answered: what it said is true of this moment as long as the write's condition holds.
        now = self._clock.now()
        read_s = self._clock.monotonic() - began_at
        if state_path in found and (not_before := docs.state_of(found[state_path]).not_before) > now:
            return not_before - now
        moment, period = microseconds(now), math.ceil(rate.per_s * MICROSECONDS)
        before = found.get(rate_path)
        stored = _ledger_of(before)
        known = stored.without(lease)
        if last is not None:
            known = known.corrected(last.used)
        known = known.at(moment, period)
        free_at = known.free_at(rate, charged, period)
        if free_at > moment:
            if any(one.until > moment + LEAD_US for one in stored.taken):
                # What the clock that was set back has changed is written down, or the wait would begin anew every time.
                self._write(rate_path, known, before)
            return free_at / MICROSECONDS - now
        slice_us = max(1, min(_LONGEST_SLICE_US, period // _SLICE_OF_PERIOD))
        calls, total = _size(last, rate, charged, known, (moment - last.begin) / slice_us if last else math.inf)
        # The call starts once the write is confirmed, so it counts until the moment at which that can be expected.
        expected_us = math.ceil(2 * (self._commit_s or read_s) * MICROSECONDS)
        end = moment + min(LEAD_US, max(expected_us, slice_us if calls > 1 else 0))
        limits = (None if rate.calls is None else calls, None if rate.items is None else total)
        taken = Slice(lease, limits, moment, end, self._clock)
        began_at = self._clock.monotonic()
        self._write(rate_path, known.added(Taken(end, calls, total, lease), now=moment, period=period), before)
        commit_s = self._clock.monotonic() - began_at
        self._commit_s = max(commit_s, 0.9 * self._commit_s + 0.1 * commit_s)
        return taken

    def _write(self, path: str, ledger: Ledger, before: Stored | None) -> None:
        write = Write(path, "merge", {"record": LEDGER.write(ledger).decode()})
        self._documents.commit([docs.unless_changed(write, before)])


class _Pool:
    """What this process has taken of one connector's rate. `current` has been written down; it may be used up."""

    def __init__(self) -> None:
        self.current: Slice | None = None
        self._taking = threading.Lock()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One thread at a time: the others would only get in its way, and mostly it takes enough for them, too."""
        if not self._taking.acquire(timeout=_PATIENCE_S):
            raise unavailable(SERVICE, grpc.StatusCode.DEADLINE_EXCEEDED)
        try:
            yield
        finally:
            self._taking.release()


def microseconds(seconds: float) -> int:
    """A moment as ledgers have it."""
    return round(seconds * MICROSECONDS)


def _size(last: Slice | None, rate: RateLimits, charged: int, ledger: Ledger, since: float) -> tuple[int, int]:
    """Calls and items to take: those of this call, and where a period allows many like it, what the last slice shows to be
    needed: twice as much as was spent of it if that did not last. since: it was taken, in times that slices last."""
    many = (rate.calls is None or rate.calls >= _SLICED_FROM) and (
        rate.items is None or rate.items >= _SLICED_FROM * max(1, charged)
    )
    if not many or last is None or since > 2:
        return 1, charged
    times = 2 if since <= 1 else 1
    room_calls, room_items = ledger.room(rate)
    calls = _at_most(max(1, times * last.used.calls), rate.calls, room_calls)
    return calls, _at_most(max(charged, times * last.used.items), rate.items, room_items)


def _at_most(wanted: int, limit: int | None, room: int | None) -> int:
    return wanted if limit is None or room is None else min(wanted, limit // _PART, room)


def _ledger_of(stored: Stored | None) -> Ledger:
    record = stored.fields.get("record") if stored else None
    return LEDGER.read(record.encode()) if record else Ledger()
