"""Where control can pass to somebody else, and where faults happen: before and after every effect of a process, and what it reads
to decide by. Never inside of a transaction: an effect is whole, or it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, Protocol

from relay.backends.interfaces import Leased, Turn
from relay.domain.audience import Audience
from relay.domain.message import Message

WRITES: dict[str, frozenset[str]] = {
    "queue": frozenset({"take", "publish", "acknowledge", "finish", "give_back"}),
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
    "replies": frozenset({"find"}),
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


Part = tuple[str, tuple[Any, ...], dict[str, Any], Any]
"""What `Watching.done` is told of an effect."""


class Tapped:
    """A part of a back end whose boundaries are told."""

    def __init__(self, inner: Any, part: str, process: Any, watching: Watching, whole: Whole) -> None:
        self._inner = inner
        self._whole = whole
        self._names = WRITES.get(part, frozenset()) | READS.get(part, frozenset())
        self._process = process
        self._watching = watching

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name == "finish":
            value = self._finishing(value)
        elif name in self._names:
            value = self._told(name, value)
        if callable(value):
            self.__dict__[name] = value
        return value

    def _told(self, name: str, value: Callable[..., Any]) -> Callable[..., Any]:
        watching, process, whole = self._watching, self._process, self._whole

        def call(*arguments: Any, **named: Any) -> Any:
            if whole.parts is not None and _is_one_write(process):
                result = value(*arguments, **named)
                whole.parts.append((name, arguments, named, result))
                return result
            audience = concerned(arguments)
            watching.reached(Moment("before", name, process, audience))
            result = value(*arguments, **named)
            watching.done(process, name, arguments, named, result)
            watching.reached(Moment("after", name, process, audience))
            return result

        return call

    def _finishing(self, value: Callable[..., Any]) -> Callable[..., Any]:
        """What is written within it is one effect, which is there at its end: as far as the store makes one of it."""
        watching, process, whole = self._watching, self._process, self._whole

        @contextmanager
        def finish(*arguments: Any) -> Iterator[None]:
            audience = concerned(arguments)
            watching.reached(Moment("before", "finish", process, audience))
            parts: list[Part] = []
            whole.parts = parts
            try:
                with value(*arguments):
                    yield
            finally:
                whole.parts = None
            for name, given, named, result in parts:
                watching.done(process, name, given, named, result)
            watching.done(process, "finish", arguments, {}, None)
            watching.reached(Moment("after", "finish", process, audience))

        return finish


def _is_one_write(process: Any) -> bool:
    """Whether what this task writes now is a part of something that the store does at once."""
    held = getattr(process.plain.database._own, "held", None)
    return held is not None and held.whole is not None


class Whole:
    """What one process writes as one: its parts so far; None while it writes nothing so."""

    def __init__(self) -> None:
        self.parts: list[Part] | None = None


class TappedBackend:
    """A back end whose boundaries are told. `queue`: another one than its own, where there is one."""

    def __init__(self, backend: Any, process: Any, watching: Watching, *, queue: Any = None) -> None:
        self._backend = backend
        whole = Whole()
        self.queue = Tapped(queue or backend.queue, "queue", process, watching, whole)
        self.audiences = Tapped(backend.audiences, "audiences", process, watching, whole)
        self.reports = Tapped(backend.reports, "reports", process, watching, whole)
        self.replies = Tapped(backend.replies, "replies", process, watching, whole)
        self.connectors = Tapped(backend.connectors, "connectors", process, watching, whole)

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
