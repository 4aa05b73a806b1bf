"""The error of a value that cannot be read, and the hint at the word that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection


class Malformed(ValueError):
    """A value that cannot be read as what it should be. Its text is a sentence, and never repeats the value."""


def suggestion(word: str, known: Collection[str]) -> str:
    """` Did you mean 'x'?`, or nothing if no known word is near."""
    close = difflib.get_close_matches(word, known, n=1) if len(word) <= 100 else []
    return f" Did you mean '{close[0]}'?" if close else ""
