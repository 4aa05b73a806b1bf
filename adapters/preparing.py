"""From mapped values to the rows that a partner wants: normalised, checked, and with the keys by which it knows users. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import add
from typing import Any

import msgspec

from adapters.contract import Adapter, Field, Mapped, Operation, Prepared, Rejected
from adapters.normalisation import normalised


def prepare_one(adapter: Adapter, operation: str, values: Mapping[str, Any]) -> Prepared | Rejected:
    """`Adapter.prepare` for a single user."""
    (made,) = adapter.prepare(operation, Mapped.of([values], values))
    return made


class Preparing:
    """By the rules of the operation's fields. A value that contradicts its field's form rejects the row; one that cannot be used
    is left out as long as the row can do without it. `title`: the partner's, for the hints.

    Made once for many calls: what the operation says is looked up when a field is met for the first time.
    """

    def __init__(self, operation: Operation, title: str) -> None:
        self._operation = operation
        self._title = title
        self._required = [(field.name, field.title) for field in operation.fields if field.required]
        self._keys = operation.key_fields
        self._normalised: dict[str, Field | None] = {}
        """Field → how it is normalised; None: not at all. Of a field whose name ends with `.*` there may be many."""

    def rows(self, users: Mapped) -> list[Prepared | Rejected]:
        """For each user the row, or why there is none."""
        made = _Columns(users.number)
        for name, column in users.columns.items():
            field = self._normalised[name] if name in self._normalised else self._look_up(name)
            made.take(name, column, field)
        for name, title in self._required:
            self._refuse(made, made.without(name), [title])
        keys = made.keys(self._keys)
        if self._keys and () in keys:
            lacking = [field.title for field in self._operation.fields if field.name in self._keys]
            self._refuse(made, [number for number, one in enumerate(keys) if not one], lacking)
        rows: list[Prepared | Rejected] = list(map(Prepared, made.rows(), keys))
        for number, refused in made.refused.items():
            rows[number] = refused
        return rows

    def _look_up(self, name: str) -> Field | None:
        field = self._operation.field(name)
        rule = field if field is not None and (field.normalise or field.form or field.hashed) else None
        if len(self._normalised) < _MOST_FIELDS:
            self._normalised[name] = rule
        return rule

    def _refuse(self, made: _Columns, numbers: Sequence[int], lacking: Sequence[str]) -> None:
        for number in numbers:
            if number in made.refused:
                continue
            if unusable := made.unusable.get(number):
                hint = f"What this user has as {' and '.join(unusable)} cannot be used for {self._title}."
                made.refused[number] = Rejected("unusable_value", hint)
            else:
                hint = f"This user has no value for {' or '.join(lacking)}, which {self._title} needs."
                made.refused[number] = Rejected("missing_field", hint)


_MOST_FIELDS = 1_000


class _Columns:
    """Of users in the making: field → its usable value for each of them, None where there is none.

    refused   number of a user → why there is no row
    unusable  number of a user → titles of the fields whose values are left out
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._columns: dict[str, Sequence[Any]] = {}
        self.refused: dict[int, Rejected] = {}
        self.unusable: dict[int, list[str]] = {}

    def take(self, name: str, column: Sequence[Any], field: Field | None) -> None:
        """field: how they are normalised; None: not at all."""
        if field is not None:
            column = [self._usable(field, number, value) for number, value in enumerate(column)]
        elif "" in column:
            column = [None if value == "" else value for value in column]
        self._columns[name] = column

    def without(self, name: str) -> Sequence[int]:
        """Those who have no value there."""
        column = self._columns.get(name)
        if column is None:
            return range(self._number)
        return [number for number, value in enumerate(column) if value is None] if None in column else ()

    def keys(self, fields: Sequence[str]) -> list[tuple[str, ...]]:
        """For each user those that there are."""
        keys: list[tuple[str, ...]] | None = None
        for name in fields:
            if name in self._columns:
                own: list[tuple[str, ...]] = [
                    () if value is None else (f"{name}={value if value.__class__ is str else _comparable(value)}",)
                    for value in self._columns[name]
                ]
                keys = own if keys is None else list(map(add, keys, own))
        return [()] * self._number if keys is None else keys

    def rows(self) -> list[dict[str, Any]]:
        """For each user the values that there are."""
        rows: list[dict[str, Any]] | None = None
        for name, column in self._columns.items():
            if rows is None:
                rows = [{} if value is None else {name: value} for value in column]
            else:
                for row, value in zip(rows, column, strict=True):
                    if value is not None:
                        row[name] = value
        return [{} for _ in range(self._number)] if rows is None else rows

    def _usable(self, field: Field, number: int, value: Any) -> str | None:
        if value is None or value == "":
            return None
        made = normalised(field, value)
        if not isinstance(made, str):
            self.refused.setdefault(number, made)
        elif made:
            return made
        else:
            self.unusable.setdefault(number, []).append(field.title)
        return None


def _comparable(value: Any) -> str:
    """As partners compare: a number and its digits as text are the same."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return msgspec.json.encode(value, order="deterministic").decode()
