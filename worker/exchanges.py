"""Keeps what is exchanged with the partner in one attempt: masked, and bounded however many calls there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from msgspec.structs import replace

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
        exchange = self._unmasked(request, answer, duration_ms, problem)
        try:
            exchange = self._masked(exchange, request, answer)
        except Exception:
            # To tell of a call must not cost the call, whatever the partner wrote.
            exchange = replace(exchange, sent=_NOT_MASKED, answered=_NOT_MASKED)
        self._kept.append(exchange)

    def _has_room(self, answer: HttpAnswer | None) -> bool:
        is_shown = self._sending is not None and self._sending.operation in self._shown
        if len(self._kept) - self._of_trouble < KEPT and not is_shown:
            return True
        if self._of_trouble >= KEPT_OF_TROUBLE or (answer is not None and 200 <= answer.status < 300):
            return False
        self._of_trouble += 1
        return True

    def _unmasked(self, request: HttpRequest, answer: HttpAnswer | None, duration_ms: float, problem: str) -> Exchange:
        """What needs no masking."""
        sending = self._sending
        return Exchange(
            method=request.method,
            url="‹address›",
            status=answer.status if answer else 0,
            duration_ms=round(duration_ms, 1),
            operation=sending.operation if sending else "",
            items=len(sending.rows) if sending else 0,
            users=tuple(sending.places) if sending else (),
            problem=problem,
        )

    def _masked(self, exchange: Exchange, request: HttpRequest, answer: HttpAnswer | None) -> Exchange:
        known = self._known(self._sending)
        return replace(
            exchange,
            url=masking.masked_url(request.url, known),
            sent_headers=masking.sent_headers(request, known),
            sent=self._fitting(masking.sent(request, known)),
            answered_headers=masking.answered_headers(answer, known) if answer else {},
            answered=self._fitting(masking.answered(answer, known, secret=request.secret)) if answer else Content(),
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
        return masking.Known(
            words=self._words | (words - {""}),
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
            # What has letters is no number in any form, and is told from one in less time.
            self._numbers = {masking.digits_in(value) for value in self._values if value.upper() == value.lower()}
        return digits in self._numbers

    def _found(self) -> set[str]:
        try:
            found: set[Any] = set(chain.from_iterable(row.values.values() for row in self._rows))
        except TypeError:  # there are lists among them
            found = set()
        if found and {type(value) for value in found} == {str}:
            return found
        return {leaf for row in self._rows for leaf in masking.leaves(row.values)}
