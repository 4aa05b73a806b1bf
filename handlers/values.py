"""What single values of a request must be like: identifiers, audience IDs, names, customers, depth. Shared by all sources."""

from __future__ import annotations

import re
from decimal import Decimal

MAX_IDENTIFIER = 1_024
"""Characters."""

MAX_AUDIENCE = 512
"""Characters."""

MAX_AUDIENCE_BYTES = 900
"""In UTF-8. Google allows 1,024 bytes for an ordering key, which is the connector's name, a slash and this."""

MAX_CUSTOMER = 256
"""Characters, or digits. It is repeated with every mutation."""

MAX_NAME = 1_000
"""Characters of an audience's name."""

MAX_DEPTH = 64
"""Objects and arrays within each other. Deeper ones could be decoded here and not where more is on the stack."""

_EXACT_INTEGERS = 2**53
"""From here on a floating-point number no longer says which integer it was."""

_IDENTIFIER_BOUND = 10**MAX_IDENTIFIER
_CUSTOMER_BOUND = 10**MAX_CUSTOMER

_NOT_IN_AUDIENCE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_IN_IDENTIFIER = re.compile("[\x00\ud800-\udfff]")


class Unreadable(Exception):
    """Why a value cannot be used; a sentence without the value."""


def audience_id(value: object) -> str | None:
    """The audience ID in this value; None if it is absent (null, empty, only white space). Raises `Unreadable`."""
    if isinstance(value, str):
        text = value
    else:
        number = _decimal(value)
        if number is None and value is not None:
            raise Unreadable("Its audience is neither text nor a number.")
        text = number or ""
    if not text or text.isspace():
        return None
    if len(text) > MAX_AUDIENCE:
        raise Unreadable(f"Its audience ID is longer than {MAX_AUDIENCE} characters.")
    if text.isascii() and text.isprintable():
        return text
    if _NOT_IN_AUDIENCE.search(text):
        raise Unreadable("Its audience ID holds control characters.")
    if len(text.encode()) > MAX_AUDIENCE_BYTES:
        raise Unreadable(f"Its audience ID is longer than {MAX_AUDIENCE_BYTES} bytes.")
    return text


def audience_name(value: object) -> str:
    """The audience's name in this value; empty if there is none in it. Raises `Unreadable`."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable("Its name (field Name) must be text.")
    if len(value) > MAX_NAME:
        raise Unreadable(f"Its name is longer than {MAX_NAME:,} characters.")
    if _NOT_IN_IDENTIFIER.search(value):
        raise Unreadable("Its name holds a character that no name can have.")
    return value if value.strip() else ""


def identifier(value: object) -> str | None:
    """The identifier in this value: text as it is, a number in decimal digits. None if there is none in it (null, true, false,
    empty, only white space, an object, an array). Raises `Unreadable`.
    """
    text = value if isinstance(value, str) else _decimal(value)
    if not text or text.isspace():
        return None
    if len(text) > MAX_IDENTIFIER:
        raise Unreadable(f"One of its identifiers is longer than {MAX_IDENTIFIER:,} characters.")
    if not text.isprintable() and _NOT_IN_IDENTIFIER.search(text):
        raise Unreadable("One of its identifiers holds a character that no identifier can have.")
    return text


def are_identifiers(values: list[str]) -> bool:
    """Whether `identifier` gives back each of these texts, of `MAX_IDENTIFIER` characters at most, as it is. Much quicker than
    asking it for each one."""
    if not all(map(str.strip, values)):
        return False
    together = "".join(values)
    if together.isascii():
        return "\0" not in together
    return _NOT_IN_IDENTIFIER.search(together) is None


def customer(value: object) -> int | str | None:
    """The customer in this value; None if there is none in it that could be used."""
    if isinstance(value, str):
        usable = bool(value) and len(value) <= MAX_CUSTOMER and not value.isspace() and not _NOT_IN_IDENTIFIER.search(value)
        return value if usable else None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _CUSTOMER_BOUND:
        return value
    return None


def too_deep(value: object) -> bool:
    """Whether more than `MAX_DEPTH` objects and arrays are within each other."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner: list[object] = []
        for each in level:
            if isinstance(each, dict):
                inner.extend(each.values())
            elif isinstance(each, list):
                inner.extend(each)
        if not inner:
            return False
        level = inner
    return True


def _decimal(value: object) -> str | None:
    """A number in decimal digits; None for anything else, true and false among it."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        # Python refuses to write out integers of more than 4,300 digits.
        if abs(value) >= _IDENTIFIER_BOUND:
            raise Unreadable("It holds a number that is too long to be an identifier.")
        return str(value)
    if isinstance(value, float):
        if not abs(value) < _EXACT_INTEGERS:
            raise Unreadable("It holds a number that is too large to be an exact identifier.")
        if value.is_integer():
            return str(int(value))
        text = repr(value)
        return format(Decimal(text), "f") if "e" in text else text
    return None
