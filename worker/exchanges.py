"""Keeps what is exchanged with the partner in one attempt: masked, and bounded however many calls there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from adapters import masking
from adapters.contract import Adapter, HttpAnswer, HttpRequest, Row, Target
from relay.domain.connector import Connector
from relay.domain.exchange import VERSION, Content, Exchange, Exchanges

KEPT = 3
"""Of an attempt, the first. Once an operation was carried out for all of its users, with the calls that it takes, further ones
would show the same."""

KEPT_OF_TROUBLE = 5
"""And so many more, of those that the partner did not answer, or not with a success."""

MOST_BYTES = 24_000
"""Of all bodies of an attempt."""

_NOT_MASKED = Content("other", note="It could not be masked: nothing of it is kept.")
_TOO_MUCH = "The bodies before it are as much as an attempt keeps: nothing of it is kept."

Place = tuple[str, int]
"""A mutation: the request's ID, and its number in it."""


_harmless: WeakKeyDictionary[Adapter, frozenset[str]] = WeakKeyDictionary()
"""What their words and the settings that they were opened with make harmless."""


class _Sending(NamedTuple):
    operation: str
    target: Target
    rows: Sequence[Row]
    places: Sequence[Place]


class _Masked(NamedTuple):
    """What of an exchange needs masking."""

    url: str
    sent_headers: dict[str, str]
    sent: Content
    answered_headers: dict[str, str]
    answered: Content


