"""Firestore's values: from Python and back. Only the types that our documents use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Fields = Mapping[str, Any]


def moment(seconds: float) -> datetime:
    """A Firestore timestamp, of microseconds, from seconds since the epoch: what a time-to-live policy understands."""
    return datetime.fromtimestamp(round(seconds, 6), UTC)


def encoded(value: Any) -> dict[str, Any]:
    """The value as the API's `Value` takes it. Raises `TypeError` for a type that our documents do not use."""
    match value:
        case None:
            return {"null_value": 0}
        case bool():
            return {"boolean_value": value}
        case int():
            return {"integer_value": value}
        case float():
            return {"double_value": value}
        case str():
            return {"string_value": value}
        case bytes():
            return {"bytes_value": value}
        case datetime():
            return {"timestamp_value": value}
        case list() | tuple():
            return {"array_value": {"values": [encoded(one) for one in value]}}
        case dict():
            return {"map_value": {"fields": encoded_fields(value)}}
    raise TypeError(f"No value of Firestore stands for a {type(value).__name__}.")


def encoded_fields(fields: Fields) -> dict[str, dict[str, Any]]:
    """The fields of a document or a map."""
    return {name: encoded(value) for name, value in fields.items()}


def decoded_fields(fields: Any) -> dict[str, Any]:
    """The fields of a document or a map as it was read (protobuf's own form)."""
    return {name: _decoded(value) for name, value in fields.items()}


def _decoded(value: Any) -> Any:
    kind = value.WhichOneof("value_type")
    match kind:
        case "null_value" | None:
            return None
        case "map_value":
            return decoded_fields(value.map_value.fields)
        case "array_value":
            return [_decoded(one) for one in value.array_value.values]
        case "timestamp_value":
            return value.timestamp_value.ToDatetime(tzinfo=UTC)
    return getattr(value, kind)

