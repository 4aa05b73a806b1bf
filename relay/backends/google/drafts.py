"""`interfaces.Drafts` on Firestore: drafts/{key} with the record, its revision and when it was changed."""

from __future__ import annotations

from msgspec.structs import replace

from relay.backends.drafts import no_draft, overtaken
from relay.backends.google.documents import Changed, Documents, Query, Write
from relay.backends.google.names import safe_name
from relay.backends.interfaces.drafts import Draft
from relay.backends.records import DRAFT

DRAFTS = "drafts"


class GoogleDrafts:
    """Unfinished documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def put(self, draft: Draft) -> Draft:
        stored = replace(draft, revision=draft.revision + 1)
        fields = {"record": DRAFT.write(stored).decode(), "revision": stored.revision, "changed_at": stored.changed_at}
        there = self._documents.get(_path(draft.key))
        if (there.fields["revision"] if there else 0) != draft.revision:
            raise overtaken()
        condition = {"updated": there.updated} if there else {"exists": False}
        try:
            self._documents.commit([Write(_path(draft.key), fields=fields, **condition)])
        except Changed:
            now = self._documents.get(_path(draft.key))
            if now is None or now.fields != fields:  # else it was stored at a first try, whose confirmation got lost
                raise overtaken() from None
        return stored

    def get(self, key: str) -> Draft:
        found = self._documents.get(_path(key))
        if found is None:
            raise no_draft()
        return DRAFT.read(found.fields["record"].encode())

    def all(self) -> list[Draft]:
        found = self._documents.query(Query(DRAFTS, order=["-changed_at"], fields=("record",)))
        return [DRAFT.read(stored.fields["record"].encode()) for stored in found]

    def delete(self, key: str) -> None:
        self._documents.commit([Write(_path(key), "delete")])


def _path(key: str) -> str:
    return f"{DRAFTS}/{safe_name(key)}"
