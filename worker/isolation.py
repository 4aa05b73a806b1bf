"""Finding the bad row in a call that the partner refuses as a whole: halved until found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from adapters.contract import Rejected, RowResult
from relay.domain.errors import BatchRefused

MOST_CALLS = 16
"""Calls that one chunk may cost in a turn; what is unresolved then is held and goes on in the next turn. A chunk of many
thousands may cost as many as it takes to find one bad row, so that every turn gets further."""

T = TypeVar("T")


def isolate(
    rows: Sequence[T], send: Callable[[Sequence[T]], Sequence[RowResult]], settle: Callable[[T, RowResult], None]
) -> list[T]:
    """Sends the rows; those of a refused call in halves, depth first, in order. `settle` is told each row's result as soon as it
    is known. Returns the rows that are still unresolved when the calls are used up.

    One bad row of 100 costs at most 15 calls. Errors of `send` other than `BatchRefused` pass through; what `settle` was told
    stands.
    """
    stack: list[Sequence[T]] = [rows]
    calls = 0
    most = max(MOST_CALLS, 2 * len(rows).bit_length())
    while stack and calls < most:
        part = stack.pop()
        calls += 1
        try:
            results = send(part)
        except BatchRefused as refused:
            if len(part) == 1:
                settle(part[0], Rejected(refused.code, refused.hint))
                continue
            middle = len(part) // 2
            stack.append(part[middle:])
            stack.append(part[:middle])
            continue
        for row, result in zip(part, results, strict=True):
            settle(row, result)
    return [row for part in reversed(stack) for row in part]
