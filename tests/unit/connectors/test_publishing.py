"""Documents become versions, versions become live, and the receiver learns of it at once."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from relay.backends.interfaces import Backend
from relay.connectors.publishing import Publishing
from relay.domain.connector import Connector, DocumentVersion, InboundDocument
from relay.domain.errors import Conflict, DocumentError, NotFound
from tests.clock import TurnedClock
from tests.unit.connectors.example import ACME, DOCUMENT, describe, hold

OTHER = DOCUMENT + "title: Acme in Europe\n"
THIRD = DOCUMENT + "title: Acme of Europe\n"
SANDBOX = DOCUMENT + "environments: {sandbox: {inbound: {hmac_secret: sandbox-hmac}}}\n"
PARTNER = DOCUMENT.replace("basic_auth: acme-basic", "basic_auth: acme-basic, audience_id: partner")


def inbound(backend: Backend) -> InboundDocument:
    document = backend.inbound.read()
    assert document is not None
    return document


def make_audience(backend: Backend, connector: str = "acme-eu") -> None:
    backend.audiences.claim_creation(connector, "a1", owner="me", for_s=10, name="VIPs", customer=None)
    backend.audiences.created(connector, "a1", partner_id="p1")


def audit(backend: Backend) -> list[tuple[str, str, str, str]]:
    return [(entry.by, entry.what, entry.subject, entry.detail) for entry in reversed(backend.audit.newest())]


# applying


def test_applying_makes_a_version_and_publishes_it(publishing: Publishing, backend: Backend, clock: TurnedClock) -> None:
    version = publishing.apply(DOCUMENT, note="first")
    assert (version.number, version.document, version.text, version.by, version.note) == (1, "acme-eu", DOCUMENT, "ada", "first")
    assert version.at == clock.now()
    assert version.published_at
    assert publishing.live("acme-eu").document_version == 1
    assert backend.connectors.version("acme-eu", 1).connectors[0].document_version == 1


def test_a_wrong_document_changes_nothing(publishing: Publishing, backend: Backend) -> None:
    with pytest.raises(DocumentError):
        publishing.apply(DOCUMENT + "colour: red\n")
    assert backend.connectors.documents() == []
    assert audit(backend) == []


def test_a_draft_is_stored_and_does_not_run(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(DOCUMENT)
    draft = publishing.apply(OTHER, draft=True)
    assert (draft.number, draft.published_at) == (2, 0)
    assert publishing.live("acme-eu").title == ""
    publishing.publish("acme-eu", 2)
    assert publishing.live("acme-eu").title == "Acme in Europe"


def test_the_first_version_can_be_a_draft(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(DOCUMENT, draft=True)
    with pytest.raises(NotFound):
        publishing.live("acme-eu")
    assert publishing.all_live() == []
    assert publishing.apply(DOCUMENT).number == 1
    assert publishing.live("acme-eu").document_version == 1


def test_the_same_text_makes_no_new_version(publishing: Publishing, backend: Backend) -> None:
    first = publishing.apply(DOCUMENT)
    assert publishing.apply(DOCUMENT) == first
    assert publishing.apply(DOCUMENT, draft=True) == first
    assert len(backend.connectors.versions("acme-eu")) == 1
    assert [what for _by, what, *_rest in audit(backend)] == ["apply"]


def test_applying_the_text_of_the_newest_draft_publishes_it(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(DOCUMENT)
    publishing.apply(OTHER, draft=True)
    assert publishing.apply(OTHER).number == 2
    assert publishing.live("acme-eu").document_version == 2


def test_applying_what_runs_leaves_a_newer_draft_a_draft(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(DOCUMENT)
    publishing.apply(OTHER, draft=True)
    assert publishing.apply(DOCUMENT).number == 1
    assert publishing.live("acme-eu").document_version == 1


def test_the_text_of_an_older_version_makes_a_new_one(publishing: Publishing) -> None:
    publishing.apply(DOCUMENT)
    publishing.apply(OTHER)
    assert publishing.apply(DOCUMENT).number == 3


def test_the_same_text_makes_a_new_version_when_it_means_something_else_by_now(backend: Backend, publishing: Publishing) -> None:
    publishing.apply(DOCUMENT)
    smaller = replace(ACME, limits=replace(ACME.limits, max_items=10))
    assert Publishing(backend, lambda _name, _settings=None: smaller, "ada").apply(DOCUMENT).number == 2
    assert publishing.live("acme-eu").limits.batch.max_items == 10


class _AppliesInBetween(Publishing):
    """Another person applies a document while this one's is being looked at."""

    def __init__(self, backend: Backend, other: Publishing, text: str) -> None:
        super().__init__(backend, describe, "bob")
        self._other = other
        self._text = text

    def _refuse_other_modes(self, versions: list[DocumentVersion], connectors: Iterable[Connector]) -> None:
        super()._refuse_other_modes(versions, connectors)
        if self._text:
            text, self._text = self._text, ""
            self._other.apply(text)


