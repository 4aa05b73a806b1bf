"""`interfaces.Drafts` on SQLite."""

from __future__ import annotations

from msgspec.structs import replace

from relay.backends.drafts import no_draft, overtaken
from relay.backends.embedded.database import Database
from relay.backends.interfaces.drafts import Draft
from relay.backends.records import DRAFT


class EmbeddedDrafts:
    """Unfinished documents."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, draft: Draft) -> Draft:
        stored = replace(draft, revision=draft.revision + 1)
        row = {"key": stored.key, "before": draft.revision, "revision": stored.revision, "at": stored.changed_at,
               "record": DRAFT.write(stored)}  # fmt: skip
        with self._database.transaction() as connection:
            if draft.revision:
                sql = (
                    "UPDATE drafts SET revision = :revision, changed_at = :at, record = :record"
                    " WHERE key = :key AND revision = :before"
                )
            else:
                sql = "INSERT OR IGNORE INTO drafts (key, revision, changed_at, record) VALUES (:key, :revision, :at, :record)"
            if connection.execute(sql, row).rowcount != 1:
                raise overtaken()
        return stored

    def get(self, key: str) -> Draft:
        row = self._database.row("SELECT record FROM drafts WHERE key = ?", (key,))
        if row is None:
            raise no_draft()
        return DRAFT.read(row[0])

    def all(self) -> list[Draft]:
        found = self._database.rows("SELECT record FROM drafts ORDER BY changed_at DESC, key")
        return [DRAFT.read(record) for (record,) in found]

    def delete(self, key: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM drafts WHERE key = ?", (key,))
