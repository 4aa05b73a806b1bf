"""`interfaces.Connectors` on Firestore: documents with versions, the state of connectors, and their rates."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from typing import Protocol

from msgspec.structs import replace

from relay.backends.google import connector_documents as docs
from relay.backends.google.admission import Admission
from relay.backends.google.documents import Changed, Documents, Query, Stored, Write
from relay.backends.google.failures import NO_BUCKET
from relay.backends.google.tokens import GoogleTokens
from relay.backends.google.values import moment as timestamp
from relay.backends.interfaces import DRAFTS_KEPT_S, Turn
from relay.backends.records import DOCUMENT_VERSION
from relay.domain import switches
from relay.domain.audience import Audience, HoldReason
from relay.domain.clock import Clock
from relay.domain.connector import ActionSwitch, ConnectorState, DocumentVersion, RateLimits
from relay.domain.errors import ConfigurationError, Conflict, NotFound
from relay.domain.feed import logins_of

LARGEST_RECORD = 1_000_000
"""Bytes of a version. Firestore takes 1 MiB in a document, its name and other fields included
(https://firebase.google.com/docs/firestore/quotas#collections_documents_and_fields)."""

_GATHERING: tuple[HoldReason, ...] = ("gathering",)

_AT_ONCE = 300
"""Documents that are deleted in one commit."""


class HeldAudiences(Protocol):
    """What connectors ask of the audiences."""

    def held(self, connector: str | None = None) -> list[Audience]:
        """See `interfaces.Audiences`."""
        ...

    def make_due(self, connector: str, audience_id: str | None = None, *, reasons: Collection[HoldReason] | None = None) -> int:
        """See `interfaces.Audiences`."""
        ...

    def forget(self, connector: str) -> None:
        """Deletes the records of a connector's audiences, except those that hold batches."""
        ...


class GoogleConnectors:
    """Reads are strongly consistent; whoever writes what he has read does so on condition that it is still so."""

    def __init__(self, documents: Documents, clock: Clock, audiences: HeldAudiences, *, journal_bucket: str = "") -> None:
        """journal_bucket: without one no version goes live that says `retention.journal`."""
        self._documents = documents
        self._clock = clock
        self._journal_bucket = journal_bucket
        self._audiences = audiences
        self._admission = Admission(documents, clock)
        self._tokens = GoogleTokens(documents, clock)

    # documents
    def documents(self) -> list[str]:
        return _names(self._documents.get(docs.SETTINGS))

    def versions(self, document: str) -> list[DocumentVersion]:
        found = self._documents.query(Query(docs.versions_path(document), order=["number"]))
        if not found:
            raise _no_such_document(document)
        return [docs.version_of(stored) for stored in found]

    def newest(self, document: str) -> int:
        stored = self._documents.get(docs.document_path(document))
        if stored is None or not stored.fields.get("newest"):
            raise _no_such_document(document)
        return int(stored.fields["newest"])

    def version(self, document: str, number: int) -> DocumentVersion:
        stored = self._documents.get(docs.version_path(document, number))
        if stored is None:
            raise _no_such_version(document, number)
        return docs.version_of(stored)

    def versions_at(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], DocumentVersion]:
        paths = {docs.version_path(*place): place for place in places}
        return {paths[path]: docs.version_of(stored) for path, stored in self._documents.get_all(paths).items()}

    def add_version(self, document: DocumentVersion) -> DocumentVersion:
        name = document.document
        path = docs.document_path(name)
        writer = uuid.uuid4().hex
        tried: DocumentVersion | None = None

        def add() -> DocumentVersion:
            nonlocal tried
            found = self._documents.get_all([path, docs.SETTINGS])
            entry, settings = found.get(path), found.get(docs.SETTINGS)
            newest: int = entry.fields["newest"] if entry else 0
            if tried is not None and tried.number <= newest and self._was_written(tried, writer):
                return tried  # it was written at the first try, whose confirmation got lost
            number = newest + 1
            connectors = tuple(replace(connector, document_version=number) for connector in document.connectors)
            tried = replace(document, number=number, connectors=connectors)
            record = _record(tried)
            if len(record.encode()) > LARGEST_RECORD:
                raise _too_large(tried, len(record.encode()))
            # A draft is kept so long, and for ever while it is the newest version: only then can Firestore delete it by itself.
            kept_until = timestamp(document.at + DRAFTS_KEPT_S)
            fields = {"number": number, "record": record, "writer": writer, "kept_until": kept_until}
            counted = docs.unless_changed(Write(path, "merge", {"name": name, "newest": number}), entry)
            writes = [counted, Write(docs.version_path(name, number), fields=fields)]
            if entry is None:
                listed = Write(docs.SETTINGS, "merge", {"documents": [*_names(settings), name]})
                writes.append(docs.unless_changed(listed, settings))
            self._documents.commit([*writes, *self._superseded_draft(name, newest)])
            return tried

        return self._documents.change(add)

    def publish(self, document: str, number: int) -> None:
        names = self._documents.change(lambda: self._make_live(document, number))
        # Afterwards, so that what was gathered is not sent by the version before. One who dies here has published; the holds are
        # due at their own time at the latest, and at once when it is published again.
        for name in names:
            self._audiences.make_due(name, reasons=_GATHERING)

    def delete(self, document: str) -> None:
        # The connectors are switched off first: what comes from now on joins a hold, and no record with a hold is forgotten. The
        # document goes last, with its last versions, so that one who dies on the way can be followed by one who deletes again;
        # it remembers its connectors, whose states are gone by then.
        path = docs.document_path(document)
        begun = False

        def delete() -> None:
            nonlocal begun
            entry = self._documents.get(path)
            if entry is None and not begun:
                raise _no_such_document(document)
            begun = True
            # If it was there and is gone now, the first try succeeded, or somebody else deleted it at the same time.
            if entry is not None:
                self._delete(document, entry)

        self._documents.change(delete)

    # states
    def state(self, connector: str) -> ConnectorState:
        state = docs.load_state(self._documents, connector)
        if state is None:
            raise _no_such_connector(connector)
        return state

    def states(self) -> list[ConnectorState]:
        found = self._documents.query(Query(docs.STATES))
        return sorted((docs.state_of(stored) for stored in found), key=lambda state: state.name)

    def set_enabled(self, connector: str, enabled: bool) -> ConnectorState:
        return self._change(connector, lambda state: replace(state, enabled=enabled))

    def set_paused(self, connector: str, paused: bool) -> ConnectorState:
        return self._change(connector, lambda state: replace(state, paused=paused))

    def set_action(self, connector: str, action: str, switch: ActionSwitch | None) -> ConnectorState:
        return self._change(connector, lambda state: switches.with_action(state, action, switch))

    def not_before(self, connector: str, moment: float, *, reason: HoldReason, detail: str) -> None:
        now = self._clock.now()
        self._change(
            connector, lambda state: switches.postponed(state, moment, reason=reason, detail=detail, now=now)
        )

    def admit(self, connector: str, rate: RateLimits, *, items: int, turn: Turn | None = None) -> float:
        return self._admission.admit(connector, rate, items=items, turn=turn)

    # the default
    def default(self) -> str:
        settings = self._documents.get(docs.SETTINGS)
        return _chosen(settings) or next(iter(_names(settings)), "")

    def set_default(self, document: str) -> None:
        def choose() -> None:
            settings = self._documents.get(docs.SETTINGS)
            if settings is None or document not in _names(settings):
                raise _no_such_document(document)
            self._documents.commit([Write(docs.SETTINGS, "merge", {"document": document}, updated=settings.updated)])

        self._documents.change(choose)

    # the parts of these

    def _was_written(self, version: DocumentVersion, writer: str) -> bool:
        path = docs.version_path(version.document, version.number)
        stored = self._documents.get_all([path], fields=["writer"]).get(path)
        return stored is not None and stored.fields.get("writer") == writer

    def _superseded_draft(self, document: str, newest: int) -> list[Write]:
        """What lets the version that was the newest so far go in its time, if it was never published."""
        path = docs.version_path(document, newest)
        found = self._documents.get_all([path] if newest else [], fields=["kept_until"])
        return [
            Write(path, "merge", {"expire_at": before.fields["kept_until"]}, updated=before.updated)
            for before in found.values()
            if "kept_until" in before.fields
        ]

    def _make_live(self, document: str, number: int) -> set[str]:
        """The connectors, those that stop among them. One commit: no turn finds one connector at the new version and another at
        the old one."""
        path, version_path = docs.document_path(document), docs.version_path(document, number)
        found = self._documents.get_all([path, version_path])
        if path not in found or version_path not in found:
            raise _no_such_version(document, number)
        entry, stored = found[path], found[version_path]
        now = self._clock.now()
        version = replace(docs.version_of(stored), published_at=now)
        known = docs.states_within(self._documents, document)
        names = {connector.name for connector in version.connectors}
        days = {connector.name: connector.retention.journal_days for connector in version.connectors}
        if any(days.values()) and not self._journal_bucket:
            raise _no_bucket(document)
        days_before = self._journal_days(document, [state for _, state in known.values()])
        writes = [
            # Counted, so that it differs whatever is published: of two who publish, or publish and delete, one starts again.
            Write(path, "merge", {"name": document}, add={"publications": 1}, updated=entry.updated),
            Write(version_path, fields={"number": number, "record": _record(version)}, updated=stored.updated),
        ]
        for name in names - known.keys():
            state = switches.published(ConnectorState(name=name), number, days_before=0, days=days[name], now=now)
            writes.append(docs.state_write(state, document, None))
        for name, (before, state) in known.items():
            after = switches.published(
                state, number if name in names else 0, days_before=days_before.get(name, 0), days=days.get(name, 0), now=now
            )
            writes.append(docs.state_write(after, document, before))
        self._documents.commit(writes)
        return names | known.keys()

    def _journal_days(self, document: str, states: Collection[ConnectorState]) -> dict[str, int]:
        """For how many days the connectors that have a journal keep it, by what runs until now."""
        numbers = {state.live for state in states if state.journal_since}
        found = self._documents.get_all([docs.version_path(document, number) for number in numbers])
        live = {(state.name, state.live) for state in states}
        return {
            connector.name: connector.retention.journal_days
            for version in map(docs.version_of, found.values())
            for connector in version.connectors
            if (connector.name, version.number) in live
        }

    def _delete(self, document: str, entry: Stored) -> None:
        states = docs.states_within(self._documents, document)
        leaving = sorted({*states, *entry.fields.get("leaving", [])})
        self._refuse_while_held(document, leaving)
        gone = [Write(stored.path, "delete") for stored, _ in states.values()]
        rates = [Write(docs.rate_path(name), "delete") for name in leaving]
        remembered = Write(entry.path, "merge", {"leaving": leaving}, updated=entry.updated)
        self._documents.commit([*gone, *rates, remembered])
        for name in leaving:
            self._audiences.forget(name)
            for token in self._tokens.names(logins_of(name)):
                self._tokens.delete(token)
        self._remove(document)

    def _refuse_while_held(self, document: str, connectors: list[str]) -> None:
        holding = [audience for name in connectors for audience in self._audiences.held(name)]
        if holding:
            raise Conflict(
                f"Changes that were not delivered still wait in {len(holding):,} {'hold' if len(holding) == 1 else 'holds'} of "
                f"{document!r} (for instance of connector {holding[0].connector!r}). Resume or discard them first."
            )

    def _remove(self, document: str) -> None:
        """Removes versions and document. Raises `Changed` where it was published since its states were deleted."""
        path = docs.document_path(document)
        found = self._documents.get_all([path, docs.SETTINGS])
        if docs.states_within(self._documents, document):
            raise Changed
        entry, settings = found.get(path), found.get(docs.SETTINGS)
        if entry is None:
            return
        versions = self._documents.query(Query(docs.versions_path(document), order=["number"], fields=()))
        deleted = [Write(stored.path, "delete") for stored in versions]
        while len(deleted) > _AT_ONCE:
            self._documents.commit(deleted[:_AT_ONCE])
            deleted = deleted[_AT_ONCE:]
        listed: dict[str, object] = {"documents": [name for name in _names(settings) if name != document]}
        if _chosen(settings) not in ("", document):
            listed["document"] = _chosen(settings)
        unlisted = docs.unless_changed(Write(docs.SETTINGS, fields=listed), settings)
        self._documents.commit([*deleted, Write(path, "delete", updated=entry.updated), unlisted])

    def _change(self, connector: str, change: Callable[[ConnectorState], ConnectorState]) -> ConnectorState:
        def change_once() -> ConnectorState:
            stored = self._documents.get(docs.state_path(connector))
            if stored is None:
                raise _no_such_connector(connector)
            before = docs.state_of(stored)
            after = change(before)
            if after != before:
                writes = [docs.state_write(after, stored.fields["document"], stored)]
                if after.not_before != before.not_before:
                    writes.append(docs.fence_write(after))
                self._documents.commit(writes)
            return after

        return self._documents.change(change_once)


def _names(settings: Stored | None) -> list[str]:
    names: list[str] = settings.fields.get("documents", []) if settings else []
    return names


def _chosen(settings: Stored | None) -> str:
    chosen: str = settings.fields.get("document", "") if settings else ""
    return chosen


def _record(version: DocumentVersion) -> str:
    return DOCUMENT_VERSION.write(version).decode()


def _too_large(version: DocumentVersion, size: int) -> ConfigurationError:
    return ConfigurationError(
        f"The next version of {version.document!r} would take {size:,} bytes; Firestore keeps at most {LARGEST_RECORD:,} in one. "
        "Shorten its texts and lists."
    )


def _no_bucket(document: str) -> ConfigurationError:
    return ConfigurationError(f"Connector {document!r} says retention.journal. {NO_BUCKET}")


def _no_such_connector(connector: str) -> NotFound:
    return NotFound(f"There is no connector {connector!r}, or it was never published.")


def _no_such_document(document: str) -> NotFound:
    return NotFound(f"There is no connector {document!r}.")


def _no_such_version(document: str, number: int) -> NotFound:
    return NotFound(f"Connector {document!r} has no version {number}.")
