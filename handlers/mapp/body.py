"""What Mapp's request says, from its bytes: a JSON object, and those of its fields that travel with the messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from handlers.values import too_deep
from relay.domain.errors import Refusal

MAX_CARRIED_BYTES = 16 * 1024
"""Encoded size of the body's other fields: they travel in every message made from the request."""

_TOO_DEEP = "Objects or arrays in the body are nested too deeply."


def read_object(body: bytes, decode: Callable[[bytes], Any] = msgspec.json.decode) -> dict[str, Any]:
    """The JSON object in the body. A name that is repeated exactly counts with its last value."""
    if not body.strip():
        raise _bad_json("The body is empty; it must be a JSON object.")
    try:
        content = decode(body)
    except UnicodeDecodeError:
        raise _bad_json("The body is not valid UTF-8.") from None
    except RecursionError:
        raise _bad_json(_TOO_DEEP) from None
    except msgspec.ValidationError:
        raise _bad_json("The body holds a number that is too large.") from None
    except ValueError:
        raise _bad_json("The body is not valid JSON.") from None
    if not isinstance(content, dict):
        raise _bad_json("The body must be a JSON object.")
    return content


def carried(fields: dict[str, Any]) -> dict[str, Any]:
    """The body's other fields as they travel with the messages. Refuses what is too large or too deep for that."""
    if not fields:
        return fields
    try:
        size = len(msgspec.json.encode(fields))
    except RecursionError:
        raise _bad_json(_TOO_DEEP) from None
    # First, since it is quickly found out, also of fields that are most of the body.
    if size > MAX_CARRIED_BYTES:
        sentence = f"The body's additional fields are larger than {MAX_CARRIED_BYTES // 1024} KB."
        raise Refusal(400, sentence, code="fields_too_large")
    if too_deep(fields):
        raise _bad_json(_TOO_DEEP)
    return fields


def _bad_json(sentence: str) -> Refusal:
    return Refusal(400, sentence, code="bad_json")
