"""What a partner writes about a refusal, made fit to be shown: one line, short, and without what it was sent about people.

A partner's own words say most precisely what is wrong, and often repeat the value that is. So everything that was sent of a user
is taken out, and whatever else looks like an identifier.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

LONGEST = 200
"""Characters of the words that are shown."""

_LOOKED_AT = 10_000
_GAP = "…"

# E-mail addresses, hashes, tokens and IDs of devices, and numbers that are long enough for a telephone.
_IDENTIFIERS = re.compile(
    r"\S+@\S+|\b[0-9a-fA-F]{16,}\b|\b(?=\w*\d)[\w-]{20,}|"
    r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\+?\d[\d ()./-]{4,}\d"
)


def with_words(hint: str, words: object, sent: Iterable[Mapping[str, Any]] = ()) -> str:
    """The hint, and behind it what the partner says, if there is anything to show. `sent`: the values of the rows that the call
    carried."""
    said = shown(words, sent)
    return f"{hint} The partner says: “{said}”" if said and said not in hint else hint


def shown(words: object, sent: Iterable[Mapping[str, Any]] = ()) -> str:
    """The words on one line of at most `LONGEST` characters, identifiers taken out; empty for what is no text."""
    if not isinstance(words, str):
        return ""
    line = _one_line(words[:_LOOKED_AT])
    if not line:
        return ""
    values = {_one_line(form) for row in sent for value in _leaves(row) for form in _forms(value)} - {""}
    present = sorted((value for value in values if value.casefold() in line.casefold()), key=len, reverse=True)
    for value in present:
        # A short one only as a word of its own: the letter `a` is in many words.
        pattern = re.escape(value) if len(value) > 3 else rf"(?<!\w){re.escape(value)}(?!\w)"
        line = re.sub(pattern, _GAP, line, flags=re.IGNORECASE)
        if len(value) > 3 and value.casefold() in line.casefold():
            return ""  # written in a way that it cannot be cut out of, such as ss for ß
    line = _IDENTIFIERS.sub(_GAP, line)
    return line if len(line) <= LONGEST else line[: LONGEST - 1].rstrip() + _GAP


def _one_line(text: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _leaves(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _leaves(one)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _forms(value: str) -> tuple[str, ...]:
    return (value, quote(value, safe=""), quote_plus(value))
