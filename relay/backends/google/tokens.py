"""`interfaces.Tokens` on Firestore: tokens shared by all workers, refreshed by one at a time.

tokens/{name}: name, as it is; owner and lease_until of the lease (empty and 0: none); record of the token (none before the first
was stored).
"""

from __future__ import annotations

from relay.backends.google.documents import Documents, Query, Write
from relay.backends.google.names import safe_name
from relay.backends.interfaces import Token
from relay.backends.records import TOKEN
from relay.domain.clock import Clock
from relay.domain.errors import Conflict

_TOKENS = "tokens"


class GoogleTokens:
    """Reads and writes of one document. `get` and a lease that another has: one read; a lease, its end and `put`: one read, one
    write; `names`: one read for each of them."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    def get(self, name: str) -> Token | None:
        stored = self._documents.get(_path(name))
        record = stored.fields.get("record") if stored else None
        return TOKEN.read(record.encode()) if record else None

    def lease(self, name: str, *, owner: str, for_s: float) -> bool:
        def lease() -> bool:
            stored = self._documents.get(_path(name))
            now = self._clock.now()
            leased = {"name": name, "owner": owner, "lease_until": now + for_s}
            if stored is None:
                self._documents.commit([Write(_path(name), fields=leased, exists=False)])
                return True
            if stored.fields["owner"] not in ("", owner) and stored.fields["lease_until"] > now:
                return False
            self._documents.commit([Write(_path(name), "merge", leased, updated=stored.updated)])
            return True

        return self._documents.change(lease)

    def put(self, name: str, token: Token, *, owner: str) -> None:
        fields = {"name": name, "owner": "", "lease_until": 0.0, "record": TOKEN.write(token).decode()}
        tried = False

        def put() -> None:
            nonlocal tried
            stored = self._documents.get(_path(name))
            if tried and stored is not None and stored.fields == fields:
                return  # it was stored at the first try, whose confirmation got lost
            # A lease that ran out without another taking it is not lost: the partner has already replaced the refresh token, and
            # to throw the new one away would close the account.
            if stored is None or stored.fields["owner"] != owner:
                raise Conflict("Another worker has taken over the renewal of this token.")
            tried = True
            self._documents.commit([Write(_path(name), fields=fields, updated=stored.updated)])

        self._documents.change(put)

    def release(self, name: str, *, owner: str) -> None:
        def release() -> None:
            stored = self._documents.get(_path(name))
            if stored is not None and stored.fields["owner"] == owner:
                self._documents.commit(
                    [Write(_path(name), "merge", {"owner": "", "lease_until": 0.0}, updated=stored.updated)]
                )

        self._documents.change(release)

    def delete(self, name: str) -> None:
        self._documents.commit([Write(_path(name), "delete")])

    def names(self, prefix: str) -> list[str]:
        between = [("name", ">=", prefix), ("name", "<", f"{prefix}\U0010ffff")]
        found = self._documents.query(Query(_TOKENS, where=between, order=["name"], fields=["name"]))
        return [stored.fields["name"] for stored in found]


def _path(name: str) -> str:
    return f"{_TOKENS}/{safe_name(name)}"