@pytest.mark.parametrize("first", [[], [DOCUMENT]])
def test_of_two_who_apply_at_once_each_makes_a_version_and_the_last_is_heard(
    publishing: Publishing, backend: Backend, first: list[str]
) -> None:
    for text in first:
        publishing.apply(text)
    applied = _AppliesInBetween(backend, publishing, OTHER).apply(THIRD)
    versions = backend.connectors.versions("acme-eu")
    assert [one.text for one in versions] == [*first, OTHER, THIRD]
    assert [one.connectors[0].document_version for one in versions] == [one.number for one in versions]
    assert applied == versions[-1]
    assert publishing.live("acme-eu") == applied.connectors[0]


def test_environments_are_connectors_of_their_own(publishing: Publishing) -> None:
    publishing.apply(SANDBOX)
    assert sorted(connector.name for connector in publishing.all_live()) == ["acme-eu", "acme-eu@sandbox"]
    assert publishing.live("acme-eu@sandbox").inbound.hmac_secret == "sandbox-hmac"
    publishing.apply(DOCUMENT)
    with pytest.raises(NotFound):
        publishing.live("acme-eu@sandbox")


def test_a_connector_that_is_not_there(publishing: Publishing) -> None:
    with pytest.raises(NotFound):
        publishing.live("nobody")


# the mode is fixed


def test_the_mode_can_change_while_there_is_no_audience(publishing: Publishing) -> None:
    publishing.apply(DOCUMENT)
    publishing.apply(PARTNER)
    assert publishing.live("acme-eu").inbound.audience_id == "partner"


@pytest.mark.parametrize("draft", [True, False])
def test_the_mode_is_fixed_once_an_audience_exists(publishing: Publishing, backend: Backend, draft: bool) -> None:
    publishing.apply(DOCUMENT)
    make_audience(backend)
    with pytest.raises(Conflict, match="stays 'own'"):
        publishing.apply(PARTNER, draft=draft)
    assert len(backend.connectors.versions("acme-eu")) == 1
    publishing.apply(OTHER)


