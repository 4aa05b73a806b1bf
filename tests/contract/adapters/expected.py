"""What a case file expects, compared with what happened; every difference is a sentence."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

_HASH = re.compile(r"\{sha256:(.*?)\}", re.DOTALL)
_NAME = re.compile(r"\{(\w+)\}")

Outcome = str | dict[str, Any]
"""As a case file writes one; see cases/README.md."""


def hashes_filled_in(text: str) -> str:
    """Every `{sha256:ann@example.com}` as the hash, in hexadecimal."""
    return _HASH.sub(lambda found: hashlib.sha256(found[1].encode()).hexdigest(), text)


class Patterns:
    """Compares values with what a case file says of them. What a `{name}` stands for is remembered from the first time on."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def differences(self, expected: Any, actual: Any, place: str) -> list[str]:
        """Sentences, none if they match."""
        if isinstance(expected, Mapping) and isinstance(actual, Mapping):
            found = [f"{place} has no {name!r}" for name in expected if name not in actual]
            found += [f"{place} has an unexpected {name!r}: {actual[name]!r}" for name in actual if name not in expected]
            for name in expected:
                if name in actual:
                    found += self.differences(expected[name], actual[name], f"{place}.{name}")
            return found
        if isinstance(expected, list) and isinstance(actual, list):
            if len(expected) != len(actual):
                return [f"{place} has {len(actual)} entries and not {len(expected)}: {actual!r}"]
            return [
                one
                for number, (wanted, got) in enumerate(zip(expected, actual, strict=True))
                for one in self.differences(wanted, got, f"{place}[{number}]")
            ]
        if isinstance(expected, str):
            if expected == "{any}":
                return []
            if name := _NAME.fullmatch(expected):
                expected = self._known.setdefault(name[1], actual)
            else:
                expected = hashes_filled_in(expected)
        if type(expected) is not type(actual) or expected != actual:
            return [f"{place} is {actual!r} and not {expected!r}"]
        return []


def outcome_difference(expected: Outcome, actual: Mapping[str, Any]) -> str:
    """A sentence, empty if they match.

    actual: `outcome` (delivered, rejected, superseded, skipped, waiting), `code`, `hint`, and for what waits `reason` and
    `due_in`, in seconds.
    """
    wanted: dict[str, Any] = {expected: None} if isinstance(expected, str) else dict(expected)
    due_in, hint = wanted.pop("due_in", None), wanted.pop("hint", "")
    [(outcome, detail)] = wanted.items()
    if outcome != actual["outcome"]:
        return f"is {told(actual)} and not {outcome}"
    said = actual["reason"] if outcome == "waiting" else actual["code"]
    if detail is not None and detail != said:
        return f"is {told(actual)} and not {outcome}: {detail}"
    if hint not in actual["hint"]:
        return f"is {told(actual)}, and the hint does not hold {hint!r}"
    if due_in is not None and not _is_due(due_in, actual["due_in"]):
        return f"is {told(actual)}, and not due in {due_in} s"
    return ""


def _is_due(expected: float | list[float], actual: float | None) -> bool:
    earliest, latest = expected if isinstance(expected, list) else (expected, expected)
    return actual is not None and earliest - 0.001 <= actual <= latest + 0.001


def told(actual: Mapping[str, Any]) -> str:
    """An outcome in words."""
    return ", ".join(f"{name} {value}" if name != "outcome" else str(value) for name, value in actual.items() if value)


def mentioned(values: Iterable[str], text: str) -> list[str]:
    """Those of the values that the text holds, as words of their own, in capitals or small letters."""
    lowered = text.lower()
    return [one for one in values if re.search(rf"(?<!\w){re.escape(one.lower())}(?!\w)", lowered)]
