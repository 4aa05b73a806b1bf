"""`interfaces.Tokens` on SQLite: tokens shared by all workers, refreshed by one at a time."""

from __future__ import annotations

import sqlite3

from relay.backends.embedded.database import Database
from relay.backends.interfaces import Token
from relay.backends.records import TOKEN
from relay.domain.clock import Clock
from relay.domain.errors import Conflict


class EmbeddedTokens:
    """A row may hold a lease before it holds a token."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def get(self, name: str) -> Token | None:
        row = self._database.row("SELECT record FROM tokens WHERE name = ? AND record IS NOT NULL", (name,))
        return TOKEN.read(row[0]) if row else None

    def lease(self, name: str, *, owner: str, for_s: float) -> bool:
        with self._database.transaction() as connection:
            now = self._clock.now()
            leased = connection.execute(
                "INSERT INTO tokens (name, owner, lease_until) VALUES (:name, :owner, :until) ON CONFLICT (name)"
                " DO UPDATE SET owner = :owner, lease_until = :until WHERE owner IN ('', :owner) OR lease_until <= :now",
                {"name": name, "owner": owner, "until": now + for_s, "now": now},
            )
            return leased.rowcount == 1

    def put(self, name: str, token: Token, *, owner: str) -> None:
        with self._database.transaction() as connection:
            # A lease that ran out without another taking it is not lost: the partner has already replaced the refresh token, and
            # to throw the new one away would close the account.
            stored = connection.execute(
                "UPDATE tokens SET record = ?, owner = '', lease_until = 0 WHERE name = ? AND owner = ?",
                (TOKEN.write(token), name, owner),
            )
            if stored.rowcount != 1:
                raise Conflict("Another worker has taken over the renewal of this token.")

    def release(self, name: str, *, owner: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("UPDATE tokens SET owner = '', lease_until = 0 WHERE name = ? AND owner = ?", (name, owner))

    def delete(self, name: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM tokens WHERE name = ?", (name,))

    def names(self, prefix: str) -> list[str]:
        found = self._database.rows("SELECT name FROM tokens WHERE name >= ? AND name < ? ORDER BY name", _range(prefix))
        return [name for (name,) in found]


def delete_all(connection: sqlite3.Connection, prefix: str) -> None:
    """Tokens and leases whose names begin so."""
    connection.execute("DELETE FROM tokens WHERE name >= ? AND name < ?", _range(prefix))


def _range(prefix: str) -> tuple[str, str]:
    return prefix, f"{prefix}\U0010ffff"