def test_neither_publishing_nor_rolling_back_changes_a_fixed_mode(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(PARTNER)
    publishing.apply(DOCUMENT)
    make_audience(backend)
    with pytest.raises(Conflict):
        publishing.rollback("acme-eu")
    with pytest.raises(Conflict):
        publishing.publish("acme-eu", 1)
    assert publishing.live("acme-eu").document_version == 2


def test_after_a_rollback_the_mode_that_counts_is_the_one_that_runs(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(DOCUMENT)
    publishing.apply(PARTNER)
    publishing.rollback("acme-eu")
    make_audience(backend)
    publishing.apply(OTHER)
    with pytest.raises(Conflict, match="stays 'own'"):
        publishing.publish("acme-eu", 2)


# rolling back, comparing, deleting


def test_rolling_back_goes_to_the_version_that_was_published_before(publishing: Publishing) -> None:
    publishing.apply(DOCUMENT)
    publishing.apply(OTHER, draft=True)
    publishing.apply(THIRD)
    assert publishing.rollback("acme-eu").number == 1
    with pytest.raises(NotFound):
        publishing.rollback("acme-eu")
    assert publishing.rollback("acme-eu", 3).number == 3
    assert publishing.live("acme-eu").document_version == 3


@pytest.mark.parametrize(("document", "number"), [("acme-eu", 9), ("nobody", 1), ("nobody", None)])
def test_rolling_back_to_what_is_not_there(publishing: Publishing, document: str, number: int | None) -> None:
    publishing.apply(DOCUMENT)
    with pytest.raises(NotFound):
        publishing.rollback(document, number)


def test_a_diff_shows_the_lines_that_changed(publishing: Publishing) -> None:
    publishing.apply(DOCUMENT)
    publishing.apply(OTHER)
    lines = publishing.diff("acme-eu", 1, 2).splitlines()
    assert lines[:2] == ["--- acme-eu version 1", "+++ acme-eu version 2"]
    assert [line for line in lines[2:] if line.startswith(("+", "-"))] == ["+title: Acme in Europe"]
    assert publishing.diff("acme-eu", 1, 1) == ""
    with pytest.raises(NotFound):
        publishing.diff("acme-eu", 1, 7)


def test_deleting_removes_the_connectors_and_their_audiences(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(SANDBOX)
    make_audience(backend)
    publishing.delete("acme-eu")
    assert backend.connectors.documents() == []
    assert backend.audiences.all() == []
    assert inbound(backend).connectors == ()
    with pytest.raises(NotFound):
        publishing.delete("acme-eu")


def test_a_document_whose_connector_holds_batches_is_not_deleted(
    publishing: Publishing, backend: Backend, clock: TurnedClock
) -> None:
    publishing.apply(DOCUMENT)
    hold(backend, clock, "paused")
    with pytest.raises(Conflict):
        publishing.delete("acme-eu")
    assert publishing.live("acme-eu")
    assert backend.audiences.all()


# switches


def test_a_connector_is_switched_off_and_on(publishing: Publishing) -> None:
    publishing.apply(DOCUMENT)
    assert publishing.set_enabled("acme-eu", False).enabled is False
    assert [connector.name for connector in publishing.all_live()] == ["acme-eu"]
    assert publishing.set_enabled("acme-eu", True).enabled is True
    with pytest.raises(NotFound):
        publishing.set_enabled("nobody", True)


def test_an_action_is_switched_off_and_on(publishing: Publishing) -> None:
    publishing.apply(DOCUMENT)
    assert publishing.set_action("acme-eu", "Add", "paused").actions == {"Add": "paused"}
    assert publishing.set_action("acme-eu", "Add", "skipped").actions == {"Add": "skipped"}
    assert publishing.set_action("acme-eu", "Add", None).actions == {}
    with pytest.raises(NotFound, match="Did you mean 'Add'"):
        publishing.set_action("acme-eu", "Ad", "paused")


def test_a_switch_can_be_taken_away_after_its_action_is_gone(publishing: Publishing) -> None:
    publishing.apply(DOCUMENT)
    publishing.set_action("acme-eu", "Remove", "paused")
    publishing.apply(DOCUMENT.replace("name: Remove", "name: Take out"))
    assert publishing.set_action("acme-eu", "Remove", None).actions == {}


# the audit


def test_every_change_is_in_the_audit_without_values(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(DOCUMENT)
    publishing.apply(OTHER, draft=True)
    publishing.publish("acme-eu", 2)
    publishing.rollback("acme-eu")
    publishing.set_enabled("acme-eu", False)
    publishing.set_enabled("acme-eu", True)
    publishing.set_action("acme-eu", "Add", "paused")
    publishing.set_action("acme-eu", "Add", None)
    publishing.set_default("acme-eu")
    publishing.set_secret("acme-hmac", "hunter2")
    publishing.rotate_secret("acme-hmac", "hunter2hunter2")
    publishing.retire_secret("acme-hmac")
    publishing.delete("acme-eu")
    assert audit(backend) == [
        ("ada", "apply", "acme-eu", "version 1"),
        ("ada", "draft", "acme-eu", "version 2"),
        ("ada", "publish", "acme-eu", "version 2"),
        ("ada", "rollback", "acme-eu", "version 2 to version 1"),
        ("ada", "disable", "acme-eu", ""),
        ("ada", "enable", "acme-eu", ""),
        ("ada", "action", "acme-eu", "Add: paused"),
        ("ada", "action", "acme-eu", "Add: on"),
        ("ada", "default", "acme-eu", ""),
        ("ada", "set secret", "acme-hmac", ""),
        ("ada", "rotate secret", "acme-hmac", ""),
        ("ada", "retire secret", "acme-hmac", ""),
        ("ada", "delete", "acme-eu", ""),
    ]
