"""Lists that a partner gives page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

import msgspec

from adapters.answers import AnswerTable, Rule, misconfigured, unreadable
from adapters.contract import HttpRequest
from adapters.http.answering import read_delivered, read_rules
from adapters.http.grammar import Names
from adapters.http.looking import expression, found, identifier
from adapters.http.request import KEYS as REQUEST_KEYS
from adapters.http.request import NOWHERE, RequestTemplate, read_request
from adapters.http.scope import Scope
from adapters.redirects import origin
from relay.domain.errors import Misconfigured
from relay.expressions.expression import Expression
from relay.reading import values
from relay.reading.section import Section

MAX_PAGES = 100
KEYS = ("request", "list", "next", "pages", "answers", "delivered")
_PAGES = 20
_NEXT_KEYS = ("value", "query", "url", "from")

Ask = Callable[[HttpRequest, AnswerTable], Any]

# Nothing in such a question depends on what the DMP sent.
ASKING = Rule(misconfigured("The partner does not understand the question; check the request."), (400, 413, 422))


class Next(msgspec.Struct, frozen=True):
    """How the next page is asked for: by a value of the answer in a parameter of the query, by the page's number there (`first`:
    of the first page), or by an address of the answer."""

    query: str = ""
    value: Expression | None = None
    first: int | None = None
    url: Expression | None = None


class Paged(msgspec.Struct, frozen=True):
    """A question whose answer is a list, where `listed` says, or the only thing asked for. `pages`: most that are asked for."""

    request: RequestTemplate
    table: AnswerTable
    listed: Expression | None = None
    next: Next | None = None
    pages: int = _PAGES

    def entries(self, base_url: str, scope: Scope, ask: Ask, *, to_the_end: bool = False) -> Iterator[Any]:
        """The entries, page by page as they are asked for. Raises what `ask` raises, `TryAgain` for an answer that is no list,
        `Misconfigured` for a next page at another place, and `Malformed` where the question cannot be made.

        to_the_end: more pages than may be asked for are `Misconfigured`, too, instead of left out
        """
        request = self.request.fill(base_url, scope)
        for number in range(self.pages):
            if number == 0 and self.next is not None and self.next.first is not None:
                request = _with(request, self.next.query, str(self.next.first))
            body = ask(request, self.table)
            entries = self._entries(body)
            yield from entries
            following = self._following(request, body, number, full=bool(entries))
            if following is None:
                return
            request = following
        if to_the_end:
            hint = f"The partner's list does not end within {self.pages} pages; have more of them read (`pages`)."
            raise Misconfigured(hint, code="too_many")

    def _entries(self, body: Any) -> list[Any]:
        if body is None:
            return []
        entries = found(self.listed, body) if self.listed else [body]
        if not isinstance(entries, list):
            raise unreadable("What the partner's answer has is no list.")
        return entries

    def _following(self, request: HttpRequest, body: Any, number: int, *, full: bool) -> HttpRequest | None:
        if self.next is None:
            return None
        if self.next.first is not None:
            return _with(request, self.next.query, str(self.next.first + number + 1)) if full else None
        if self.next.url is not None:
            address = found(self.next.url, body)
            return _at(request, address) if isinstance(address, str) and address else None
        value = identifier(found(self.next.value, body)) if self.next.value else ""
        return _with(request, self.next.query, value) if value else None


def _with(request: HttpRequest, name: str, value: str) -> HttpRequest:
    """The same call with this parameter."""
    parts = urlsplit(request.url)
    pairs = [(key, one) for key, one in parse_qsl(parts.query, keep_blank_values=True) if key != name]
    query = urlencode([*pairs, (name, value)], quote_via=quote, safe="")
    return msgspec.structs.replace(request, url=urlunsplit(parts._replace(query=query)))


def _at(request: HttpRequest, address: str) -> HttpRequest:
    """The same call at the address that an answer gives, which must be at the same place: credentials go there."""
    try:
        url = urljoin(request.url, address)
        same = origin(url) == origin(request.url) and "@" not in urlsplit(url).netloc
    except ValueError:
        same = False
    if not same or not url.isprintable():
        raise Misconfigured("The partner's next page is at another place, where credentials are not sent.", code="next_elsewhere")
    return msgspec.structs.replace(request, url=urlunsplit(urlsplit(url)._replace(fragment="")))


def read_paged(section: Section, names: Names, rules: tuple[Rule, ...], *, needs_list: bool) -> Paged:
    """The question described there. `rules`: behind its own."""
    looked = section.read("list", expression, None)
    if needs_list and not section.given("list"):
        section.problem("list", "This is missing: where the answer has the list.")
    following = _read_next(section.section("next", _NEXT_KEYS)) if section.given("next") else None
    if section.given("pages") and following is None:
        section.problem("pages", "There are several pages only where `next` says how to ask for them.")
    request = (
        read_request(section.section("request", REQUEST_KEYS), names)
        if section.given("request")
        else RequestTemplate("GET", NOWHERE)
    )
    if not section.given("request"):
        section.problem("request", "This is missing.")
    return Paged(
        request=request,
        table=AnswerTable(*read_rules(section), *rules, *read_delivered(section), ASKING),
        listed=looked,
        next=following,
        pages=section.read("pages", values.whole(1, MAX_PAGES), _PAGES),
    )


def _read_next(section: Section) -> Next:
    given = [key for key in ("value", "url", "from") if section.given(key)]
    if len(given) != 1:
        section.problem(
            given[1] if given else "value",
            "How is the next page asked for? By one of: `value` (of the answer) with `query`, `from` (number of the first page) "
            "with `query`, or `url`.",
        )
    if given == ["url"] and section.given("query"):
        section.problem("query", "An address is used as it is, without this.")
    query = "" if given == ["url"] else section.require("query", values.text, "")
    return Next(
        query=query,
        value=section.read("value", expression, None),
        first=section.read("from", values.whole(0, 1), None),
        url=section.read("url", expression, None),
    )
