"""What of a call may be kept: its structure, and what is known to be harmless. Everything else is replaced by words in ‹›.

Nothing is looked for: what is not known is masked, whatever it looks like. Known are the words that most APIs use
(`adapters.harmless`), those of the adapter's description, what the connector's document says, and the audience's own names. Of
users that were sent, values are named by the field and the place of the user in the call, and not by a hash: a hash of a person
would have to be forgotten with them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

import msgspec

from adapters.answers import header
from adapters.contract import HttpAnswer, HttpRequest
from adapters.harmless import COUNTS, FLAGS, MEDIA_TYPES, NAMES, STATES
from relay.domain.exchange import Content, Kind

USERS = 3
"""So many of a call are shown, masked."""

LONGEST = 3_000
"""Characters of one masked body."""

_FEW = 10
"""A list of so many plain values is shown whole."""

_DEEPEST = 8
_NESTED = (dict, list, tuple)
_MOST_MEMBERS = 40
_MOST_UNKNOWN_NAMES = 3
_BUDGETS = (150, 40, 10)
"""Values shown of a body: fewer, where these are too long."""

_LONGEST_ANSWER = 256 * 1024
"""Bytes. A longer one would take longer to read than it is worth."""

_LONGEST_WORD = 200
_BEGINNING = 8 * 1024
_LARGEST_COUNT = 9_999
"""Or as many as there are users in the call."""

_SHORTEST_SECRET = 4

_MORE, _CUT, _DEEPER = "‹more›", "‹not shown›", "‹deeper›"

_VERSION = re.compile(r"v\d{1,3}(\.\d{1,3}){0,2}")
_SIGNS = r"[\s\d+\-.,/()]+"
"""What numbers are written with, in whatever form."""

_NUMBER = re.compile(_SIGNS)
_LINE_OF_NUMBER = re.compile(rf"\n{_SIGNS}\n")
_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f\ud800-\udfff]')
"""Without such a character, a text stands in JSON as it is."""

_WHOLE = re.compile(r"\.0+\s*$")
_NOT_DIGITS = re.compile(r"\D+")
_SECONDS = re.compile(r"\d{1,7}")
_DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
_JSON = re.compile(r"application/(?:[a-z.]+\+)?json|text/json")
_NUMBERS = {name.lower(): name for name in ("Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")}
_SHOWN_OF_ANSWERS = frozenset(["content-type", *_NUMBERS])

_NOT_OF_CREDENTIALS = "It is about credentials: nothing of it is kept."
_TOO_LONG = "It is too long to be kept, masked or not."
_NOT_READ = "It is in no form in which values can be told from the structure around them: nothing of it is kept."
_HELD_SECRET = "A secret of the connector stood in it: nothing of it is kept."  # noqa: S105 - a sentence


class Known(msgspec.Struct, frozen=True):
    """What masking goes by.

    words    harmless: may be shown
    users    value → what stands in its place, for the first users of the call
    is_sent  whether this is a value of any user in the call, who may have one that is a word, too; of numbers, in any form
    secrets  of the connector
    items    users in the call
    """

    words: frozenset[str] = frozenset()
    users: Mapping[str, str] = {}
    is_sent: Callable[[str], bool] = lambda _: False
    secrets: tuple[str, ...] = ()
    items: int = 0

    def shows(self, text: str) -> bool:
        """Whether it may stand there in clear."""
        return (
            len(text) <= _LONGEST_WORD
            and (text in self.words or text.lower() in STATES)
            and text not in self.users
            and not self.is_sent(text)
        )

    def names(self, name: str) -> bool:
        """Whether it may stand there in clear as the name of something: a part of the structure, whatever values there are."""
        if len(name) > _LONGEST_WORD:
            return False
        return name.lower() in NAMES or (name in self.words and not (digits_in(name) and self.is_sent(name)))

    def holds_secret(self, text: str) -> bool:
        """Whether a secret stands in it, as it is or as JSON writes it."""
        return any(
            one in text or (_ESCAPED.search(one) and msgspec.json.encode(one).decode()[1:-1] in text)
            for one in self.secrets
            if len(one) >= _SHORTEST_SECRET
        )


def words_in(value: Any) -> Iterator[str]:
    """Names, texts and numbers of a document, and the parts of its addresses."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield str(name)
            yield from words_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from words_in(one)
    elif isinstance(value, str):
        yield value
        if "/" in value:
            yield from (unquote(part) for part in value.split("?")[0].split("/") if part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def users_in(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """For `Known.users`: what stands in the place of the values of the first `USERS` rows. A value that several have is named by
    its field alone."""
    marks: dict[str, str] = {}
    for number, row in enumerate(rows[:USERS], 1):
        for field, value in row.items():
            for leaf in (value,) if type(value) is str and value else leaves(value):
                mark = f"‹user {number}: {field}›"
                marks[leaf] = mark if marks.get(leaf, mark) == mark else f"‹{field}›"
    return marks


def leaves(value: Any) -> Iterator[str]:
    """All values in a value, as text."""
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from leaves(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from leaves(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield _digits(value)


def digits_in(text: str) -> str:
    """Of a number, the digits alone, the same in whatever form it is written: `0005551234`, ` +555-1234` and `5551234.0` are one.
    Empty for any other text."""
    if text[:1].isalpha():
        return ""
    digits = text.lstrip(" +0")
    if digits.isdecimal():
        return digits
    if not _NUMBER.fullmatch(text):
        return ""
    digits = _NOT_DIGITS.sub("", _WHOLE.sub("", text))
    return digits.lstrip("0") or digits[:1]


def numbers_in(values: Collection[str]) -> set[str]:
    """The digits of all numbers among them (`digits_in`)."""
    # Most that are sent are no numbers, and that none of many is one is seen in less time than of each.
    if not _LINE_OF_NUMBER.search("\n{}\n".format("\n".join(values))):
        return set()
    # What has letters is no number in any form, and is told from one in less time.
    return {digits_in(value) for value in values if value.upper() == value.lower()}


def masked_url(url: str, known: Known) -> str:
    """Without values of its query, and without those parts of its path that are not known."""
    parts = urlsplit(url)
    shown = _origin(parts.scheme, parts.netloc) + "/".join([_segment(one, known) for one in parts.path.split("/")])
    if parts.query:
        pairs = [pair.partition("=") for pair in parts.query.split("&") if pair][:_FEW]
        values = _Masking(known, _BUDGETS[0])
        query = (f"{_name(unquote_plus(name), known)}={values.text(unquote_plus(value))}" for name, _, value in pairs)
        shown += f"?{'&'.join(query)}"
    return shown if len(shown) <= LONGEST and not known.holds_secret(shown) else "‹address›"


def sent_headers(request: HttpRequest, known: Known) -> dict[str, str]:
    """Those that may be shown."""
    return _media_type(header(request.headers, "Content-Type"), known)


def answered_headers(answer: HttpAnswer, known: Known) -> dict[str, str]:
    """Those that may be shown."""
    headers = {lower: value for name, value in answer.headers.items() if (lower := name.lower()) in _SHOWN_OF_ANSWERS}
    shown = _media_type(headers.pop("content-type", None), known)
    for name, value in headers.items():
        number = value.strip()
        if (_SECONDS.fullmatch(number) or _DATE.fullmatch(number)) and not known.is_sent(number):
            shown[_NUMBERS[name]] = number
    return shown


def sent(request: HttpRequest, known: Known) -> Content:
    """The request's body, masked."""
    if request.secret:
        return Content("other", note=_NOT_OF_CREDENTIALS)
    if request.raw is None:
        if request.body is None:
            return Content()
        return _content("json", request.body, 0, known)
    size, kind = len(request.raw), (header(request.headers, "Content-Type") or "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return _content("form", _form(request.raw), size, known)
    if kind == "text/csv":
        return _content("csv", _Lines(request.raw), size, known)
    return _of_bytes(request.raw, kind, known, answered=False)


def answered(answer: HttpAnswer, known: Known, *, secret: bool) -> Content:
    """The answer's body, masked. secret: it is about credentials."""
    if secret:
        return Content("other", note=_NOT_OF_CREDENTIALS)
    if answer.cut:
        return Content("other", len(answer.content), note=_TOO_LONG)
    return _of_bytes(answer.content, "", known, answered=True)


def _of_bytes(content: bytes, kind: str, known: Known, *, answered: bool) -> Content:
    size = len(content)
    if not content.strip():
        return Content()
    if size > _LONGEST_ANSWER:
        return Content("other", size, note=_TOO_LONG)
    try:
        body = msgspec.json.decode(content) if not kind or _JSON.fullmatch(kind) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = None
    if body is None:
        return Content("other", size, note=_NOT_READ)
    return _content("json", body, size, known, answered=answered)


def _content(kind: Kind, body: Any, size: int, known: Known, *, answered: bool = False) -> Content:
    for budget in _BUDGETS:
        text = msgspec.json.encode(_Masking(known, budget, answered=answered).value(body, "", 0)).decode()
        if len(text) <= LONGEST:
            return Content("other", size, note=_HELD_SECRET) if known.holds_secret(text) else Content(kind, size, text)
    return Content("other", size, note=_TOO_LONG)


class _Masking:
    """Of one body. answered: it is the partner's, whose counts and flags are shown."""

    def __init__(self, known: Known, budget: int, *, answered: bool = False) -> None:
        self._known = known
        self._left = budget
        self._answered = answered

    def value(self, value: Any, name: str, depth: int) -> Any:
        """The same structure, masked. `name`: under which it stands."""
        if self._left <= 0:
            return _CUT
        self._left -= 1
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, _NESTED):
            if depth >= _DEEPEST:
                return _DEEPER
            return self._members(value, depth) if isinstance(value, dict) else self._items(value, depth)
        match value:
            case None:
                return None
            case bool():
                return value if self._answered and name in FLAGS else "‹true or false›"
            case int() | float():
                return self._number(value, name)
            case _Lines():
                return self._lines(value)
            case _:
                return "‹value›"

    def text(self, text: str) -> str:
        """The text itself or what stands in its place."""
        if mark := self._known.users.get(text):
            return mark
        if not text or self._known.shows(text):
            return text
        return f"‹text, {_counted(len(text), 'character')}›"

    def _number(self, number: float, name: str) -> Any:
        digits = _digits(number)
        if mark := self._known.users.get(digits):
            return mark
        largest = max(self._known.items, _LARGEST_COUNT)
        counts = self._answered and name in COUNTS and isinstance(number, int) and 0 <= number <= largest
        if (counts or digits in self._known.words) and not self._known.is_sent(digits):
            return number
        return "‹number›"

    def _members(self, members: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        unknown = left_out = 0
        for key, value in members.items():
            name = str(key)
            known = self._known.names(name)
            unknown += not known
            if len(shown) >= _MOST_MEMBERS or unknown > _MOST_UNKNOWN_NAMES or self._left <= 0:
                left_out += 1
                unknown = min(unknown, _MOST_UNKNOWN_NAMES)
                continue
            label = key if known else f"{unknown}: {_name(name, self._known)}"
            shown[label] = self.value(value, name.lower() if known else "", depth + 1)
        if left_out:
            shown[_MORE] = f"‹{left_out:,} more›"
        return shown

    def _items(self, items: Sequence[Any], depth: int) -> list[Any]:
        """Without the list's name: what stands under `rejected` may be their number, and in a list it is who they are."""
        plain = len(items) <= _FEW and not any(isinstance(one, _NESTED) for one in items)
        number = len(items) if plain else USERS
        shown = [self.value(one, "", depth + 1) for one in items[:number]]
        return [*shown, f"‹{len(items) - number:,} more›"] if len(items) > number else shown

    def _lines(self, lines: _Lines) -> list[Any]:
        shown: list[Any] = [[self.text(cell) for cell in line[:_MOST_MEMBERS]] for line in lines.first]
        return [*shown, f"‹{lines.more:,} more›"] if lines.more else shown


class _Lines:
    """The first lines of CSV with their cells: the titles, and a line for each of the first users."""

    def __init__(self, raw: bytes) -> None:
        beginning = raw if len(raw) <= _BEGINNING else raw[:_BEGINNING].rpartition(b"\n")[0]
        lines: Iterable[list[str]] = csv.reader(io.StringIO(beginning.decode("utf-8", "replace"), newline=""))
        try:
            self.first = list(islice(lines, 1 + USERS))
        except csv.Error:
            self.first = []
        self.more = max(0, raw.count(b"\n") - len(self.first))


def _name(name: str, known: Known) -> str:
    if known.names(name):
        return name
    return known.users.get(name) or f"‹name, {_counted(len(name), 'character')}›"


@lru_cache(maxsize=200)
def _origin(scheme: str, place: str) -> str:
    """Without a user in front of the host."""
    return f"{scheme}://{place.rpartition('@')[2]}"


def _segment(segment: str, known: Known) -> str:
    if not segment:
        return ""
    if "%" in segment:
        segment = unquote(segment)
    if mark := known.users.get(segment):
        return mark
    harmless = known.names(segment) or _VERSION.fullmatch(segment)
    if harmless and not known.is_sent(segment):
        return segment
    return f"‹{_counted(len(segment), 'character')}›"


def _media_type(value: str | None, known: Known) -> dict[str, str]:
    kind = (value or "").partition(";")[0].strip().lower()
    return {"Content-Type": kind} if kind in MEDIA_TYPES and not known.is_sent(kind) else {}


def _form(raw: bytes) -> dict[str, Any]:
    """Names with their values; of more than fits into what is looked at, the beginning."""
    fields: dict[str, list[str]] = {}
    beginning = raw if len(raw) <= _BEGINNING else raw[:_BEGINNING].rpartition(b"&")[0]
    for name, value in parse_qsl(beginning.decode("utf-8", "replace"), keep_blank_values=True):
        fields.setdefault(name, []).append(value)
    return {name: some[0] if len(some) == 1 else some for name, some in fields.items()}


def _digits(number: float) -> str:
    try:
        return str(number)
    except ValueError:  # more digits than are written
        return ""


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
