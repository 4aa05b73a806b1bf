"""A request to a partner as a preview shows it: what is sent, but for the credentials."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote, unquote_plus, urlsplit, urlunsplit

import msgspec

from adapters.client import headers_of
from adapters.contract import Description, HttpRequest

_MASK = "***"


def as_json(request: HttpRequest, description: Description) -> dict[str, Any]:
    """For scripts. A body that is not JSON is in Base64."""
    shown = {
        "method": request.method,
        "url": _url(request, description),
        "headers": _headers(request, description),
        "body": request.body,
    }
    return shown if request.raw is None else {**shown, "raw_base64": base64.b64encode(request.raw).decode()}


def as_text(request: HttpRequest, description: Description) -> str:
    """For people."""
    headers = _headers(request, description)
    lines = [f"{request.method} {_url(request, description)}", *(f"{name}: {value}" for name, value in headers.items())]
    if request.raw is not None:
        lines += ["", *request.raw.decode("utf-8", "backslashreplace").splitlines()]
    elif request.body is not None:
        lines += ["", *msgspec.json.format(msgspec.json.encode(request.body), indent=2).decode().split("\n")]
    return "\n".join(lines)


def _headers(request: HttpRequest, description: Description) -> dict[str, str]:
    masked = {name.lower() for name in description.credential_headers}
    plain = {name: value for name, value in headers_of(request).items() if name.lower() not in masked}
    return {**plain, **dict.fromkeys(description.credential_headers, _MASK)}


def _url(request: HttpRequest, description: Description) -> str:
    masked = description.credential_query
    if not masked:
        return request.url
    parts = urlsplit(request.url)
    plain = [pair for pair in parts.query.split("&") if pair and unquote_plus(pair.partition("=")[0]) not in masked]
    return urlunsplit(parts._replace(query="&".join([*plain, *(f"{quote(name, safe='')}={_MASK}" for name in masked)])))
