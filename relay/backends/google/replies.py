"""`interfaces.Replies` on Firestore.

replies/{request ID}-{part}: record; expire_at (a timestamp, for the policy that deletes it).
"""

from __future__ import annotations

from relay.backends.google.documents import Documents, Write
from relay.backends.google.names import safe_name
from relay.backends.google.values import moment
from relay.backends.records import REPLY
from relay.domain.reply import KEPT_S, Reply

REPLIES = "replies"


class GoogleReplies:
    """A document for each reply."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def give(self, reply: Reply) -> None:
        fields = {"record": REPLY.write(reply).decode(), "expire_at": moment(reply.at + KEPT_S)}
        self._documents.commit([Write(_path(reply.request_id, reply.part), fields=fields)])

    def find(self, request_id: str, part: int) -> Reply | None:
        stored = self._documents.get(_path(request_id, part))
        return REPLY.read(stored.fields["record"].encode()) if stored else None


def _path(request_id: str, part: int) -> str:
    return f"{REPLIES}/{safe_name(f'{request_id}-{part}')}"
