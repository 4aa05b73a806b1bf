"""What must hold all along, each told of an effect the moment that it has happened; and what must hold at the end."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from relay.backends.interfaces import Leased
from relay.backends.records import AUDIENCE
from relay.domain.audience import ASK_AGAIN_S, Audience
from relay.domain.message import decode
from tests.simulation.ledger import Key, Ledger
from worker.budget import TURN_S

WITHIN_TURN = frozenset({"join", "settle", "expand", "attempt", "give", "mark_asked", "acknowledge", "finish"})
"""What a turn writes only within its time. A creation has its claim instead, and a resume too many does nothing."""

ENDED_BY_SOMEONE = frozenset({"connector_off", "paused"})
"""Reasons without a due time: a switch ends them, and whoever looks at the holds sees it."""

LONGEST_HOLD_S = 3_700.0
"""No hold waits longer before it is tried again (`crashed`, an hour at most)."""

MOST_RESUMES = 8
"""Of one audience in the queue within a minute. Where a hold is due every second and its turns are slow, a few are surplus."""

CONNECTOR_OFF = ""
"""For `switched`: all audiences."""

_SENDING_S = 0.5
"""Nobody can look at the clock and send in one step."""


class Broken(BaseException):
    """An invariant does not hold. No `except` of the product may catch it."""

    def __init__(self, rule: str, audience: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.audience = audience


class InHand:
    """A message in a worker's hand, or a creation without one; what its task has been told."""

    def __init__(self, process: Any, leased: Leased | None) -> None:
        self.process = process
        self.leased = leased
        self.audience = leased.key.partition("/")[2] if leased else ""
        self.begin()
        self.until = leased.lease_until if leased else math.inf
        self.is_over = False
        """Whether the worker has come to its end with it."""
        self.is_late = False
        """Whether a later message had had its turn when it woke to begin its own."""
        self.turn_began_at_step = 0
        self.met_a_failing_store = False
        self.wishes: list[float] = []
        """Moments before which the partner asked not to be called."""
        self.asked_at_step = 0
        """When it asked the rate last: what was recorded before then must be obeyed."""
        self.sending = False
        """Between asking and the partner's having it: nobody can do both in one step."""

    def begin(self) -> None:
        """Its time runs."""
        self.began_at = self.process.clock.now()
        self.began_monotonic = self.process.clock.monotonic()

    def left_s(self) -> float:
        """Seconds of its turn, by the clocks that it has."""
        clock = self.process.clock
        elapsed = max(clock.now() - self.began_at, clock.monotonic() - self.began_monotonic)
        return float(min(TURN_S - elapsed, self.until - clock.now()))


