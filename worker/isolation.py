"""Finding the bad row in a call that the partner refuses as a whole: halved until found."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from adapters.contract import Rejected, RowResult
from relay.domain.errors import BatchRefused

MOST_CALLS = 16
"""Calls that one chunk may cost in a turn; what is unresolved then is held and goes on in the next turn. A chunk of many
thousands may cost as many as it takes to find one bad row, so that every turn gets further."""

T = TypeVar("T")


def isolate(
    rows: Sequence[T],
    send: Callable[[Sequence[T]], Sequence[RowResult]],
    settle: Callable[[Sequence[T], Sequence[RowResult]], None],
    chance: random.Random,
) -> list[T]:
    """Sends the rows; those of a refused call in halves. `settle` is told rows and their results as soon as these are known.
    Returns the rows that are still unresolved when the calls are used up, in order.

    Which half goes first is left to chance: many bad rows in one place would else use up the same calls at every turn, and the
    good rows behind them would never be tried. One bad row of 100 costs at most 15 calls. Errors of `send` other than
    `BatchRefused` pass through; what `settle` was told stands.
    """
    stack: list[range] = [range(len(rows))]
    calls = 0
    most = max(MOST_CALLS, 2 * len(rows).bit_length())
    while stack and calls < most:
        part = stack.pop()
        calls += 1
        try:
            sent = rows[part.start : part.stop]
            results = send(sent)
        except BatchRefused as refused:
            if len(part) == 1:
                settle(sent, [Rejected(refused.code, refused.hint)])
                continue
            middle = part.start + len(part) // 2
            halves = [range(part.start, middle), range(middle, part.stop)]
            chance.shuffle(halves)
            stack += halves
            continue
        settle(sent, results)
    return [rows[number] for part in sorted(stack, key=lambda left: left.start) for number in part]
