"""The journal's bucket as Pub/Sub's subscriptions leave it, written by hand: what each object holds, and when it was taken."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace

from relay.backends.google.channels import Channels
from relay.backends.google.journal import GoogleJournal
from relay.backends.google.journal_order import KEPT_BYTES
from relay.backends.google.names import safe_name
from relay.configuration import read
from relay.domain.message import Message, Mutation, Replay, encode
from relay.local_run.cloud_storage import StorageServer
from relay.local_run.journal_export import written
from relay.local_run.kept_objects import KeptObjects
from tests.clock import TurnedClock

BEGAN = 1_800_000_000.0
BATCH_S = 60.0
BUCKET = "the-journal"


def batch(
    *users: str,
    audience: str = "a",
    connector: str = "acme",
    request_id: str = "",
    part: int = 0,
    received_at: float = BEGAN,
) -> Message:
    """A batch in which these users joined, of a request of its own."""
    return Message(
        version=1,
        kind="change",
        connector=connector,
        audience=audience,
        request_id=request_id or uuid.uuid4().hex,
        received_at=received_at,
        part=part,
        mutations=tuple(Mutation(index=index, user={"id": user}) for index, user in enumerate(users)),
        journal_days=7,
    )


def replay(audience: str = "a", connector: str = "acme") -> Message:
    """The message of a replay."""
    return Message(
        version=1,
        kind="replay",
        connector=connector,
        audience=audience,
        request_id="replay",
        received_at=BEGAN,
        replay=Replay(since=0.0),
        journal_days=7,
    )


def micros(at: float) -> int:
    """As a position of the queue."""
    return round(at * 1_000_000)


class JournalBucket:
    """A bucket and what reads it."""

    def __init__(self, server: StorageServer, clock: TurnedClock) -> None:
        self.server = server
        self.kept: KeptObjects = server.make(BUCKET)
        self.clock = clock
        self.journal = self.opened()

    def turn_to(self, moment: float) -> None:
        """It is this moment, by the clock of whoever reads."""
        self.clock.advance(moment - self.clock.now())

    def opened(self, *, kept_bytes: int = KEPT_BYTES, **variables: str) -> GoogleJournal:
        """As another process has it. variables: other than as they are."""
        place = {
            "BACKEND": "google",
            "GOOGLE_CLOUD_PROJECT": "p",
            "JOURNAL_BUCKET": BUCKET,
            "JOURNAL_BATCH_S": str(BATCH_S),
            "STORAGE_EMULATOR_HOST": self.server.address,
            **variables,
        }
        return GoogleJournal(Channels(read(place)), read(place), self.clock, kept_bytes=kept_bytes)

    def export(self, *taken: tuple[float, Message], days: int = 7, finished_at: float | None = None, key: bool = True) -> str:
        """Writes an object with these messages, each with the moment at which it was taken, and returns its name. finished_at:
        by default when the last was taken. key: whether the ordering key is among the attributes."""
        moment = max(at for at, _ in taken) if finished_at is None else finished_at
        name = f"{days}/{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}_{uuid.uuid4().hex}.avro"
        received = [SimpleNamespace(message=_published(at, message, key=key)) for at, message in taken]
        self.kept.put(name, written("projects/p/subscriptions/s", received))
        return name

    def users(
        self,
        audience: str = "a",
        *,
        since: float = 0.0,
        after: int = 0,
        until: float | None = None,
        journal: GoogleJournal | None = None,
    ) -> list[tuple[str, ...]]:
        """Who is in each batch of the audience, in order."""
        place = None if until is None else micros(until)
        found = (journal or self.journal).entries("acme", audience, since=since, after=after, until=place)
        return [users_of(entry.message) for entry in found]

    def names(self) -> Sequence[str]:
        """The objects that are there."""
        return [item.name for item in self.kept.list(prefix="", start="", size=0, token="").items]


def users_of(message: Message) -> tuple[str, ...]:
    """Their IDs."""
    return tuple(mutation.user["id"] for mutation in message.mutations)


def _published(at: float, message: Message, *, key: bool) -> SimpleNamespace:
    return SimpleNamespace(
        message_id=uuid.uuid4().hex,
        publish_time=datetime.fromtimestamp(at, UTC),
        attributes={"journal": str(message.journal_days)},
        ordering_key=safe_name(message.key) if key else "",
        data=encode(message),
    )
