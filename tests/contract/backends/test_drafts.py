"""Drafts: unfinished documents, which belong to whoever changes them with open eyes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from relay.backends.interfaces import DRAFTS_KEPT_S, Backend, Draft
from relay.domain.clock import Clock
from relay.domain.errors import Conflict, NotFound
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING

DRAFT = Draft(key="k/1", document="shop", by="ann", changed_at=BEGINNING, content='{"values": {"name": "shöp"}}', base=3)


def test_a_draft_is_read_as_it_was_stored_by_every_process(
    backend: Backend, opened: Callable[[Clock], Backend], clock: TurnedClock
) -> None:
    stored = backend.drafts.put(DRAFT)
    assert stored == replace(DRAFT, revision=1)
    assert opened(clock).drafts.get("k/1") == stored
    assert opened(clock).drafts.all() == [stored]


def test_a_draft_can_be_as_large_as_a_document(backend: Backend) -> None:
    large = replace(DRAFT, content="x" * 400_000)
    backend.drafts.put(large)
    assert backend.drafts.get(large.key).content == large.content


def test_each_change_is_a_revision_and_replaces_the_one_before(backend: Backend) -> None:
    first = backend.drafts.put(DRAFT)
    second = backend.drafts.put(replace(first, document="store", by="ben", changed_at=BEGINNING + 5))
    assert second.revision == 2
    assert backend.drafts.get("k/1") == second
    assert backend.drafts.all() == [second]


def test_who_changes_what_another_changed_meanwhile_is_refused(backend: Backend) -> None:
    first = backend.drafts.put(DRAFT)
    second = backend.drafts.put(replace(first, by="ben"))
    with pytest.raises(Conflict):
        backend.drafts.put(replace(first, by="cleo"))
    with pytest.raises(Conflict):
        backend.drafts.put(DRAFT)
    assert backend.drafts.get("k/1") == second


def test_a_deleted_draft_does_not_come_back_by_an_old_window(backend: Backend) -> None:
    first = backend.drafts.put(DRAFT)
    backend.drafts.delete("k/1")
    backend.drafts.delete("k/1")
    with pytest.raises(Conflict):
        backend.drafts.put(first)
    with pytest.raises(NotFound):
        backend.drafts.get("k/1")
    assert backend.drafts.all() == []


def test_drafts_are_listed_with_the_last_changed_first(backend: Backend) -> None:
    for number in (2, 1, 3):
        backend.drafts.put(replace(DRAFT, key=f"k{number}", changed_at=BEGINNING + number))
    assert [draft.key for draft in backend.drafts.all()] == ["k3", "k2", "k1"]


def test_a_draft_that_nobody_changes_is_forgotten_after_90_days(backend: Backend, clock: TurnedClock) -> None:
    backend.drafts.put(replace(DRAFT, key="old", changed_at=clock.now()))
    clock.advance(10)
    changed = backend.drafts.put(replace(DRAFT, key="changed", changed_at=clock.now() - 100 * 86_400))
    changed = backend.drafts.put(replace(changed, changed_at=clock.now()))
    clock.advance(DRAFTS_KEPT_S - 5)
    backend.tidy()
    assert backend.drafts.all() == [changed]
