"""What single values of a document can be. Each reader takes the raw value and returns the typed one, or raises `Malformed`
with a sentence; no sentence repeats the value, which may be a secret in the wrong place."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from relay.domain.malformed import Malformed, suggestion
from relay.reading.quantities import format_duration, format_size, parse_duration, parse_size

T = TypeVar("T")
Reader = Callable[[Any], T]

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_SECRET_NAME = re.compile(r"[a-z][a-z0-9_-]{0,126}")

RESERVED_SECRETS = ("console-session",)
"""Names of secrets that are the installation's own: no document names one, and nobody sets one."""

_UNSAFE_IN_URL = re.compile(r"[\s\x00-\x1f\x7f\\]")

IDENTIFIERS = ("id", "email", "email_sha256", "phone", "phone_sha256", "idfa", "gaid", "cookie_id")
"""Canonical identifiers of a user; beside them `account.<compartment>` and `agent.<realm>`."""


def text(value: object) -> str:
    """Text; a whole number counts as the text it was written as."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise Malformed("This must be text; put it in quotes if it looks like something else.")
    return value


def label(value: object) -> str:
    """One short line for people: at most 100 characters, no blanks at its ends."""
    line = text(value)
    if not line or len(line) > 100 or line != line.strip() or not line.isprintable():
        raise Malformed("This must be one line of 1 to 100 characters, without blanks at its ends.")
    return line


def name(value: object) -> str:
    """Name of a connector or an environment: part of URLs and keys."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise Malformed("A name has 1 to 63 small letters, digits and hyphens, and begins with a letter.")
    return value


def secret_name(value: object) -> str:
    """Name under which a secret is stored."""
    if not isinstance(value, str) or not _SECRET_NAME.fullmatch(value):
        raise Malformed(
            "This must be the name of a secret (small letters, digits, hyphens and underscores), never its value; "
            "`diy secrets set NAME` stores the value."
        )
    if value in RESERVED_SECRETS:
        raise Malformed("This secret is the installation's own, made by itself and used by nothing else; choose another name.")
    return value


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Malformed("This must be true or false.")
    return value


def whole(low: int, high: int) -> Reader[int]:
    """A whole number within these bounds."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Malformed(f"This must be a whole number from {low:,} to {high:,}.")
        return value

    return read


def duration(low: float, high: float) -> Reader[float]:
    """A duration within these bounds; seconds."""

    def read(value: object) -> float:
        seconds = parse_duration(value)
        if not low <= seconds <= high:
            raise Malformed(f"This must be from {format_duration(low)} to {format_duration(high)}.")
        return seconds

    return read


def size(low: int, high: int) -> Reader[int]:
    """A size within these bounds; bytes."""

    def read(value: object) -> int:
        count = parse_size(value)
        if not low <= count <= high:
            raise Malformed(f"This must be from {format_size(low)} to {format_size(high)}.")
        return count

    return read


def choice(*choices: T) -> Reader[T]:
    """One of a few values."""

    def read(value: object) -> T:
        for one in choices:
            if type(one) is type(value) and one == value:
                return one
        near = suggestion(value, [str(one) for one in choices]) if isinstance(value, str) else ""
        raise Malformed(f"This must be one of: {', '.join(str(one) for one in choices)}.{near}")

    return read


def url(value: object) -> str:
    """An absolute http or https URL without user name or password, which would end up in logs."""
    sentence = "This must be a whole URL that begins with http:// or https://."
    if not isinstance(value, str) or _UNSAFE_IN_URL.search(value):
        raise Malformed(sentence)
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise Malformed(sentence) from None
    if parts.scheme not in ("http", "https") or not host:
        raise Malformed(sentence)
    if "@" in parts.netloc:
        raise Malformed("A URL must not contain a user name or password; name them as secrets.")
    if parts.fragment:
        raise Malformed("A URL of an API has no part behind a #.")
    return value


def number(value: object) -> int | float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Malformed("This must be a number.")
    return value


def texts(value: object) -> list[str]:
    """A list of texts."""
    if not isinstance(value, list):
        raise Malformed("This must be a list.")
    return [text(one) for one in value]


def structure(value: object) -> Any:
    """A mapping or list of the adapter's own making, which the adapter itself looks through."""
    if not isinstance(value, dict | list):
        raise Malformed("This must be a mapping or a list.")
    return value


def customer(value: object) -> int | str:
    """A customer of the source, by number or by name."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise Malformed("A customer is a number or a name.")
    return value


def identifier(value: object) -> str:
    """Name of a canonical identifier."""
    if isinstance(value, str):
        family, dot, member = value.partition(".")
        if value in IDENTIFIERS or (family in ("account", "agent") and dot and member):
            return value
    near = suggestion(value, IDENTIFIERS) if isinstance(value, str) else ""
    raise Malformed(f"This must be one of: {', '.join(IDENTIFIERS)}, account.<compartment>, agent.<realm>.{near}")
