"""The settings of the HTTP adapter, from what is written to what runs; every problem in them at once, each with its place."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from adapters.http.answering import read_rules
from adapters.http.audiences import Audiences, read_audiences
from adapters.http.auth import read_scheme
from adapters.http.grammar import Names
from adapters.http.looking import expression
from adapters.http.operations import Described, read_operations
from adapters.http.paging import ASKING, Paged, read_paged
from adapters.http.paging import KEYS as PAGED_KEYS
from adapters.http.scheme import Scheme
from adapters.http.scope import general_names, name_in_templates
from adapters.http.steps import Step, read_single
from relay.domain.malformed import Malformed
from relay.expressions.expression import Expression
from relay.reading import values
from relay.reading.section import Problems, Section

_OPTION_KEYS = (*PAGED_KEYS, "value", "label")


class Choices(msgspec.Struct, frozen=True):
    """The values that a field can take. `value`, `label`: where an entry of the list has them."""

    paged: Paged
    value: Expression
    label: Expression | None = None


class Document(msgspec.Struct, frozen=True):
    """What the settings describe. `title`: what the partner is called."""

    title: str
    base_url: str
    parameters: Mapping[str, Any]
    scheme: Scheme
    audiences: Audiences
    operations: Mapping[str, Described]
    options: Mapping[str, Choices]
    check: Step | None
    email_rule: str


def title_of(settings: Mapping[str, Any]) -> str:
    """What the partner is called, as far as these settings say so."""
    named, address = settings.get("partner"), settings.get("base_url")
    if isinstance(named, str) and named:
        return named
    try:
        host = urlsplit(address).hostname if isinstance(address, str) else None
    except ValueError:
        host = None
    return host or "the partner"


def read_document(settings: Mapping[str, Any]) -> Document:
    """The document behind these settings, compiled once for settings that are the same. Raises `DocumentError`, with places
    inside the settings."""
    return _read(msgspec.json.encode(settings))


@functools.lru_cache(maxsize=128)
def _read(settings: bytes) -> Document:
    written: dict[str, Any] = msgspec.json.decode(settings)
    problems = Problems()
    section = Section(written, (), problems, known=None)
    parameters = _read_parameters(section)
    names = general_names(parameters)
    base_url = section.read("base_url", _read_base, "")
    _check_encryption(section)
    scheme = read_scheme(section, names)
    rules = read_rules(section)
    options = _read_options(section, names)
    document = Document(
        title=title_of({"partner": section.read("partner", values.label, ""), "base_url": base_url}),
        base_url=base_url,
        parameters=parameters,
        scheme=scheme,
        audiences=read_audiences(section, names, rules, scheme.headers),
        operations=read_operations(section, names, rules, taken=scheme.headers, dynamic=options),
        options=options,
        check=_read_check(section, names, scheme) if section.given("check") else None,
        email_rule=section.read("email", values.text, "email"),
    )
    problems.raise_any(written)
    return document


def _read_base(value: object) -> str:
    address = values.url(value)
    if urlsplit(address).query:
        raise Malformed("Parameters of the query belong to the requests.")
    return address.rstrip("/")


def _check_encryption(settings: Section) -> None:
    """What would fail at the first call is said at once."""
    if settings.values.get("allow_private_network") is True:
        return
    auth = settings.section("auth", None)
    for section, key in ((settings, "base_url"), (auth, "token_url"), (auth, "authorize_url")):
        address = section.values.get(key)
        if isinstance(address, str) and address.startswith("http://"):
            section.problem(key, "This must begin with https://, unless `allow_private_network` is true.")


def _read_parameters(settings: Section) -> dict[str, Any]:
    section = settings.section("parameters", None)
    for name in section.values:
        try:
            name_in_templates(name)
        except Malformed as problem:
            section.problem(name, str(problem))
    return section.values


def _read_options(settings: Section, names: Names) -> dict[str, Choices]:
    section = settings.section("options", None)
    rules = read_rules(settings)
    known: Names = {**names, "chosen": None}
    options = {}
    for field in section.values:
        one = section.section(field, _OPTION_KEYS)
        paged = read_paged(one, known, rules, needs_list=True)
        value = one.require("value", expression, None)
        if value is not None:
            options[field] = Choices(paged, value, one.read("label", expression, None))
    return options


def _read_check(settings: Section, names: Names, scheme: Scheme) -> Step:
    section = settings.section("check", ("request", "delivered", "answers"))
    return read_single(section, names, None, (*read_rules(settings), ASKING), scheme.headers)
