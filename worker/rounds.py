"""From the rows of actions to what is sent together: net effect, and rounds. Pure.

Net effect: of set operations on the same set, only the last mutation of each partner row is sent, decided on the keys by which
the partner knows the user, after mapping and normalising. Rows that share only some of their keys may be one member at the
partner: where they go opposite ways, the later begins a new round. So what is sent in one round concerns different members and
may be sent in any order. Events are all sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import msgspec
from msgspec.structs import replace

from adapters.contract import Operation, Row
from worker.catalog import RunningAction


class PlannedRow(Row, frozen=True, gc=False):
    """A row to be sent. `pending`: number of its mutation in the turn. `keys`, `group`: see `Prepared`."""

    pending: int
    keys: tuple[str, ...] = ()
    group: str = ""


class PlannedAction(msgspec.Struct, frozen=True):
    """The rows of one action, in the order of their mutations."""

    action: RunningAction
    rows: tuple[PlannedRow, ...]

    @property
    def name(self) -> str:
        """The action's."""
        return self.action.action.name

    @property
    def operation(self) -> Operation:
        """What it does."""
        return self.action.operation


Superseded = tuple[str, int]
"""The action and the number of a mutation whose place a later one took."""


def net_effect(planned: Sequence[PlannedAction]) -> tuple[Sequence[PlannedAction], list[Superseded]]:
    """What is left to be sent, and what is not: in each set a row counts as its last mutation said. Two actions of one mutation
    are both done."""
    sets: dict[str, list[PlannedAction]] = {}
    for one in planned:
        if one.operation.kind == "set":
            sets.setdefault(one.operation.set_name, []).append(one)
    superseded = [each for together in sets.values() for each in _superseded(together)]
    if not superseded:
        return planned, superseded
    gone = set(superseded)
    kept = [replace(one, rows=tuple([row for row in one.rows if (one.name, row.pending) not in gone])) for one in planned]
    return kept, superseded


def _superseded(together: Sequence[PlannedAction]) -> list[Superseded]:
    """Of actions on the same set."""
    last: dict[tuple[str, ...], int] = {}
    for one in together:
        here = {row.keys: row.pending for row in one.rows}
        for keys in last.keys() & here.keys():
            here[keys] = max(last[keys], here[keys])
        last |= here
    if len(last) == sum(len(one.rows) for one in together):
        return []
    return [(one.name, row.pending) for one in together for row in one.rows if last[row.keys] != row.pending]


def in_rounds(planned: Sequence[PlannedAction]) -> tuple[tuple[PlannedAction, ...], ...]:
    """Each with its actions in the order that they have here; actions without rows are in none."""
    planned = [one for one in planned if one.rows]
    if len({one.operation.effect for one in planned if one.operation.kind == "set"}) < 2:
        return (tuple(planned),) if planned else ()  # nothing goes another way
    rounds: list[dict[str, list[PlannedRow]]] = []
    ways: dict[tuple[str, str], str | None] = {}
    """Each key in the newest round, by itself → the way that all rows with it go there."""
    in_order = sorted(((row.pending, one, row) for one in planned for row in one.rows), key=itemgetter(0))
    for _, one, row in in_order:
        effect, keys = one.operation.effect, _keys_of(row, one.operation)
        if not rounds or any(ways.get(key, effect) != effect for key in keys):
            rounds.append({})
            ways = {}
        ways.update(dict.fromkeys(keys, effect))
        rounds[-1].setdefault(one.name, []).append(row)
    return tuple(
        tuple(PlannedAction(one.action, tuple(rows[one.name])) for one in planned if one.name in rows) for rows in rounds
    )


def _keys_of(row: PlannedRow, operation: Operation) -> list[tuple[str, str]]:
    """Each key by itself, in each set that the operation changes."""
    if operation.kind != "set":
        return []
    return [(each, key) for each in (operation.set_name, *operation.touches) for key in row.keys]
