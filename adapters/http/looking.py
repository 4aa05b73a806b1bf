"""Looking at a partner's answer with the expressions of a document."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from adapters.answers import header
from adapters.contract import HttpAnswer
from relay.domain.malformed import Malformed
from relay.expressions.expression import Expression, compile_expression
from relay.expressions.phone import digits_of
from relay.reading import values

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,59}|-?[0-9]{1,6}")
_CODE_BEFORE_TEXT = re.compile(r"([A-Z][A-Z0-9_]{2,59}):.*", re.DOTALL)
_SHORTEST_PART = 3
"""A code that holds an identifier of at least so many characters is not shown."""
_SHORTEST_OF_IT = 4
"""Nor one of at least so many characters that is a part of an identifier; but for numbers, since among the digits of many
telephones there is any."""
_HASH = re.compile(r"[0-9a-f]{16,}")


def expression(value: object) -> Expression:
    """Reads one: JMESPath over the answer's JSON."""
    read = compile_expression(values.text(value))
    if read.needs:
        raise Malformed(f"{', '.join(sorted(read.needs))}() has no meaning for an answer.")
    return read


def found(looked: Expression, body: Any) -> Any:
    """What is there; None also where the expression cannot be computed for such an answer."""
    try:
        return looked.search(body)
    except Malformed:
        return None


def holds(looked: Expression, body: Any) -> bool:
    """Whether it is true in the sense of JMESPath: everything but null, false and what is empty."""
    value = found(looked, body)
    return value is not None and value is not False and value not in ("", [], {})


def identifier(value: Any) -> str:
    """An ID as text; empty where it is none. A number is its digits."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return digits_of(value)


class Code(str):
    """A code that a partner gave: it may have been made of what was sent."""

    __slots__ = ()


def code_of(value: Any) -> Code:
    """A partner's own code for what is wrong, if it looks like one: a word, a short number, or the word in capitals that stands
    before a colon and a text. Else empty."""
    text = identifier(value)
    before_text = _CODE_BEFORE_TEXT.fullmatch(text)
    return Code(before_text[1] if before_text else text if _CODE.fullmatch(text) else "")


def texts_in(value: Any) -> frozenset[str]:
    """All texts and numbers in a structure, without regard to case."""
    if isinstance(value, Mapping):
        value = value.values()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return frozenset().union(*(texts_in(one) for one in value))
    text = identifier(value).casefold()
    return frozenset({text} if text else ())


def tells(code: str, sent: Collection[str]) -> bool:
    """Whether the code is one of the values that were sent, holds one, is a part of one, or looks like a hash."""
    folded = code.casefold()
    can_be_part = len(folded) >= _SHORTEST_OF_IT and not folded.lstrip("-").isdecimal()
    return _HASH.fullmatch(folded) is not None or any(
        one == folded or (len(one) >= _SHORTEST_PART and one in folded) or (can_be_part and folded in one) for one in sent
    )


Fits = Callable[[Collection[str]], bool]
"""Whether CSV with these columns is the answer that was asked for."""


def anything(_: Collection[str]) -> bool:
    """Every CSV is."""
    return True


def as_json(answer: HttpAnswer, fits: Fits = anything) -> HttpAnswer:
    """An answer in CSV or plain text as if it were JSON: a list of objects, by the names in the first line, or a text. JSON that
    is labelled as plain text is JSON where it is an object or a list; a word or a number remains a text.

    fits: CSV with other columns, such as a sentence about trouble, stays as it is.
    """
    kind = (header(answer.headers, "Content-Type") or "").partition(";")[0].strip().lower()
    if kind not in ("text/csv", "text/plain") or answer.cut or not answer.content.strip():
        return answer
    try:
        text = answer.content.decode("utf-8-sig")
        read = _read_text(text) if kind == "text/plain" else _read_csv(text, fits)
    except (UnicodeDecodeError, csv.Error):
        return answer
    return msgspec.structs.replace(answer, content=msgspec.json.encode(read))


def _read_text(text: str) -> Any:
    try:
        read = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        read = None
    return read if isinstance(read, dict | list) else text.strip()


def _read_csv(text: str, fits: Fits) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    if not fits(reader.fieldnames or ()):
        raise csv.Error("These are not the columns of such an answer.")
    rows: list[dict[str, str]] = list(reader)
    if any(None in row or None in row.values() for row in rows):
        raise csv.Error("A line has more or fewer values than the first.")
    return rows