class Invariants:
    """Of one story. `queued`: bodies that the queue has for an audience, those in hand included."""

    def __init__(
        self, database: Path, ledger: Ledger, now: Callable[[], float], queued: Callable[[str], Iterable[bytes]]
    ) -> None:
        self._database = sqlite3.connect(database.as_uri() + "?mode=ro", uri=True, isolation_level=None)
        self._ledger = ledger
        self._now = now
        self._queued = queued
        self._not_before: list[tuple[int, float]] = []
        self._off_since: dict[str, int] = {}
        self.longest_jump_s = 0.0

    def close(self) -> None:
        self._database.close()

    def select(self, sql: str, *parameters: Any) -> list[Any]:
        """All rows, as the database has them at this moment."""
        return self._database.execute(sql, parameters).fetchall()

    # nothing lost

    def nothing_lost(self, audience: str) -> None:
        """No mutation that the DMP was told of is absent from queue, hold, partner, rejections, superseded and skipped."""
        missing = {one.key: one for one in self._ledger.unsettled(audience)}
        if not missing:
            return
        for key in self._places(audience):
            missing.pop(key, None)
        for mutation in missing.values():
            raise Broken(f"accepted, and now nowhere: {mutation}", audience)

    def _places(self, audience: str) -> Iterable[Key]:
        bodies = [*self._queued(audience)]
        bodies += [body for (body,) in self._database.execute("SELECT body FROM waiting WHERE audience = ?", (audience,))]
        for body in bodies:
            message = decode(body)
            for mutation in message.mutations:
                yield message.request_id, mutation.index

    # holds

    def hold_is_sound(self, audience: str) -> None:
        """Every hold has a reason, a due time or a switch that ends it, and what it counts; what waits has a hold."""
        found = self._record(audience)
        batches, items = self._database.execute(
            "SELECT count(*), coalesce(sum(items), 0) FROM waiting WHERE audience = ?", (audience,)
        ).fetchone()
        hold = found.hold if found else None
        if hold is None:
            if batches:
                raise Broken(f"{batches} batches wait, and there is no hold", audience)
            return
        if (hold.batches, hold.items) != (batches, items):
            raise Broken(f"the hold counts {hold.batches} batches, {hold.items} users; there are {batches}, {items}", audience)
        if not batches:
            raise Broken(f"a hold ({hold.reason}) with nothing in it", audience)
        if hold.due_at is None:
            if hold.reason not in ENDED_BY_SOMEONE:
                raise Broken(f"a hold ({hold.reason}) that nothing ends", audience)
        elif hold.due_at > self._now() + LONGEST_HOLD_S + self.longest_jump_s:
            raise Broken(f"a hold ({hold.reason}) that is due in {hold.due_at - self._now():.0f} s", audience)

    def position(self, audience: str) -> int:
        """Of the newest message that had its turn."""
        found = self._record(audience)
        return found.position if found else 0

    def _record(self, audience: str) -> Audience | None:
        row = self._database.execute("SELECT record FROM audiences WHERE id = ?", (audience,)).fetchone()
        return AUDIENCE.read(row[0]) if row else None

    # time

    def may_write(self, hand: InHand, name: str) -> None:
        """A turn past its budget writes nothing. Asked when it is about to, before anything can keep it from doing so at once."""
        if hand.left_s() < 0:
            raise Broken(f"{name}, {-hand.left_s():.1f} s after the turn's time was over", hand.audience)

    def may_call(self, hand: InHand, takes_s: float, audience: str) -> None:
        """No call starts that cannot end within the turn, nor before a moment that the partner named and the store had recorded
        when the rate was asked."""
        if hand.leased and hand.left_s() < takes_s - _SENDING_S:
            raise Broken(f"a call that can take {takes_s:g} s, with {hand.left_s():.1f} s left", audience)
        for step, moment in self._not_before:
            if step < hand.asked_at_step and self._now() < moment:
                raise Broken(f"a call {moment - self._now():.1f} s before the moment that the partner had named", audience)
        for what, step in self._off_since.items():
            if hand.leased and step < hand.turn_began_at_step and what in (CONNECTOR_OFF, audience):
                raise Broken("a call in a turn that began while it was switched off or paused", audience)
        if 0 < hand.process.stopping_since < hand.asked_at_step:
            raise Broken("a call of a process that was asked to end", audience)

    def put_off(self, step: int, moment: float) -> None:
        """No call may begin before: the store has recorded it, or a turn to which the partner said so has ended in order."""
        if moment <= self._now():
            self._not_before.clear()
        self._not_before.append((step, moment))

    def switched(self, step: int, what: str, *, off: bool) -> None:
        """what: an audience, or `CONNECTOR_OFF`."""
        if off:
            self._off_since.setdefault(what, step)
        else:
            self._off_since.pop(what, None)

    def resume_is_wanted(self, audience: str) -> None:
        """A hold asks for one resume at a time: they do not pile up."""
        lately = self._now() - ASK_AGAIN_S
        queued = [decode(body) for body in self._queued(audience)]
        resumes = sum(message.kind == "resume" and message.received_at > lately for message in queued)
        if resumes > MOST_RESUMES:
            raise Broken(f"{resumes} resumes are queued", audience)

    # the end

    def everything_arrived(self, members: dict[str, set[str]], rejected: Iterable[Any]) -> None:
        """The last mutation that the queue accepted for each user and audience is the partner's state; only those that the
        partner refused are rejected, and each of those is in the store's list."""
        listed = set()
        for rejection in rejected:
            listed.add((rejection.request_id, rejection.index))
            if not self._ledger.is_just(rejection):
                mutation = self._ledger.mutations[rejection.request_id, rejection.index]
                raise Broken(f"rejected ({rejection.code}), and the partner had not refused it: {mutation}", mutation.audience)
        for mutation in self._ledger.mutations.values():
            if mutation.fates == {"rejected"} and mutation.key not in listed:
                raise Broken(f"said to be rejected, and not among the rejections: {mutation}", mutation.audience)
        for last in self._ledger.last():
            self.nothing_lost(last.audience)
            # A user whose last mutation was rejected, or skipped as the connector asks: the partner's state is that of before.
            if last.fates & {"rejected", "skipped"}:
                continue
            is_member = last.row in members.get(last.audience, set())
            if is_member != (last.direction == "joined"):
                state = "a member" if is_member else "no member"
                raise Broken(f"{last.row} is {state}, and the last mutation was {last}", last.audience)
