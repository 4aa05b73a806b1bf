"""What is known of people, shown by its shape: letters as x, digits as 9, so that one sees what a value is like and not whose it
is."""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from adapters.contract import HttpRequest

_HASH = re.compile(r"[0-9a-fA-F]{64}")
_NOTHING = object()


def shape_of(text: str) -> str:
    """`Ann@example.com` → `Xxx@xxxxxxx.xxx`; a hash is told to be one."""
    if _HASH.fullmatch(text):
        return "(a SHA-256 hash)"
    return "".join(_sign(one) for one in text)


def masked(value: Any) -> Any:
    """The same structure with the shapes of its texts and numbers. Yes, no and nothing stay."""
    return masked_but(value, _NOTHING)


def masked_but(value: Any, other: Any) -> Any:
    """The same structure, in which only what another one has as well is in clear: it is sent for everybody."""
    if isinstance(value, dict):
        known = other if isinstance(other, dict) else {}
        return {
            name if name in known else shape_of(str(name)): masked_but(one, known.get(name, _NOTHING))
            for name, one in value.items()
        }
    if isinstance(value, list | tuple):
        others = other if isinstance(other, list | tuple) else ()
        return [masked_but(one, others[place] if place < len(others) else _NOTHING) for place, one in enumerate(value)]
    if value is None or isinstance(value, bool) or (type(value) is type(other) and value == other):
        return value
    return shape_of(value if isinstance(value, str) else str(value))


def masked_request(request: HttpRequest, other: HttpRequest | None) -> HttpRequest:
    """A request with a user in it, and the same one for somebody else; None: there is none."""
    raw = None if request.raw is None else shape_of(request.raw.decode("utf-8", "replace")).encode()
    if other is not None and other.raw == request.raw:
        raw = request.raw
    return replace(request, body=masked_but(request.body, other.body if other else _NOTHING), raw=raw)


def _sign(one: str) -> str:
    if one.isdigit():
        return "9"
    if not one.isalpha():
        return one
    return "X" if one.isupper() else "x"
