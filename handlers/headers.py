"""Request headers as they came: bytes, since a client may send anything."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request


def all_of(request: Request, name: bytes) -> Iterator[bytes]:
    """The values of a header, in order. `name` is in lower case."""
    return (value for given, value in request.scope["headers"] if given == name)


def first_of(request: Request, name: bytes) -> bytes | None:
    """The first value of a header; None if there is none. `name` is in lower case."""
    for given, value in request.scope["headers"]:
        if given == name:
            found: bytes = value
            return found
    return None
