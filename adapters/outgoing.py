"""The head of a request as bytes: one that nothing in it can make into another header, or into another request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
"""What methods and names consist of: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2."""

_TARGET = re.compile(r"[!-~]+")
_VALUE = re.compile(r"(?!\s)[^\x00-\x08\x0a-\x1f\x7f]*")


Place = tuple[str, str, int]
"""Scheme, host and port."""

_USUAL_PORTS = {"http": 80, "https": 443}


def head(method: str, target: str, place: Place, headers: Mapping[str, str]) -> bytes:
    """target: path and query. headers: names differ in more than their case.

    Raises `ValueError` for what cannot be sent as it is; its text holds nothing of it.
    """
    if not _TOKEN.fullmatch(method) or not _TARGET.fullmatch(target):
        raise ValueError("The method or the path holds characters that cannot be sent.")
    lines = [f"{method} {target} HTTP/1.1"]
    names = {name.lower() for name in headers}
    if "host" not in names:
        lines.append(f"Host: {_host(place)}")
    if "accept-encoding" not in names:
        lines.append("Accept-Encoding: identity")
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError("A header holds characters that cannot be sent.")
        lines.append(f"{name}: {value}")
    lines.append("\r\n")
    try:
        return "\r\n".join(lines).encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("A header holds characters that cannot be sent.") from None


@lru_cache(maxsize=200)
def _host(place: Place) -> str:
    scheme, name, port = place
    name = name.strip("[]").rstrip(".")
    if ":" in name:
        name = f"[{name.partition('%')[0]}]"
    return name if port == _USUAL_PORTS.get(scheme) else f"{name}:{port}"
