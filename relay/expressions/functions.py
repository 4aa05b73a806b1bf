"""The functions of expressions beside those of JMESPath (https://jmespath.org/specification.html#built-in-functions).

Null passes through all of them as null, but for `default`. What they cannot take raises `Malformed`, which holds no value.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from jmespath import functions

from relay.domain.malformed import Malformed
from relay.expressions.phone import digits_of, e164
from relay.expressions.times import read_moment, rfc3339, rfc3339_of_epoch

_SPACE = uuid.UUID("b3d0b9a4-6a0e-5d0b-8f36-6f1c3f9d8c52")
"""Name space of the UUIDs that `uuid()` derives."""

_TEXT: Any = {"types": ["string", "null"]}
_TEXT_OR_NUMBER: Any = {"types": ["string", "number", "null"]}
_ANYTHING: Any = {"types": []}

SURROUNDED = frozenset({"now", "uuid", "email"})
"""Functions whose value depends on more than what they are given."""


class Functions(functions.Functions):
    """The table of functions for one evaluation. `now`, `seed`, `email`: see `Surroundings`."""

    def __init__(self, now: float | None, seed: str, email: Callable[[str], str | None] | None) -> None:
        self._now = now
        self._seed = seed
        self._email = email
        self._uuids = 0

    @functions.signature(_TEXT)
    def _func_trim(self, value: str | None) -> str | None:
        return value if value is None else value.strip()

    @functions.signature(_TEXT)
    def _func_lower(self, value: str | None) -> str | None:
        return value if value is None else value.lower()

    @functions.signature(_TEXT)
    def _func_upper(self, value: str | None) -> str | None:
        return value if value is None else value.upper()

    @functions.signature(_TEXT)
    def _func_sha256(self, value: str | None) -> str | None:
        return value if value is None else hashlib.sha256(value.encode()).hexdigest()

    @functions.signature(_TEXT)
    def _func_md5(self, value: str | None) -> str | None:
        return value if value is None else hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()

    @functions.signature(_TEXT_OR_NUMBER, _TEXT)
    def _func_e164(self, value: str | float | None, country: str | None) -> str | None:
        return value if value is None else e164(digits_of(value), country)

    @functions.signature(_TEXT)
    def _func_email(self, value: str | None) -> str | None:
        if self._email is None:
            raise Malformed(_no_surroundings("email"))
        return value if value is None else self._email(value) or None

    @functions.signature(_TEXT_OR_NUMBER)
    def _func_rfc3339(self, value: str | float | None) -> str | None:
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        return rfc3339(read_moment(value))

    @functions.signature()
    def _func_now(self) -> str:
        if self._now is None:
            raise Malformed(_no_surroundings("now"))
        return rfc3339_of_epoch(self._now)

    @functions.signature()
    def _func_uuid(self) -> str:
        if not self._seed:
            raise Malformed(_no_surroundings("uuid"))
        self._uuids += 1
        return str(uuid.uuid5(_SPACE, f"{self._seed}\n{self._uuids}"))

    @functions.signature(_ANYTHING, _ANYTHING)
    def _func_default(self, value: Any, otherwise: Any) -> Any:
        return otherwise if value is None or value in ("", [], {}) else value

    @functions.signature(_TEXT, {"types": ["array", "null"]})
    def _func_join(self, glue: str | None, parts: list[Any] | None) -> str | None:
        if glue is None or parts is None:
            return None
        present = [part for part in parts if part is not None]
        if not all(isinstance(part, str) for part in present):
            raise Malformed("join() takes a list of texts, and something in the list is none; to_string() makes it one.")
        return glue.join(present) if present or not parts else None


SIGNATURES: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    name: entry["signature"] for name, entry in Functions.FUNCTION_TABLE.items()
}
"""Name of a function → what each of its arguments can be, as the library writes it."""


def _no_surroundings(name: str) -> str:
    return f"{name}() has no meaning here."
