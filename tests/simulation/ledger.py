"""The truth that the relay is compared with: what the queue accepted, in which order, and what became of each mutation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from relay.domain.message import Message
from relay.domain.outcome import Rejection, Report
from relay.domain.reply import Reply

Key = tuple[str, int]
"""A mutation: its request's ID and its place there."""


class Accepted:
    """A mutation that the queue accepted.

    row       the user as the partner knows it
    order     place in the order in which the queue accepted the mutations; that of the last time, if it took it twice
    answered  whether the DMP was told so
    asked     a feed waits for what becomes of it
    fates     what became of it so far; empty: it must be in the queue or in a hold
    """

    __slots__ = ("answered", "asked", "audience", "direction", "fates", "key", "order", "row")

    def __init__(self, key: Key, audience: str, row: str, direction: str, order: int) -> None:
        self.key, self.audience, self.row, self.direction, self.order = key, audience, row, direction, order
        self.answered = False
        self.asked = False
        self.fates: set[str] = set()

    def __str__(self) -> str:
        return f"{self.row} {self.direction} ({self.key[0]}/{self.key[1]})"


class Ledger:
    """Of one story."""

    def __init__(self) -> None:
        self.mutations: dict[Key, Accepted] = {}
        self._order = 0
        self._unsettled: dict[str, dict[Key, Accepted]] = {}
        self._refused: dict[tuple[str, str], set[str]] = {}
        self._refused_with_all: dict[tuple[str, str], set[str]] = {}

    # what the queue and the DMP say

    def accept(self, messages: Iterable[Message]) -> None:
        """The queue has these, whatever the one who published them was told."""
        for message in messages:
            for mutation in message.mutations:
                self._order += 1
                key = (message.request_id, mutation.index)
                known = self.mutations.get(key)
                if known is None:
                    known = Accepted(key, message.audience, mutation.user["id"].lower(), mutation.direction, self._order)
                    self.mutations[key] = known
                    self._unsettled.setdefault(message.audience, {})[key] = known
                known.order = self._order
                known.asked = bool(message.answer_by)

    def answer(self, messages: Iterable[Message]) -> None:
        """The DMP was told that these are accepted."""
        for message in messages:
            for mutation in message.mutations:
                self.mutations[message.request_id, mutation.index].answered = True

    # what becomes of them

    def applied(self, audience: str, direction: str, rows: Iterable[str]) -> None:
        """The partner did this."""
        wanted = set(rows)
        for mutation in list(self._unsettled.get(audience, {}).values()):
            if mutation.row in wanted and mutation.direction == direction:
                self._settle(mutation, "applied")

    def reported(self, report: Report, rejections: Sequence[Rejection]) -> None:
        """An attempt was recorded."""
        for result in report.exceptions:
            if result.outcome in ("superseded", "skipped"):
                self._settle(self.mutations[result.request_id, result.index], result.outcome)
        self.rejected(rejections)

    def rejected(self, rejections: Sequence[Rejection]) -> None:
        """These are among the rejections."""
        for rejection in rejections:
            self._settle(self.mutations[rejection.request_id, rejection.index], "rejected")

    def replied(self, reply: Reply) -> None:
        """A feed's request is going to be told this: from here on it counts as any answer."""
        for one in reply.mutations:
            if one.outcome != "retry":
                self.mutations[reply.request_id, one.index].answered = True

    def refused(self, audience: str, row: str, code: str, *, certain: bool = True) -> None:
        """The partner has refused this user. From here on it may be rejected where it is certain that it was about this user, and
        where a feed brought it that is told."""
        (self._refused if certain else self._refused_with_all).setdefault((audience, row), set()).add(code)

    # what is asked

    def is_last(self, key: Key) -> bool:
        """Whether this mutation is the last one of its user."""
        mine = self.mutations[key]
        place = (mine.audience, mine.row)
        return not any(one.order > mine.order and (one.audience, one.row) == place for one in self.mutations.values())

    def unsettled(self, audience: str) -> list[Accepted]:
        """Those that the DMP was told of and that are neither at the partner, nor rejected, superseded or skipped."""
        return [mutation for mutation in self._unsettled.get(audience, {}).values() if mutation.answered]

    def is_just(self, rejection: Rejection) -> bool:
        """Whether the partner had refused that user in that way."""
        mutation = self.mutations[rejection.request_id, rejection.index]
        place = (mutation.audience, mutation.row)
        told = self._refused_with_all.get(place, set()) if mutation.asked else set()
        return rejection.code == "discarded" or rejection.code in self._refused.get(place, set()) | told

    def last(self) -> list[Accepted]:
        """For each user and audience the last mutation that the queue accepted."""
        last: dict[tuple[str, str], Accepted] = {}
        for mutation in sorted(self.mutations.values(), key=lambda one: one.order):
            last[mutation.audience, mutation.row] = mutation
        return list(last.values())

    def _settle(self, mutation: Accepted, fate: str) -> None:
        mutation.fates.add(fate)
        self._unsettled[mutation.audience].pop(mutation.key, None)
