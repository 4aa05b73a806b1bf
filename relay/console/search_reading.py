"""What the search finds: pages, connectors, their actions, settings and secrets by name, and audiences; each with its place.

A search reads the connectors' states, those of their versions that this process has not read yet (they never change), and one
page of audiences.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from relay.backends.interfaces import Backend, Connectors
from relay.connectors.document import Describe
from relay.connectors.live import document_of
from relay.connectors.secret_names import secret_names
from relay.domain.connector import Connector

Kind = Literal["page", "connector", "action", "audience", "setting", "secret"]

MOST_TYPED = 200
LONGEST_DETAIL = 120

_PERSON = re.compile(
    r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+|\+[\d\s()/.-]{6,}"
    r"|(?=.*[\s()-])[\s()-]*(\d[\s()-]*){7,}"
    r"|([0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    re.IGNORECASE,
)
"""An address, a number with its country or with gaps, a hash, a UUID."""


class Found(msgspec.Struct, frozen=True):
    """One place. detail: what tells it from others of its name. rank: how well it fits, the best with 0."""

    kind: Kind
    title: str
    detail: str
    connector: str = ""
    audience: str = ""
    endpoint: str = ""
    rank: int = 0


class Results(msgspec.Struct, frozen=True):
    """more: how many that were found are left out. more_audiences: whether there may be further ones; nobody counted. person:
    what was typed looks like an identifier of somebody, so nothing was looked for."""

    found: tuple[Found, ...] = ()
    more: int = 0
    more_audiences: bool = False
    person: bool = False


class ConnectorIndex:
    """The connectors as they run. Versions never change, so each is read once by a process, and all new ones at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: dict[tuple[str, int, float], tuple[Connector, ...]] = {}

    def live(self, store: Connectors) -> list[Connector]:
        """All that run, in the order of their states. Raises `StoreUnavailable`."""
        with self._lock:
            known = self._versions
        states = [state for state in store.states() if state.live]
        # The moment belongs to the key: a document that was deleted begins again with version 1.
        keys = {state.name: (document_of(state.name), state.live, state.live_since) for state in states}
        new = {key: key[:2] for key in keys.values() if key not in known}
        read = store.versions_at(set(new.values())) if new else {}
        versions = {key: known[key] for key in keys.values() if key in known}
        for key, place in new.items():
            versions[key] = read[place].connectors if place in read else ()  # deleted a moment ago
        with self._lock:
            self._versions = versions
        return [one for state in states for one in versions[keys[state.name]] if one.name == state.name]


def looks_like_a_person(typed: str, documents: Collection[str] = ()) -> bool:
    """Whether it is an identifier of somebody: those are asked for elsewhere. Whatever has an `@` is one, but for the
    environments of these documents."""
    if _PERSON.fullmatch(typed.strip()):
        return True
    return any(word.partition("@")[0] not in documents for word in typed.casefold().split() if "@" in word)


def search(
    backend: Backend,
    index: ConnectorIndex,
    describe: Describe,
    typed: str,
    *,
    pages: Mapping[str, str],
    limit: int,
) -> Results:
    """The first `limit` places that have all words of what was typed, the best first.

    pages: endpoint → what it is called. Raises `StoreUnavailable`.
    """
    asked = typed.strip()[:MOST_TYPED].casefold()
    if not asked:
        return Results()
    live = index.live(backend.connectors)
    if looks_like_a_person(asked, {document_of(one.name).casefold() for one in live}):
        return Results(person=True)
    words = asked.split()
    places = [*_pages(pages), *(place for one in live for place in _within(one, describe))]
    found = [msgspec.structs.replace(place, rank=_rank(place, asked)) for place in places if _has(place, words)]
    audiences = backend.audiences.page(like=asked, limit=limit + 1)
    found += [
        Found("audience", one.name or one.id, _cut(f"{one.connector}, {one.id}"), one.connector, one.id, rank=1)
        for one in audiences[:limit]
    ]
    found.sort(key=lambda one: (one.rank, _ORDER[one.kind], one.connector, one.title))
    return Results(tuple(found[:limit]), max(0, len(found) - limit), len(audiences) > limit)


_ORDER: Mapping[Kind, int] = {"connector": 0, "page": 1, "action": 2, "audience": 3, "setting": 4, "secret": 5}


def _pages(pages: Mapping[str, str]) -> Iterator[Found]:
    for endpoint, label in pages.items():
        yield Found("page", label, "", endpoint=endpoint)


def _within(connector: Connector, describe: Describe) -> Iterator[Found]:
    name = connector.name
    about = ", ".join(filter(None, (connector.title, f"adapter {connector.adapter}", connector.environment)))
    yield Found("connector", name, about, name)
    for action in connector.actions:
        yield Found("action", action.name, _cut(f"{name}: {action.trigger}, {action.operation}"), name)
    for key, value in _flat(connector.settings):
        yield Found("setting", key, _cut(f"{name}: {value}"), name)
    for secret in sorted(secret_names(connector, describe)):
        yield Found("secret", secret, name, name)


def _flat(settings: Any, path: str = "") -> Iterator[tuple[str, object]]:
    """Each value with its path: `request.headers.x`."""
    inner: Iterable[tuple[object, object]]
    if isinstance(settings, Mapping):
        inner = settings.items()
    elif isinstance(settings, list | tuple):
        inner = enumerate(settings)
    else:
        yield path, settings
        return
    for key, value in inner:
        yield from _flat(value, f"{path}.{key}" if path else str(key))


def _has(place: Found, words: list[str]) -> bool:
    text = f"{place.title} {place.detail}".casefold()
    return all(word in text for word in words)


def _rank(place: Found, asked: str) -> int:
    """0: it is called so, or begins so; 1: so does a part of its title; 2: the rest."""
    title = place.title.casefold()
    checks: tuple[Callable[[], bool], ...] = (lambda: title.startswith(asked), lambda: asked in title)
    return next((rank for rank, check in enumerate(checks) if check()), 2)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_DETAIL else f"{text[: LONGEST_DETAIL - 1]}…"
