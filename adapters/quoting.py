"""What a partner writes about a refusal, made fit to be shown: one line, short, and without what it was sent about people.

A partner's own words say most precisely what is wrong, and often repeat the value that is, in a form of their own: escaped, with
other signs in between, in parts, cut off. So everything that was sent of a user is taken out, and whatever else looks like an
identifier; where that is not certain to be enough, nothing is shown.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

LONGEST = 200
"""Characters of the words that are shown."""

_LOOKED_AT = 2_000
_MOST_CUTS, _MOST_DOTS = 100, 20
_SHORTEST_PART = 4
"""Characters of a part of a value that says something of it. A shorter value is looked for as a word of its own."""
_SHORTEST_BEGINNING = 5
"""Letters and digits before dots that say something of the value that was cut off there."""
_GAP = "…"
_DOTS = "..."  # what normalising makes of the sign for them

_CODE = re.compile(r"[A-Za-z][A-Za-z_.]{1,40}")

# E-mail addresses, hashes, tokens and IDs of devices, and numbers that are long enough for a telephone.
_IDENTIFIERS = re.compile(
    r"(?<!\S)[^\s@]++@\S+|\b[0-9a-fA-F]{16,}\b|\b(?=\w*\d)[\w-]{20,}|"
    r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\+?\d[\d ()./-]{4,}\d"
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\"'/\\]))")
_BETWEEN_PARTS = re.compile(r"[\W_]+")


def with_words(hint: str, words: object, sent: Iterable[Mapping[str, Any]] = ()) -> str:
    """The hint, and behind it what the partner says, if there is anything to show. `sent`: the values of the rows that the call
    carried."""
    said = shown(words, sent)
    return f"{hint} The partner says: “{said}”" if said and said not in hint else hint


def code_of(named: object, sent: Iterable[Mapping[str, Any]] = ()) -> str:
    """The partner's own code for what is wrong, if it is one: a word that holds nothing of what was sent; else empty."""
    return named if isinstance(named, str) and _CODE.fullmatch(named) and shown(named, sent) == named else ""


def shown(words: object, sent: Iterable[Mapping[str, Any]] = ()) -> str:
    """The words on one line of at most `LONGEST` characters, identifiers taken out; empty for what is no text, and where it still
    tells something of what was sent."""
    if not isinstance(words, str):
        return ""
    line = _one_line(_plain(_beginning(words)))
    if not line:
        return ""
    raw = {value for row in sent for value in _leaves(row)}
    values = {_one_line(_plain(value)) for value in raw} - {""}
    squashed = {known for value in values | raw if len(known := _squashed(value)) >= _SHORTEST_PART}
    if _quotes_beginning(line, squashed):
        return ""
    cut = _cut(line, values)
    if cut is None:
        return ""
    left = _squashed(cut)
    if any(value[:_SHORTEST_BEGINNING] in left for value in squashed):
        return ""  # with other signs in between, or written in a way that it cannot be cut out of, such as ss for ß
    cut = _IDENTIFIERS.sub(_GAP, cut)
    folded = cut.casefold()
    if any(len(value) >= _SHORTEST_PART and value.casefold() in folded for value in values | {_one_line(each) for each in raw}):
        return ""
    return cut if len(cut) <= LONGEST else cut[: LONGEST - 1].rstrip() + _GAP


def _beginning(words: str) -> str:
    """As much as is looked at, without a word at its end that is not whole."""
    if len(words) <= _LOOKED_AT:
        return words
    return words[: _LOOKED_AT + 1].rpartition(" ")[0]


def _plain(text: str) -> str:
    """Without the ways of writing that a page, a program or an address needs, and signs in their usual form; twice, since an
    answer can quote a quotation."""
    for _ in range(2):
        if "&" in text:
            text = html.unescape(text)
        if "\\" in text:
            # Half a sign beyond the first 65,536 makes a whole one with the other half.
            text = _ESCAPE.sub(_unescaped, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if "%" in text:
            text = unquote(text)
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _unescaped(found: re.Match[str]) -> str:
    return found[3] or chr(int(found[1] or found[2], 16))


def _one_line(text: str) -> str:
    return " ".join((text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)).split())


def _squashed(text: str) -> str:
    """Its letters and digits, without accents and case."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(sign for sign in text.casefold() if sign.isalnum())


def _quotes_beginning(line: str, squashed: Iterable[str]) -> bool:
    """Whether something that was sent stands there cut off, followed by dots."""
    heads = line.split(_DOTS)[:-1]
    if len(heads) > _MOST_DOTS:
        return True
    ends = {end for head in heads if len(end := _squashed(head)[-_SHORTEST_BEGINNING:]) == _SHORTEST_BEGINNING}
    return any(end in value for end in ends for value in squashed)


def _cut(line: str, values: Iterable[str]) -> str | None:
    """The line without the values and their parts; None if it is made of little else."""
    folded = line.casefold()
    cuts: set[str] = set()
    for value in values:
        forms = {value, value.replace(" ", "+")}
        parts = {part for part in _BETWEEN_PARTS.split(value) if len(part) >= _SHORTEST_PART}
        cuts |= {one for one in forms | parts if one.casefold() in folded}
    if len(cuts) > _MOST_CUTS:
        return None
    patterns = [
        # A short one only as a word of its own: the letter `a` is in many words.
        re.escape(one) if len(one) >= _SHORTEST_PART else rf"(?<!\w){re.escape(one)}(?!\w)"
        for one in sorted(cuts, key=lambda one: (-len(one), one))
    ]
    return re.sub("|".join(patterns), _GAP, line, flags=re.IGNORECASE) if patterns else line


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _leaves(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _leaves(one)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
