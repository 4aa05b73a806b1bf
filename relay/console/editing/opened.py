"""The draft that a visitor works on: opened for a page, saved with what was typed."""

from __future__ import annotations

import secrets as chance
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from adapters.contract import Description
from adapters.registry import describe
from relay.backends.drafts import overtaken
from relay.backends.interfaces import Draft
from relay.connectors.drafts import Problem, Unfinished, decoded, description_of, encoded, problems_of
from relay.console.parts import backend, now, visitor
from relay.domain.errors import Conflict

MAX_BYTES = 900_000
"""Largest content of a draft, as it is stored: Firestore takes a document of 1 MiB, with all that belongs to it
(https://cloud.google.com/firestore/quotas#limits)."""


class Opened(NamedTuple):
    """A draft, what is in it, and what its adapter asks for so far; None while there is no adapter that is known."""

    draft: Draft
    unfinished: Unfinished
    description: Description | None

    @property
    def name(self) -> str:
        """What the document is called so far."""
        return str(self.unfinished.values.get("name") or "")

    @property
    def document(self) -> str:
        """The document that it becomes the next version of; empty: it is to be a new one."""
        return self.name if self.name == self.unfinished.began else ""

    def problems(self) -> list[Problem]:
        """Everything that is wrong with it, also that it would take the place of another document."""
        wrong = problems_of(self.unfinished, describe)
        if self.name and not self.document and self.name in backend().connectors.documents():
            sentence = f"There is a connector '{self.name}' already, from which this draft was not begun. Choose another name."
            wrong.insert(0, Problem("name", sentence))
        return wrong


def open_draft(key: str) -> Opened:
    """Raises `NotFound`."""
    return _opened(backend().drafts.get(key))


def begin_draft(unfinished: Unfinished, *, base: int = 0) -> Opened:
    """A new draft, in the visitor's name. `base`: number of the version that it begins from."""
    name = str(unfinished.values.get("name") or "")
    unfinished = replace(unfinished, began=name if base else "")
    draft = Draft(
        key=chance.token_urlsafe(12),
        document=name,
        by=visitor().name,
        changed_at=now(),
        content=_content(unfinished),
        base=base,
    )
    stored = backend().drafts.put(draft)
    backend().audit.add(by=visitor().name, what="begin draft", subject=stored.document or "(no name yet)")
    return _opened(stored)


def save(opened: Opened, unfinished: Unfinished) -> Opened:
    """Keeps what was changed; nothing happens where nothing was. Raises `Conflict` where somebody else was faster, `TooLarge`."""
    unfinished = replace(unfinished, began=opened.unfinished.began)
    if unfinished == opened.unfinished:
        return opened
    draft = replace(
        opened.draft,
        document=str(unfinished.values.get("name") or ""),
        by=visitor().name,
        changed_at=now(),
        content=_content(unfinished),
    )
    return _opened(backend().drafts.put(draft))


def require_seen(opened: Opened, form: Mapping[str, str]) -> None:
    """Raises `Conflict` for a form that shows an older state of the draft than there is now."""
    if form.get("revision") != str(opened.draft.revision):
        raise overtaken()


class TooLarge(Conflict):
    """A draft that cannot be kept."""


def _content(unfinished: Unfinished) -> str:
    content = encoded(unfinished)
    # It is a text inside of the stored record, with its quotation marks escaped.
    size = len(msgspec.json.encode(content))
    if size > MAX_BYTES:
        raise TooLarge(
            f"With this the draft would have {size // 1000:,} KB, and at most {MAX_BYTES // 1000} KB can be kept. Nothing was "
            "saved: take something out, such as long lists, and save again."
        )
    return content


def _opened(draft: Draft) -> Opened:
    unfinished = decoded(draft.content)
    return Opened(draft, unfinished, description_of(unfinished, describe))


