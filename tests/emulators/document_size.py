"""How large Firestore thinks a document is: https://firebase.google.com/docs/firestore/storage-size"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MAP_OR_DOCUMENT = 32
_NAME = 16
_FIXED = {
    "null_value": 1, "boolean_value": 1, "integer_value": 8, "double_value": 8, "timestamp_value": 8, "geo_point_value": 16,
}  # fmt: skip


def document_size(document: Any) -> int:
    """Bytes of a document as protobuf knows it."""
    return name_size(document.name) + _fields_size(document.fields) + _MAP_OR_DOCUMENT


def name_size(name: str) -> int:
    """Bytes of `projects/*/databases/*/documents/…`, of which the collections and documents count."""
    return sum(_text_size(part) for part in path_of(name)) + _NAME


def path_of(name: str) -> list[str]:
    """The IDs of collections and documents, by turns."""
    return name.split("/documents/", 1)[1].split("/") if "/documents/" in name else []


def _value_size(value: Any) -> int:
    """Bytes of one value."""
    kind = value.WhichOneof("value_type")
    if kind == "string_value":
        return _text_size(value.string_value)
    if kind == "bytes_value":
        return len(value.bytes_value)
    if kind == "reference_value":
        return name_size(value.reference_value)
    if kind == "array_value":
        return sum(_value_size(one) for one in value.array_value.values)
    if kind == "map_value":
        return _fields_size(value.map_value.fields) + _MAP_OR_DOCUMENT
    return _FIXED.get(kind, 0)


def _fields_size(fields: Mapping[str, Any]) -> int:
    return sum(_text_size(name) + _value_size(value) for name, value in fields.items())


def _text_size(text: str) -> int:
    return len(text.encode()) + 1
