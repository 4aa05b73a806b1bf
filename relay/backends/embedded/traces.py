"""`interfaces.Traces` on SQLite: everything is looked through, a part at a time, so that nobody waits for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from relay.backends.embedded import audience_rows as rows
from relay.backends.embedded.database import Database
from relay.backends.embedded.erasure import Erasure
from relay.backends.embedded.forgetting import Forgetting
from relay.backends.embedded.messages import IN_HAND
from relay.backends.interfaces.traces import (
    Forgotten,
    Found,
    Met,
    Trace,
    in_order,
    keys_in,
    rejection_hashes,
    trace_of_rejection,
    traces_of,
    unreadable,
)
from relay.backends.records import REJECTION
from relay.domain.clock import Clock
from relay.domain.message import Message, UnknownVersion, decode
from relay.domain.person import Person

_AT_ONCE = 5_000
"""Rows looked through in one reading transaction: a long one would let the log grow."""

_BYTES_AT_ONCE = 8 * 1024 * 1024
"""Of those that may be theirs, in memory."""


class _Batch(NamedTuple):
    """A batch with a mutation of the person. number: of its row. place: in its hold."""

    number: int
    place: int
    message: Message


_QUEUE = "SELECT id, body, 0 FROM messages WHERE id > ? ORDER BY id LIMIT ?"
_HOLDS = "SELECT row, body, place FROM waiting WHERE row > ? ORDER BY row LIMIT ?"
_JOURNAL = "SELECT position, body, 0 FROM journal WHERE position > ? ORDER BY position LIMIT ?"


class EmbeddedTraces:
    """See `interfaces.Traces`. What is copied by no back-up is gone from the files, too, when `forget` ends: see `erasure`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def find(self, person: Person) -> Found:
        person = self._met(person)
        looked = _Looking(self._database, person)
        # In the direction in which a batch goes: what moves meanwhile is found twice rather than not at all.
        queue = [trace for batch in looked.through(_QUEUE) for trace in self._queued(person, batch)]
        holds = self._held(person, looked)
        journal = [trace for batch in looked.through(_JOURNAL) for trace in traces_of(person, batch.message, place="journal")]
        rejections = [
            trace_of_rejection(REJECTION.read(record))
            for user_hash in rejection_hashes(person, looked.keys)
            for (record,) in self._database.rows("SELECT record FROM rejections WHERE user_hash = ?", (user_hash,))
        ]
        rejections.sort(key=lambda trace: trace.at)
        return Found(
            traces=in_order(holds, queue, journal, rejections),
            users=len(looked.keys),
            unseen=looked.unseen(),
        )

    def forget(self, person: Person, *, compact: bool = False) -> Forgotten:
        person = self._met(person)
        looked = _Looking(self._database, person)
        forgetting = Forgetting(self._database, self._clock, person)
        # In the direction in which a batch goes, and the journal before the holds, which replays fill from it.
        forgetting.queued([batch.number for batch in looked.through(_QUEUE)])
        forgetting.journaled([batch.number for batch in looked.through(_JOURNAL)])
        held: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for batch in looked.through(_HOLDS):
            held[batch.message.connector, batch.message.audience].append(batch.number)
        for (connector, audience), numbers in held.items():
            forgetting.held(connector, audience, numbers)
        forgetting.turns_end()
        forgetting.rejections(looked.keys)
        unreached = [*looked.unseen(), *forgetting.leave_no_copies(Erasure(self._database, self._clock), compact=compact)]
        return Forgotten(
            removed=forgetting.removed,
            kept=tuple(forgetting.kept),
            in_turn=tuple(forgetting.in_turn),
            unreached=tuple(unreached),
            remains=("Copies of STATE_DIR that were made before (backups, snapshots of the disk) still have what was removed.",),
        )

    def _met(self, person: Person) -> Person:
        """With the keys of their users."""
        looked, met = _Looking(self._database, person), Met(person)
        for select in (_QUEUE, _HOLDS, _JOURNAL):
            for batch in looked.through(select):
                met.note(batch.message)
        return met.person()

    def _queued(self, person: Person, batch: _Batch) -> list[Trace]:
        taken = self._database.row(
            f"SELECT 1 FROM messages JOIN keys USING (key) WHERE id = ? AND {IN_HAND}",  # noqa: S608 - ours
            (batch.number, self._clock.now()),
        )
        return traces_of(person, batch.message, place="queue", in_turn=taken is not None)

    def _held(self, person: Person, looked: _Looking) -> list[Trace]:
        found = sorted(looked.through(_HOLDS), key=lambda batch: (batch.message.connector, batch.message.audience, batch.place))
        reasons: dict[str, str] = {}
        traces: list[Trace] = []
        for batch in found:
            key = batch.message.key
            if key not in reasons:
                with self._database.snapshot() as connection:
                    audience = rows.load(connection, batch.message.connector, batch.message.audience)
                reasons[key] = audience.hold.reason if audience and audience.hold else ""
            traces += traces_of(person, batch.message, place="hold", reason=reasons[key])
        return traces


class _Looking:
    """Through the batches of a table. Those that cannot be read are counted.

    keys: hashes of the keys of the person's mutations that were seen.
    """

    def __init__(self, database: Database, person: Person) -> None:
        self._database = database
        self._person = person
        self._unreadable = 0
        self.keys: set[str] = set()

    def through(self, select: str) -> Iterator[_Batch]:
        """Those with a mutation of the person, in the order of the rows that were there when it began, and later ones."""
        last, more = 0, True
        while more:
            more = False
            found: list[tuple[int, bytes, int]] = []
            with self._database.snapshot() as connection:
                size = 0
                for row in connection.execute(select, (last, _AT_ONCE)):
                    last, more = row[0], True
                    if self._person.may_be_in(row[1]):
                        found.append(row)
                        size += len(row[1])
                        if size >= _BYTES_AT_ONCE:
                            break
            for number, body, place in found:
                message = self._read(body)
                keys = keys_in(self._person, message) if message is not None else None
                if message is not None and keys:
                    self.keys |= keys
                    yield _Batch(number, place, message)

    def unseen(self) -> tuple[str, ...]:
        """A sentence, if any could not be read."""
        return unreadable(self._unreadable)

    def _read(self, body: bytes) -> Message | None:
        try:
            return decode(body)
        except (msgspec.MsgspecError, UnknownVersion):
            self._unreadable += 1
            return None
