"""What a successful answer says of each user of a call: which were refused, which are to be sent again, how many were taken."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from adapters.answers import unreadable
from adapters.contract import DELIVERED, NotYet, Rejected, Row, RowResult
from adapters.http.answering import sentence
from adapters.http.looking import code_of, expression, found, holds, identifier, tells, texts_in
from relay.domain.errors import BatchRefused, TryAgain
from relay.expressions.expression import Expression
from relay.reading import values
from relay.reading.section import Section

_KEYS = ("list", "when", "index", "base", "id", "field", "again", "code", "hint", "hints")
_REFUSED = "rejected"
_HINT = "The partner refused this user."


class Entries(msgspec.Struct, frozen=True):
    """How an answer speaks of single users.

    listed where its entries are; when: which of them speak of trouble (None: all)
    index  where an entry has the user's place in the call, counted from `base`; None with `id` None: the entries stand in the
           order of the call
    id     where an entry has what was sent as `field`
    again  which of them are to be sent again
    """

    listed: Expression
    when: Expression | None = None
    index: Expression | None = None
    base: int = 0
    id: Expression | None = None
    field: str = ""
    again: Expression | None = None
    code: Expression | None = None
    hint: str = _HINT
    hints: Mapping[str, str] = {}

    def fits(self, columns: Collection[str]) -> bool:
        """Whether CSV with these columns says which users its lines are about. By columns and not by lines: there may be none."""
        look = self.index or self.id
        line = dict.fromkeys(columns, "0")
        listed = found(self.listed, [line])
        return look is None or found(look, listed[0] if isinstance(listed, list) and listed else line) is not None


class Outcomes(msgspec.Struct, frozen=True):
    """`taken`: where an answer says how many users were taken; with those refused they must be all."""

    taken: Expression | None = None
    entries: Entries | None = None

    def results(self, rows: Sequence[Row], body: Any) -> list[RowResult]:
        """One for each row. Raises `TryAgain` where the answer is not what was agreed or does not account for all, `BatchRefused`
        where it refuses a user and does not say which."""
        results: list[RowResult] = [DELIVERED] * len(rows)
        for place, result in self._troubles(rows, body):
            results[place] = result
        if self.taken is not None:
            taken = found(self.taken, body)
            if isinstance(taken, bool) or not isinstance(taken, int | float):
                raise unreadable("The partner's answer does not say how many users it took.")
            if taken != results.count(DELIVERED):
                raise _unaccounted()
        return results

    def fits(self, columns: Collection[str]) -> bool:
        """Whether an answer in CSV with these columns can be read."""
        return self.entries is None or self.entries.fits(columns)

    def _troubles(self, rows: Sequence[Row], body: Any) -> list[tuple[int, RowResult]]:
        entries = self.entries
        if entries is None:
            return []
        listed = found(entries.listed, body)
        in_order = entries.index is None and entries.id is None
        if listed is None and not in_order:
            return []
        if listed is not None and not isinstance(listed, list):
            raise unreadable("What the partner's answer says of single users cannot be read.")
        if listed is None or (in_order and len(listed) != len(rows)):
            raise _unaccounted()
        sent: frozenset[str] | None = None
        troubles: list[tuple[int, RowResult]] = []
        for number, entry in enumerate(listed):
            if entries.when is not None and not holds(entries.when, entry):
                continue
            if sent is None:  # mostly nobody is refused
                sent = texts_in(row.values for row in rows)
            result = self._result(entries, entry, sent)
            places = [number] if in_order else self._places(entries, entry, rows)
            if not places and len(rows) > 1:
                raise BatchRefused("The partner refused a user of this call, and does not say which.", code="unknown_row")
            troubles += [(place, result) for place in places or [0]]
        return troubles

    @staticmethod
    def _places(entries: Entries, entry: Any, rows: Sequence[Row]) -> list[int]:
        if entries.index is not None:
            index = identifier(found(entries.index, entry))
            place = int(index) - entries.base if index.isascii() and index.isdigit() and len(index) < 10 else -1
            return [place] if 0 <= place < len(rows) else []
        wanted = identifier(found(entries.id, entry)) if entries.id else ""
        return [place for place, row in enumerate(rows) if wanted and identifier(row.values.get(entries.field)) == wanted]

    @staticmethod
    def _result(entries: Entries, entry: Any, sent: frozenset[str]) -> RowResult:
        if entries.again is not None and holds(entries.again, entry):
            return NotYet("The partner could not take some users now; they are sent again.")
        given = code_of(found(entries.code, entry)) if entries.code else ""
        code = str(given) if given and not tells(given, sent) else _REFUSED
        return Rejected(code, entries.hints.get(code, entries.hint))


def _unaccounted() -> TryAgain:
    """The partner has answered well, so that users of the call may have been taken."""
    return TryAgain("The partner's answer does not account for all users.", code="unaccounted", applied_unknown=True)


def read_outcomes(section: Section, fields: Sequence[str]) -> Outcomes:
    """What `taken` and `rejected` say. `fields`: of the operation."""
    taken = section.read("taken", expression, None)
    return Outcomes(taken, _read_entries(section, fields) if section.given("rejected") else None)


def _read_entries(operation: Section, fields: Sequence[str]) -> Entries | None:
    section = operation.section("rejected", _KEYS)
    listed = section.require("list", expression, None)
    if section.given("index") and section.given("id"):
        section.problem("id", "A user is found either by `index` or by `id`.")
    elif section.given("id") != section.given("field"):
        lacking, given = ("field", "id") if section.given("id") else ("id", "field")
        section.problem(lacking, f"`{given}` needs this: `id` is what the answer has, `field` the field that was sent as it.")
    if section.given("base") and not section.given("index"):
        section.problem("base", "This says from where an `index` counts, and there is none.")
    if not (section.given("index") or section.given("id") or section.given("when")):
        section.problem("index", "How is a user found? By `index`, by `id` with `field`, or by place in the list with `when`.")
    hints = section.section("hints", None)
    index, place = section.read("index", expression, None), section.read("id", expression, None)
    if listed is None:
        return None
    return Entries(
        listed=listed,
        when=section.read("when", expression, None),
        index=index,
        base=section.read("base", values.whole(0, 1), 0),
        id=place,
        field=section.read("field", values.choice(*fields), ""),
        again=section.read("again", expression, None),
        code=section.read("code", expression, None),
        hint=section.read("hint", sentence, _HINT),
        hints={str(code): hints.read(code, sentence, _HINT) for code in hints.values if hints.given(code)},
    )
