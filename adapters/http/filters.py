"""What templates can do to values: the filters behind `|`. Each makes no more than `MAX_TEXT` of what it is given.

Raise `Malformed`, whose sentence holds no value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from jinja2.filters import FILTERS as BUILT_IN
from jinja2.filters import sync_do_list
from jinja2.runtime import Undefined
from jinja2.tests import TESTS as BUILT_IN_TESTS

from relay.domain.malformed import Malformed
from relay.expressions.phone import digits_of
from relay.expressions.times import read_moment

MAX_TEXT = 1_000_000
"""Longest text that a template may give, in characters: as much as a whole call usually may have."""

MAX_SIZE = 16_000_000
"""Most that a request may hold: the characters of its texts, and one for each text and other value."""

_NUMBER = re.compile(r"\s*[-+]?[0-9]{1,18}(\.[0-9]{1,18})?\s*")


def as_text(value: Any) -> str:
    """As it stands in a text: nothing for null, numbers by their digits, `true` and `false` as in JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return digits_of(value)
    raise Malformed("A list or a mapping cannot be part of a text; `| tojson` makes a text of it.")


def _default(value: Any, otherwise: Any = "") -> Any:
    return otherwise if isinstance(value, Undefined) or value is None or value in ("", [], {}) else value


def _lower(value: Any) -> str | None:
    return None if value is None else as_text(value).lower()


def _upper(value: Any) -> str | None:
    return None if value is None else as_text(value).upper()


def _trim(value: Any) -> str | None:
    return None if value is None else as_text(value).strip()


def _string(value: Any) -> str | None:
    return None if value is None else as_text(value)


def _replace(value: Any, old: str, new: str) -> str | None:
    if value is None:
        return None
    text = as_text(value)
    if not old:
        raise Malformed("`replace` needs to know what to replace.")
    _bounded(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


def _join(values: Iterable[Any], glue: str = "") -> str:
    texts = [as_text(value) for value in values if value is not None]
    return joined(texts, glue)


def joined(texts: list[str], glue: str = "") -> str:
    """One text of several."""
    _bounded(sum(map(len, texts)) + len(glue) * len(texts))
    return glue.join(texts)


def _whole(value: Any) -> int | None:
    number = _number(value)
    if number is None:
        return None
    if number != int(number):
        raise Malformed("`int` takes a whole number, and was given something else.")
    return int(number)


def _number(value: Any) -> int | float | None:
    if value is None:
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise Malformed("`int` and `float` take a number or its digits, and were given something else.")


def _float(value: Any) -> float | None:
    number = _number(value)
    return None if number is None else float(number)


def _tojson(value: Any) -> str:
    return msgspec.json.encode(plain(value)).decode()


def _epoch(value: Any) -> int | None:
    return None if value is None else math.floor(read_moment(value).timestamp())


_FINEST = 18
_ROUNDING = ("common", "ceil", "floor")


def _round(value: Any, precision: Any = 0, method: Any = "common") -> int | float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed("`round` takes a number, and was given something else.")
    if isinstance(precision, bool) or not isinstance(precision, int) or abs(precision) > _FINEST:
        raise Malformed(f"`round` takes a precision from -{_FINEST} to {_FINEST}.")
    if method not in _ROUNDING:
        raise Malformed(f"`round` rounds by one of these: {', '.join(_ROUNDING)}.")
    if method == "common":
        return round(value, precision)
    scale: float = 10**precision
    return (math.ceil if method == "ceil" else math.floor)(value * scale) / scale


class Room:
    """How much there is still room for in a request."""

    def __init__(self) -> None:
        self._left = MAX_SIZE

    def take(self, value: Any) -> None:
        """Raises `Malformed` where this plain value is too much."""
        if isinstance(value, dict):
            for one in value.values():
                self.take(one)
        elif isinstance(value, list):
            for one in value:
                self.take(one)
        self._left -= 1 + (len(value) if isinstance(value, str) else 0)
        if self._left < 0:
            raise Malformed(f"The request would hold more than {MAX_SIZE:,} characters.")


def plain(value: Any, room: Room | None = None) -> Any:
    """The value as JSON knows it. Raises `Malformed` for what it does not know, and for more than there is room for."""
    room = room or Room()
    if isinstance(value, str):
        room.take(value)
        return _text(value)
    room.take(None)
    if isinstance(value, dict):  # asked before what takes longer to find out: most values are in one of a row
        return {as_text(key): plain(one, room) for key, one in value.items()}
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Malformed("A template gives something that is not a number.")
        return value
    if isinstance(value, Undefined):
        raise Malformed("A template looks for something that is not there.")
    if isinstance(value, Mapping):
        return {as_text(key): plain(one, room) for key, one in value.items()}
    if isinstance(value, Iterable):
        return [plain(one, room) for one in value]
    raise Malformed("A template gives something that cannot be sent.")


def _text(value: str) -> str:
    _bounded(len(value))
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Malformed("There is half a character (a lone surrogate) in a text, which cannot be sent.") from None
    return value


def _bounded(length: int) -> None:
    if length > MAX_TEXT:
        raise Malformed(f"A template gives a text of more than {MAX_TEXT:,} characters.")


FILTERS: Mapping[str, Callable[..., Any]] = {
    "default": _default, "lower": _lower, "upper": _upper, "trim": _trim, "string": _string, "replace": _replace, "join": _join,
    "int": _whole, "float": _float, "tojson": _tojson, "epoch": _epoch, "round": _round, "list": sync_do_list,
    **{name: BUILT_IN[name] for name in ("length", "first", "last", "map", "select", "reject", "selectattr", "rejectattr",
                                         "unique", "sort", "abs")},
}  # fmt: skip
"""Name → the filter. Where Jinja2 has one of the same name, ours differs in that null passes through, nothing is guessed (`int`
of a word is no 0), `default` also takes the place of null and of what is empty, `tojson` is plain JSON, and the
precision of `round` is bounded."""

ON_EACH = frozenset({"default", "lower", "upper", "trim", "string", "replace", "int", "float", "tojson", "epoch", "length"})
"""Those that `map` can do to each value of a list."""

_TESTS = ("defined", "none", "string", "number", "integer", "float", "boolean", "mapping", "sequence", "true", "false", "in",
          "==", "!=", "<", "<=", ">", ">=", "eq", "ne", "lt", "le", "gt", "ge", "equalto")  # fmt: skip
TESTS: Mapping[str, Any] = {name: BUILT_IN_TESTS[name] for name in _TESTS}
"""Name → the test behind `is`."""
