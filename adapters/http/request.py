"""One request as a document describes it, and as it is sent."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlencode

import msgspec

from adapters.contract import HttpRequest
from adapters.http.body import Node, read_node, uses_of
from adapters.http.filters import as_text
from adapters.http.grammar import OF_ROW, Names, Uses
from adapters.http.scope import Scope, of_one
from adapters.http.templates import Template, compile_template
from relay.domain.malformed import Malformed
from relay.reading import values
from relay.reading.section import Section, path_text

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
READING = ("GET",)
"""Methods that change nothing."""

KEYS = ("method", "path", "query", "headers", "body", "form", "csv")
_BODIES = ("body", "form", "csv")
_TYPES = {"form": "application/x-www-form-urlencoded", "csv": "text/csv; charset=utf-8"}

_HEADER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"})
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie"})
# https://www.rfc-editor.org/rfc/rfc3986#section-3.3
_IN_PATH = re.compile(r"(?:[A-Za-z0-9/\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*")

Texts = tuple[tuple[str, Template], ...]


class RequestTemplate(msgspec.Struct, frozen=True):
    """A request with templates in it. `content`: the kind of its body, if any; a form or CSV has `columns`, JSON a `node`.
    `titles`: of CSV, the columns' names, which can be templates, too."""

    method: str
    path: Template
    query: Texts = ()
    headers: Texts = ()
    content: str = ""
    node: Node | None = None
    columns: Texts = ()
    titles: tuple[Template, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether the partner may have changed something once it has answered."""
        return self.method not in READING

    @property
    def uses(self) -> Uses:
        """What its templates look at."""
        texts = [self.path, *self.titles, *(template for _, template in (*self.query, *self.headers, *self.columns))]
        more = frozenset({("rows",)}) if self.content == "csv" else frozenset()
        return frozenset().union(*(one.uses for one in texts), uses_of(self.node) if self.node else (), more)

    @property
    def concerns_audience(self) -> bool:
        """Whether its path names one audience by the partner's ID, and no user beside it: a 404 then speaks of the audience."""
        roots = {path[0] for path in self.path.uses}
        return ("audience", "partner_id") in self.path.uses and roots.isdisjoint({*OF_ROW, "rows"})

    @property
    def concerns_user(self) -> bool:
        """Whether its path names the one user that it carries: a 404 then may speak of this user."""
        return any(path[0] == "row" for path in self.path.uses)

    def fill(self, base_url: str, scope: Scope) -> HttpRequest:
        """The request. Raises `Malformed`, without a value, where it cannot be made of these values."""
        url = base_url.rstrip("/") + self._filled_path(scope.context)
        pairs = _pairs(self.query, scope)
        headers = {name: text for name, template in self.headers if (text := _header(template, scope.context)) is not None}
        if self.content in _TYPES and "content-type" not in {name.lower() for name in headers}:
            headers["Content-Type"] = _TYPES[self.content]
        return HttpRequest(
            self.method,
            f"{url}?{urlencode(pairs, quote_via=quote, safe='')}" if pairs else url,
            headers,
            body=self.node.fill(scope) if self.node else None,
            raw=self._raw(scope),
            batch=len(scope.rows) > 1,
        )

    def _filled_path(self, context: Mapping[str, Any]) -> str:
        path = self.path.text(context, _segment)
        if any(part in (".", "..") for part in path.split("/")):
            raise Malformed("A value of a single or double dot cannot be part of an address.")
        return path

    def _raw(self, scope: Scope) -> bytes | None:
        if self.content == "form":
            return urlencode(_pairs(self.columns, scope)).encode()
        if self.content != "csv":
            return None
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(title.text(scope.context) for title in self.titles)
        for each in scope.of_each():
            line = [as_text(template.value(each.context)) for _, template in self.columns]
            scope.room.take(line)
            writer.writerow(line)
        return text.getvalue().encode()


def _segment(text: str) -> str:
    if not text:
        raise Malformed("An empty value cannot be part of an address.")
    return quote(text, safe="")


def _pairs(texts: Texts, scope: Scope) -> list[tuple[str, str]]:
    """Without those whose template gives null; a list gives several."""
    pairs = []
    for name, template in texts:
        value = template.value(scope.context)
        scope.room.take(value)
        pairs += [(name, as_text(one)) for one in (value if isinstance(value, list) else [value]) if one is not None]
    return pairs


def _header(template: Template, context: Mapping[str, Any]) -> str | None:
    value = template.value(context)
    text = None if value is None else as_text(value).strip(" ")
    if text is not None and not (text.isascii() and text.isprintable()):
        raise Malformed("A header can hold only letters, digits and signs of ASCII, without line breaks.")
    return text


def read_request(
    section: Section, names: Names, *, fields: tuple[str, ...] | None = None, taken: Collection[str] = ()
) -> RequestTemplate:
    """The request described there, and every problem noted. `fields`: of the users that a call carries; None: it carries none.
    `taken`: headers that the authentication fills."""
    given = [key for key in _BODIES if section.given(key)]
    for key in given[1:]:
        section.problem(key, f"A request has only one body; there is `{given[0]}` already.")
    method = section.require("method", values.choice(*METHODS), "POST")
    content = given[0] if given else ""
    if content and method in READING:
        section.problem(content, f"A {method} request has no body.")
    inside = names if fields is None or content != "csv" else {**names, **of_one(fields)}
    if content == "csv" and fields is None:
        section.problem("csv", "CSV has a line for each user, and there are none here.")
    columns = _read_texts(section, content, inside) if content in ("form", "csv") else ()
    if content in ("form", "csv") and not columns:
        section.problem(content, "There is nothing in it.")
    node = None
    if content == "body":
        node = read_node(section.values["body"], (*section.path, "body"), section.problems, names, fields)
    return RequestTemplate(
        method=method,
        path=section.require("path", _path_reader(names), NOWHERE).at(path_text((*section.path, "path"))),
        query=_read_texts(section, "query", names),
        headers=_read_headers(section, names, taken),
        content=content,
        node=node,
        columns=columns,
        titles=_read_titles(section, names) if content == "csv" else (),
    )


NOWHERE = compile_template("/", {})


def _path_reader(names: Names) -> values.Reader[Template]:
    def read(value: object) -> Template:
        template = compile_template(values.text(value), names)
        outline = template.outline("x")
        if not isinstance(value, str) or not value.startswith("/"):
            raise Malformed("A path begins with / and is put behind `base_url`.")
        if not _IN_PATH.fullmatch(outline):
            raise Malformed("A path holds only what can stand in an address: parameters go into `query`, and blanks are %20.")
        if any(unquote(part) in (".", "..") for part in outline.split("/")):
            raise Malformed("A path has no parts that are dots alone.")
        return template

    return read


def _read_texts(section: Section, key: str, names: Names) -> Texts:
    texts = section.section(key, None)
    return tuple(
        (name, texts.read(name, _text_reader(names), NOWHERE).at(path_text((*texts.path, name))))
        for name in texts.values
        if texts.given(name)
    )


def _read_titles(request: Section, names: Names) -> tuple[Template, ...]:
    """Of the columns of CSV. They stand above all users and look at none."""
    columns = request.section("csv", None)
    titles = Section({name: name for name in columns.values if columns.given(name)}, columns.path, columns.problems, known=None)
    return tuple(titles.read(name, _text_reader(names), NOWHERE) for name in titles.values)


def _text_reader(names: Names) -> values.Reader[Template]:
    def read(value: object) -> Template:
        written = as_text(value) if isinstance(value, bool | int | float) else value
        if not isinstance(written, str):
            raise Malformed("This must be text, a number, true or false.")
        return compile_template(written, names)

    return read


def _read_headers(section: Section, names: Names, taken: Collection[str]) -> Texts:
    headers = section.section("headers", None)
    filled = {name.lower() for name in taken}
    for name in headers.values:
        if not _HEADER.fullmatch(name):
            headers.problem(name, "This cannot be the name of a header.")
        elif name.lower() in _OURS:
            headers.problem(name, "This header is part of the connection; it is filled in when the call is made.")
        elif name.lower() in _CREDENTIALS | filled:
            headers.problem(name, "Credentials are not written into a request; `auth` describes them, and secrets hold them.")
    return _read_texts(section, "headers", names)