class Recording:
    """The exchanges of one attempt, told by the client (`adapters.exchanges`)."""

    def __init__(self, connector: Connector, adapter: Adapter, audience: Iterable[str]) -> None:
        """audience: by what it is known: its ID, name and so on."""
        self._connector = connector
        self._adapter = adapter
        self._audience = frozenset(audience) - {""}
        self._words: frozenset[str] | None = None
        self._sending: _Sending | None = None
        self._passed_over: tuple[HttpRequest, HttpAnswer | None, float, str, _Sending | None] | None = None
        """The last call, if it was not kept: what it did for the users is known after it was told of."""
        self._shown: set[str] = set()
        """Operations that were carried out for all of their users."""
        self._kept: list[Exchange] = []
        self._of_trouble = 0
        self._bytes = 0
        self._left_out = 0

    @contextmanager
    def sending(self, operation: str, target: Target, rows: Sequence[Row], places: Sequence[Place] = ()) -> Iterator[None]:
        """What is exchanged inside carries these rows. places: of the first of them."""
        self._sending = _Sending(operation, target, rows, places[: masking.USERS])
        try:
            yield
        finally:
            self._sending = None

    def carried_out(self, operation: str, *, for_all: bool) -> None:
        """The calls that were told of last did so, for all of their users or for some: then the last of them is trouble, whatever
        its status."""
        passed_over, self._passed_over = self._passed_over, None
        if for_all:
            self._shown.add(operation)
        elif passed_over is not None and self._of_trouble < KEPT_OF_TROUBLE:
            self._of_trouble += 1
            self._left_out -= 1
            request, answer, duration_ms, problem, self._sending = passed_over
            self._keep(request, answer, duration_ms, problem)
            self._sending = None

    @property
    def exchanges(self) -> Exchanges | None:
        """Those that are kept; None if there was none."""
        return Exchanges(VERSION, tuple(self._kept), self._left_out) if self._kept else None

    def __call__(self, request: HttpRequest, answer: HttpAnswer | None, duration_ms: float, problem: str) -> None:
        """See `adapters.exchanges.Keeper`."""
        self._passed_over = None
        if not self._has_room(answer):
            self._left_out += 1
            self._passed_over = request, answer, duration_ms, problem, self._sending
            return
        self._keep(request, answer, duration_ms, problem)

    def _keep(self, request: HttpRequest, answer: HttpAnswer | None, duration_ms: float, problem: str) -> None:
        try:
            masked = self._masked(request, answer)
        except Exception:
            # To tell of a call must not cost the call, whatever the partner wrote.
            masked = _Masked("‹address›", {}, _NOT_MASKED, {}, _NOT_MASKED)
        sending = self._sending
        self._kept.append(
            Exchange(
                method=request.method,
                url=masked.url,
                status=answer.status if answer else 0,
                duration_ms=round(duration_ms, 1),
                operation=sending.operation if sending else "",
                items=len(sending.rows) if sending else 0,
                users=tuple(sending.places) if sending else (),
                problem=problem,
                sent_headers=masked.sent_headers,
                sent=masked.sent,
                answered_headers=masked.answered_headers,
                answered=masked.answered,
            )
        )

    def _has_room(self, answer: HttpAnswer | None) -> bool:
        is_shown = self._sending is not None and self._sending.operation in self._shown
        if len(self._kept) - self._of_trouble < KEPT and not is_shown:
            return True
        if self._of_trouble >= KEPT_OF_TROUBLE or (answer is not None and 200 <= answer.status < 300):
            return False
        self._of_trouble += 1
        return True

    def _masked(self, request: HttpRequest, answer: HttpAnswer | None) -> _Masked:
        known = self._known(self._sending)
        return _Masked(
            masking.masked_url(request.url, known),
            masking.sent_headers(request, known),
            self._fitting(masking.sent(request, known)),
            masking.answered_headers(answer, known) if answer else {},
            self._fitting(masking.answered(answer, known, secret=request.secret)) if answer else Content(),
        )

    def _fitting(self, content: Content) -> Content:
        size = len(content.masked.encode())
        if self._bytes + size > MOST_BYTES:
            return Content(content.kind, content.size, note=_TOO_MUCH)
        self._bytes += size
        return content

    def _known(self, sending: _Sending | None) -> masking.Known:
        if self._words is None:
            self._words = self._audience | self._harmless()
        secrets: Mapping[str, str] = getattr(getattr(self._adapter, "account", None), "secrets", {})
        if sending is None:
            return masking.Known(self._words, secrets=tuple(secrets.values()))
        target, first = sending.target, [row.values for row in sending.rows[: masking.USERS]]
        words = {target.id, target.name, target.partner_id, target.reference, *(field for values in first for field in values)}
        words.discard("")
        return masking.Known(
            words=self._words | words,
            users=masking.users_in(first),
            is_sent=Sent(sending.rows),
            secrets=tuple(secrets.values()),
            items=len(sending.rows),
        )

    def _harmless(self) -> frozenset[str]:
        found = _harmless.get(self._adapter)
        if found is None:
            described = self._adapter.description
            settings = [self._connector.settings, [field.default for field in described.settings]]
            found = _harmless[self._adapter] = frozenset([*described.words, *masking.words_in(settings)])
        return found


class Sent:
    """Whether something is a value of any of the rows, or the number that one of them writes in another form: they are looked
    through once, and only if somebody asks."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._values: set[str] | None = None
        self._numbers: set[str] | None = None

    def __call__(self, text: str) -> bool:
        if self._values is None:
            self._values = self._found()
        if text in self._values:
            return True
        if not (digits := masking.digits_in(text)):
            return False
        if self._numbers is None:
            self._numbers = masking.numbers_in(self._values)
        return digits in self._numbers

    def _found(self) -> set[str]:
        rows = [row.values for row in self._rows]
        try:
            found = _values_in(rows)
            "".join(found)  # which is possible of texts alone, and known sooner than by asking each
        except TypeError:  # there are lists among them, or numbers
            return {leaf for values in rows for leaf in masking.leaves(values)}
        return found


def _values_in(rows: Sequence[Mapping[str, Any]]) -> set[Any]:
    """All of their values. They nearly always have the same fields, and are then looked through by field."""
    fields = rows[0] if rows else {}
    if sum(map(len, rows)) == len(rows) * len(fields):
        try:
            return {row[field] for field in fields for row in rows}
        except KeyError:
            pass
    return {value for row in rows for value in row.values()}
