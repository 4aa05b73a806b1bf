"""Reading a document piece by piece, gathering every problem instead of stopping at the first."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, TypeVar

from relay.domain.errors import DocumentError
from relay.domain.malformed import Malformed, suggestion
from relay.reading.values import Reader

T = TypeVar("T")
Path = tuple[str | int, ...]
"""Where in a document: keys, and indexes of lists."""


def path_text(path: Path) -> str:
    """`actions[1].mapping.id`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def path_of(text: str) -> Path:
    """The path that `path_text` wrote so."""
    return tuple(int(index) if index else key for index, key in re.findall(r"\[(\d+)\]|([^.\[\]]+)", text))


def _place(path: Path, document: object) -> tuple[int, ...]:
    """Where the path is in the text, comparable with others: a key that is not there counts as the last of its mapping."""
    place = []
    for part in path:
        if isinstance(document, dict):
            keys = list(document)
            place.append(keys.index(part) if part in document else len(keys))
            document = document.get(part)
        else:
            index = part if isinstance(part, int) else 0
            place.append(index)
            document = document[index] if isinstance(document, list) and index < len(document) else None
    return tuple(place)


class Problems:
    """The problems found so far, each once."""

    def __init__(self) -> None:
        self._found: dict[tuple[Path, str], None] = {}

    def add(self, path: Path, sentence: str) -> None:
        self._found[path, sentence] = None

    def __contains__(self, problem: tuple[Path, str]) -> bool:
        return problem in self._found

    def inside(self, path: Path) -> bool:
        """Whether there is one at this place or below it."""
        return any(found[: len(path)] == path for found, _ in self._found)

    def all(self) -> list[tuple[Path, str]]:
        return list(self._found)

    def raise_any(self, document: object) -> None:
        """Raises `DocumentError` with all of them in the order of the document, if there are any."""
        if self._found:
            found = sorted(self._found, key=lambda problem: _place(problem[0], document))
            raise DocumentError([(path_text(path), sentence) for path, sentence in found])


class Section:
    """A mapping inside the document. Where a value is missing or wrong, the problem is noted and a default is returned, so that
    reading goes on; what was read counts only if there was no problem in the end."""

    def __init__(
        self, value: object, path: Path, problems: Problems, *, known: Collection[str] | None, what: str = "key"
    ) -> None:
        """`known`: the keys it may have (None: any); `what` they are called in sentences."""
        self.path = path
        self.problems = problems
        self.values: dict[str, Any] = {}
        if isinstance(value, dict):
            self.values = value
        elif value is not None:
            problems.add(path, "This must be a mapping of names to values.")
        for key in self.values if known is not None else ():
            if key not in (known or ()):
                self.problem(key, f"There is no {what} '{key}' here.{suggestion(key, known or ())}")

    def problem(self, key: str, sentence: str) -> None:
        self.problems.add((*self.path, key), sentence)

    def given(self, key: str) -> bool:
        """Whether the key has a value."""
        return self.values.get(key) is not None

    def read(self, key: str, reader: Reader[T], default: T) -> T:
        """The value, or the default if there is none."""
        if not self.given(key):
            return default
        try:
            return reader(self.values[key])
        except Malformed as problem:
            self.problem(key, str(problem))
            return default

    def require(self, key: str, reader: Reader[T], default: T) -> T:
        """The value, which must be there."""
        if not self.given(key):
            self.problem(key, "This is missing.")
        return self.read(key, reader, default)

    def section(self, key: str, known: Collection[str] | None, *, what: str = "key") -> Section:
        """The mapping under this key; an empty one if there is none."""
        return Section(self.values.get(key), (*self.path, key), self.problems, known=known, what=what)

    def each(self, key: str, reader: Reader[T]) -> tuple[T, ...] | None:
        """The values of the list under this key, which must not be empty; None if the key is not there."""
        values = self.values.get(key)
        if values is None:
            return None
        if not isinstance(values, list):
            self.problem(key, "This must be a list.")
            return None
        if not values:
            self.problem(key, "This list is empty; leave the key out instead.")
        read = []
        for index, value in enumerate(values):
            place = (*self.path, key, index)
            if value is None:
                self.problems.add(place, "This is empty.")
                continue
            try:
                read.append(reader(value))
            except Malformed as problem:
                self.problems.add(place, str(problem))
        return tuple(read)
