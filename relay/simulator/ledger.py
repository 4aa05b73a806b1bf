"""What the partner must hold in the end, kept while requests are under way."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from relay.domain.message import Direction
from relay.simulator.dmp import Change

Fate = Literal["accepted", "not_accepted", "perhaps_accepted", "unanswered"]
"""What the answer says about a request's changes.

accepted          all of them are in the queue (200)
not_accepted      none of them is (4xx, or no connection)
perhaps_accepted  some of them may be (5xx); nothing more of this request will follow
unanswered        some of them may be, now or later
"""


class Ledger:
    """Last mutation wins, for each user of each audience. Safe to use from several threads.

    Requests that overlap have no promised order, so a user of an audience who is in a request under way is not drawn again
    before its answer; and one whose request stayed unanswered is never drawn again, since it may still arrive.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._member: dict[Change, bool] = {}
        self._under_way: set[Change] = set()
        self._uncertain: set[Change] = set()
        self._lost: set[Change] = set()

    def begin(self, change: Change, *, only_members: bool = False) -> bool:
        """Whether this change may be sent now; from then on it is under way."""
        with self._lock:
            if change in self._under_way or change in self._lost or (only_members and not self._member.get(change, False)):
                return False
            self._under_way.add(change)
            return True

    def settle(self, direction: Direction, changes: Iterable[Change], fate: Fate) -> None:
        """The request with these changes has come to its end."""
        with self._lock:
            for change in changes:
                self._under_way.discard(change)
                if fate == "accepted":
                    self._member[change] = direction == "joined"
                    self._uncertain.discard(change)
                elif fate == "perhaps_accepted":
                    self._uncertain.add(change)
                elif fate == "unanswered":
                    self._lost.add(change)

    @property
    def members(self) -> dict[str, set[str]]:
        """Audience → the users who must be in it."""
        return self._by_audience(True)

    @property
    def others(self) -> dict[str, set[str]]:
        """Audience → the users who must not be in it, though they once were or may have been."""
        return self._by_audience(False)

    @property
    def unsettled(self) -> dict[str, set[str]]:
        """Audience → the users of whom nothing can be said, because a request of theirs failed half-way or has no answer."""
        with self._lock:
            return _grouped(self._uncertain | self._lost | self._under_way)

    def _by_audience(self, member: bool) -> dict[str, set[str]]:
        with self._lock:
            open_ends = self._uncertain | self._lost | self._under_way
            return _grouped(change for change, state in self._member.items() if state is member and change not in open_ends)


def _grouped(changes: Iterable[Change]) -> dict[str, set[str]]:
    grouped: defaultdict[str, set[str]] = defaultdict(set)
    for change in changes:
        grouped[change.audience].add(change.user)
    return dict(grouped)
