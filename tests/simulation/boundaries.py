"""Where control can pass to somebody else, and where faults happen: before and after every effect of a process, and what it reads
to decide by. Never inside of a transaction: an effect is whole, or it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

from relay.backends.interfaces import Leased, Turn
from relay.domain.audience import Audience
from relay.domain.message import Message

WRITES: dict[str, frozenset[str]] = {
    "queue": frozenset({"take", "publish", "acknowledge", "give_back"}),
    "audiences": frozenset(
        {"begin_turn", "join", "settle", "expand", "mark_asked", "claim_creation", "created", "creation_failed", "drop"}
    ),
    "reports": frozenset({"attempt"}),
    "replies": frozenset({"give"}),
    "connectors": frozenset({"admit", "not_before"}),
}
READS: dict[str, frozenset[str]] = {
    "audiences": frozenset({"require", "waiting", "due", "get"}),
    "connectors": frozenset({"state"}),
}
ALL_WRITES = frozenset(name for names in WRITES.values() for name in names)
ALL_STORE = ALL_WRITES | frozenset(name for names in READS.values() for name in names)

CALL = "call"
"""The boundary of a call to the partner: before, when it leaves; after, when its answer is there."""


class Moment(NamedTuple):
    """Control is at a boundary. `audience` is empty where it concerns none, or several."""

    when: Literal["before", "after"]
    name: str
    process: Any
    audience: str


class Watching(Protocol):
    """Who is told of everything: may wait, or raise, at a boundary; `done` follows an effect at once."""

    def reached(self, moment: Moment) -> None: ...

    def done(self, process: Any, name: str, arguments: tuple[Any, ...], named: dict[str, Any], result: Any) -> None: ...


class Tapped:
    """A part of a back end whose boundaries are told."""

    def __init__(self, inner: Any, part: str, process: Any, watching: Watching) -> None:
        self._inner = inner
        self._names = WRITES.get(part, frozenset()) | READS.get(part, frozenset())
        self._process = process
        self._watching = watching

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name in self._names:
            value = self._told(name, value)
        if callable(value):
            self.__dict__[name] = value
        return value

    def _told(self, name: str, value: Callable[..., Any]) -> Callable[..., Any]:
        watching, process = self._watching, self._process

        def call(*arguments: Any, **named: Any) -> Any:
            audience = concerned(arguments)
            watching.reached(Moment("before", name, process, audience))
            result = value(*arguments, **named)
            watching.done(process, name, arguments, named, result)
            watching.reached(Moment("after", name, process, audience))
            return result

        return call


class TappedBackend:
    """A back end whose boundaries are told. `queue`: another one than its own, where there is one."""

    def __init__(self, backend: Any, process: Any, watching: Watching, *, queue: Any = None) -> None:
        self._backend = backend
        self.queue = Tapped(queue or backend.queue, "queue", process, watching)
        self.audiences = Tapped(backend.audiences, "audiences", process, watching)
        self.reports = Tapped(backend.reports, "reports", process, watching)
        self.replies = Tapped(backend.replies, "replies", process, watching)
        self.connectors = Tapped(backend.connectors, "connectors", process, watching)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


def concerned(arguments: tuple[Any, ...]) -> str:
    """The one audience that an effect with these arguments concerns; empty if there is none, or several."""
    first = arguments[0] if arguments else None
    match first:
        case Turn():
            return first.audience_id
        case Leased():
            return first.key.partition("/")[2]
        case Audience():
            return first.id
        case str() if len(arguments) > 1 and isinstance(arguments[1], str):
            return arguments[1]
        case list() | tuple() if first and isinstance(first[0], Message):
            named = {message.audience for message in first}
            return named.pop() if len(named) == 1 else ""
        case _:
            return getattr(first, "audience", "")
