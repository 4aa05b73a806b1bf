"""Who is told of the exchanges with a partner: set by whoever keeps them, told by the client after each.

What an adapter does in one `send` can be several exchanges (a token, a repetition, the steps of a job); this tells of all.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from adapters.contract import HttpAnswer, HttpRequest
from adapters.within import Within

Keeper = Callable[[HttpRequest, HttpAnswer | None, float, str], object]
"""The request, its answer (None: none came), milliseconds, and the code of the error by which none came. Must not raise."""

_keeper: ContextVar[Keeper | None] = ContextVar("keeper", default=None)


def kept_by(keeper: Keeper) -> Within[Keeper | None]:
    """What is exchanged inside is told to this one."""
    return Within(_keeper, keeper)


def tell(request: HttpRequest, answer: HttpAnswer | None, duration_ms: float, problem: str = "") -> None:
    """Of an exchange that has ended."""
    keeper = _keeper.get()
    if keeper is not None:
        keeper(request, answer, duration_ms, problem)
