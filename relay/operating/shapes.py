"""What is known of people, shown by its shape: letters as x, digits as 9, so that one sees what a value is like and not whose it
is."""

from __future__ import annotations

import re
import unicodedata
from itertools import zip_longest
from typing import Any
from urllib.parse import unquote_plus

from msgspec.structs import replace

from adapters.contract import HttpRequest

_HASH = re.compile(r"[0-9a-fA-F]{16,}|(?=.*[a-z])(?=.*[A-Z])[A-Za-z0-9+/_-]{20,}={0,2}|[A-Za-z0-9+/_-]{16,}={1,2}")
"""In hexadecimal or Base64: where the digits of one stand tells whose it is."""

_PARTS_OF_URL = re.compile(r"([/?&=#])")
_NOTHING = object()


def shape_of(text: str) -> str:
    """`Ann@example.com` → `Xxx@xxxxxxx.xxx`; what looks like a hash is told to be one."""
    if _HASH.fullmatch(text):
        return "(a hash)"
    return "".join(_sign(one) for one in text)


def masked(value: Any) -> Any:
    """The same structure with the shapes of its texts, numbers and answers of yes or no. Nothing stays nothing."""
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
    if isinstance(value, bool):
        return "(yes or no)"  # also where the other has the same: one of two says much of somebody
    if value is None or (type(value) is type(other) and value == other):
        return value
    return shape_of(value if isinstance(value, str) else str(value))


def masked_request(request: HttpRequest, other: HttpRequest | None) -> HttpRequest:
    """A request with a user in it, and the same one for somebody else; None: there is none. A body that is not JSON is shown
    only where it is the same for both."""
    same = other is not None and other.raw == request.raw
    known = other.headers if other else {}
    return replace(
        request,
        url=_masked_url(request.url, other.url if other else ""),
        headers={name: value if known.get(name) == value else shape_of(value) for name, value in request.headers.items()},
        body=masked_but(request.body, other.body if other else _NOTHING),
        raw=request.raw if same or request.raw is None else b"(not shown, since it is somebody's)",
    )


def _masked_url(url: str, other: str) -> str:
    """Host, segments of the path, names and values of the query: in clear only what stands at the same place in both."""
    pairs = zip_longest(_PARTS_OF_URL.split(url), _PARTS_OF_URL.split(other))
    return "".join(part if part == known else shape_of(unquote_plus(part)) for part, known in pairs if part is not None)


def _sign(one: str) -> str:
    """By Unicode's categories: marks (accents, vowel signs) are of a word as its letters are, and there are more numbers than
    digits."""
    category = unicodedata.category(one)
    if category[0] == "N":
        return "9"
    if category[0] not in "LM":
        return one
    return "X" if category in ("Lu", "Lt") else "x"
