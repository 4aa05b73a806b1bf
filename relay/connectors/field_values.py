"""What the value of a setting, or the constant of a partner field, can be: as the adapter describes it."""

from __future__ import annotations

from typing import Any

from adapters.contract import Field
from relay.reading.values import Reader, choice, flag, number, structure, text, texts, url


def of_field(field: Field) -> Reader[Any]:
    """The reader for a value of this setting or partner field."""
    readers: dict[str, Reader[Any]] = {
        "text": text, "choice": text, "url": url, "number": number, "boolean": flag, "list": texts,
        "object": structure,
    }  # fmt: skip
    read_type = readers[field.type]
    if not field.choices:
        return read_type
    one_of = choice(*field.choices)

    def read(value: object) -> Any:
        found = read_type(value)
        for one in found if isinstance(found, list) else [found]:
            one_of(one)
        return found

    return read
