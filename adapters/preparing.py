"""From mapped values to the row that a partner wants: normalised, checked, and with the keys by which it knows the user. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from adapters.contract import Operation, Prepared, Rejected
from adapters.normalisation import normalised


def prepare_row(operation: Operation, values: dict[str, Any], *, title: str) -> Prepared | Rejected:
    """By the rules of the operation's fields. A value that contradicts its field's form rejects the row; one that cannot be used
    is left out as long as the row can do without it. `title`: the partner's, for the hints."""
    kept: dict[str, Any] = {}
    unusable: list[str] = []
    for name, value in values.items():
        if value is None or value == "":
            continue
        field = operation.field(name)
        if field is not None and (field.normalise or field.form or field.hashed):
            made = normalised(field, value)
            if isinstance(made, Rejected):
                return made
            if not made:
                unusable.append(field.title)
                continue
            kept[name] = made
        else:
            kept[name] = value
    lacking = [field.title for field in operation.fields if field.required and field.name not in kept]
    keys = tuple(f"{name}={_comparable(kept[name])}" for name in operation.key_fields if name in kept)
    if lacking or (operation.key_fields and not keys):
        if unusable:
            return Rejected("unusable_value", f"What this user has as {' and '.join(unusable)} cannot be used for {title}.")
        wanted = lacking[:1] or [field.title for field in operation.fields if field.name in operation.key_fields]
        return Rejected("missing_field", f"This user has no value for {' or '.join(wanted)}, which {title} needs.")
    return Prepared(kept, keys)


def _comparable(value: Any) -> str:
    """As partners compare: a number and its digits as text are the same."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return msgspec.json.encode(value, order="deterministic").decode()
