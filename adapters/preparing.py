"""From mapped values to the row that a partner wants: normalised, checked, and with the keys by which it knows the user. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from adapters.contract import Field, Operation, Prepared, Rejected
from adapters.normalisation import normalised


def prepare_row(operation: Operation, values: dict[str, Any], *, title: str) -> Prepared | Rejected:
    """One row by `Preparing`."""
    return Preparing(operation, title).row(values)


class Preparing:
    """By the rules of the operation's fields. A value that contradicts its field's form rejects the row; one that cannot be used
    is left out as long as the row can do without it. `title`: the partner's, for the hints.

    Made once for many rows: what the operation says is looked up when a field is met for the first time.
    """

    def __init__(self, operation: Operation, title: str) -> None:
        self._operation = operation
        self._title = title
        self._required = [(field.name, field.title) for field in operation.fields if field.required]
        self._keys = operation.key_fields
        self._normalised: dict[str, Field | None] = {}
        """Field → how it is normalised; None: not at all. Of a field whose name ends with `.*` there may be many."""

    def row(self, values: dict[str, Any]) -> Prepared | Rejected:
        """The row of these values, or why there is none."""
        kept: dict[str, Any] = {}
        unusable: tuple[str, ...] = ()
        rules = self._normalised
        for name, value in values.items():
            if value is None or value == "":
                continue
            field = rules[name] if name in rules else self._look_up(name)
            if field is not None:
                made = normalised(field, value)
                if not isinstance(made, str):
                    return made
                if not made:
                    unusable += (field.title,)
                    continue
                kept[name] = made
            else:
                kept[name] = value
        for name, title in self._required:
            if name not in kept:
                return self._refused(unusable, [title])
        keys: tuple[str, ...] = ()
        for name in self._keys:
            if name in kept:
                value = kept[name]
                keys += (f"{name}={value if value.__class__ is str else _comparable(value)}",)
        if not keys and self._keys:
            return self._refused(unusable, [field.title for field in self._operation.fields if field.name in self._keys])
        return Prepared(kept, keys)

    def _look_up(self, name: str) -> Field | None:
        field = self._operation.field(name)
        rule = field if field is not None and (field.normalise or field.form or field.hashed) else None
        if len(self._normalised) < _MOST_FIELDS:
            self._normalised[name] = rule
        return rule

    def _refused(self, unusable: Sequence[str], lacking: Sequence[str]) -> Rejected:
        if unusable:
            return Rejected("unusable_value", f"What this user has as {' and '.join(unusable)} cannot be used for {self._title}.")
        return Rejected("missing_field", f"This user has no value for {' or '.join(lacking)}, which {self._title} needs.")


_MOST_FIELDS = 1_000


def _comparable(value: Any) -> str:
    """As partners compare: a number and its digits as text are the same."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return msgspec.json.encode(value, order="deterministic").decode()
