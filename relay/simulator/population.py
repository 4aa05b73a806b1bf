"""Who joins and who leaves: the content of the DMP's micro-batches, drawn by chance."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from relay.domain.message import Direction
from relay.simulator.dmp import MAX_USERS, Change, DmpAudience
from relay.simulator.ledger import Ledger

_LEAVING = 0.3
_FULL = 0.25
_SEVERAL_AUDIENCES = 0.3
_TRIES = 4

_NAMES = ("Sneaker fans", "Newsletter readers", "Cart abandoners", "Weekend shoppers", "Frequent flyers", "Early birds")


class MicroBatch(msgspec.Struct, frozen=True):
    """The changes of one request, all in one direction."""

    direction: Direction
    changes: tuple[Change, ...]


def audiences(count: int) -> tuple[DmpAudience, ...]:
    """Audiences with IDs of the DMP's form, the same ones every time."""
    return tuple(
        DmpAudience(
            f"a5940e473cea659.{356693871497425011 + number}",
            _NAMES[number] if number < len(_NAMES) else f"{_NAMES[number % len(_NAMES)]} {number // len(_NAMES) + 1}",
        )
        for number in range(count)
    )


def users(count: int) -> tuple[str, ...]:
    """User IDs, the same ones every time."""
    return tuple(f"user-{number:06d}" for number in range(1, count + 1))


class Population:
    """Users who join and leave audiences.

    A micro-batch holds as many users as the DMP's window of a second gathered, at most `largest`: a quarter of the batches are
    full, the others hold any smaller number. Nearly a third go to several audiences. Only members leave; now and then a member
    joins again, as the DMP may repeat itself.
    """

    def __init__(
        self,
        audience_ids: Sequence[str],
        user_ids: Sequence[str],
        chance: random.Random,
        ledger: Ledger,
        *,
        largest: int = MAX_USERS,
    ) -> None:
        self._audiences = list(audience_ids)
        self._users = user_ids
        self._chance = chance
        self._ledger = ledger
        self._largest = largest

    def draw(self) -> MicroBatch | None:
        """The next micro-batch, begun in the ledger. None if every user is in a request under way."""
        chance = self._chance
        size = self._largest if chance.random() < _FULL else chance.randint(1, self._largest)
        several = len(self._audiences) > 1 and chance.random() < _SEVERAL_AUDIENCES
        among = chance.sample(self._audiences, chance.randint(2, len(self._audiences)) if several else 1)
        if chance.random() < _LEAVING and (leaving := self._changes(among, size, only_members=True)):
            return MicroBatch("left", leaving)
        joining = self._changes(among, size, only_members=False)
        return MicroBatch("joined", joining) if joining else None

    def _changes(self, among: Sequence[str], size: int, *, only_members: bool) -> tuple[Change, ...]:
        drawn: list[Change] = []
        for _ in range(size * _TRIES):
            change = Change(self._chance.choice(among), self._chance.choice(self._users))
            if self._ledger.begin(change, only_members=only_members):
                drawn.append(change)
                if len(drawn) == size:
                    break
        return tuple(drawn)
