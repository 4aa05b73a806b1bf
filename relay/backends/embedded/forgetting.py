"""A person is taken out of the tables: in small transactions, each of which leaves all counts as they are to be."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from relay.backends.embedded import audience_rows as rows
from relay.backends.embedded.database import Database
from relay.backends.embedded.erasure import SMALL_BYTES, Erasure
from relay.backends.embedded.messages import IN_HAND
from relay.backends.interfaces.traces import PLACES, Place, Trace, rejection_hashes, split, traces_of
from relay.domain import audience as policy
from relay.domain.clock import Clock
from relay.domain.message import Message, decode, encode
from relay.domain.person import Person

TURN_PATIENCE_S = 10.0
"""So long it is waited for workers to finish what they have in hand."""

_ASK_AGAIN_S = 0.1

_AT_ONCE = 10
"""Batches changed in one transaction: publishers wait for it."""

_LEAST_PAUSE_S = 0.01

_REJECTIONS_AT_ONCE = 2_000

_REWRITTEN_BYTES_A_SECOND = 50 * 1024 * 1024


class Forgetting:
    """One `forget`, step by step.

    removed: place → how many mutations went; kept, in_turn: see `interfaces.Forgotten`.
    """

    def __init__(self, database: Database, clock: Clock, person: Person) -> None:
        self._database = database
        self._clock = clock
        self._person = person
        self._turns: dict[str, tuple[str, list[Trace]]] = {}
        """Ordering key → the lease of a turn that was under way, and what was taken out of its hold."""
        self.removed: dict[Place, int] = dict.fromkeys(PLACES, 0)
        self.kept: list[Trace] = []
        self.in_turn: list[Trace] = []

    # the queue

    def queued(self, positions: Sequence[int]) -> None:
        """Of these messages. One that a worker has in hand cannot be changed under it: it is waited for, some seconds."""
        in_hand = [position for part in _parts(positions, _AT_ONCE) for position in self._queued(part)]
        give_up_at = self._clock.monotonic() + TURN_PATIENCE_S
        while in_hand and self._clock.monotonic() < give_up_at:
            self._clock.sleep(_ASK_AGAIN_S)
            in_hand = [position for part in _parts(in_hand, _AT_ONCE) for position in self._queued(part)]
        self._note_in_turn(in_hand)

    def _queued(self, positions: Sequence[int]) -> list[int]:
        """Which of these are in hand."""
        in_hand: list[int] = []
        with self._transaction() as connection:
            for position in positions:
                found = connection.execute(
                    f"SELECT key, body, {IN_HAND} FROM messages JOIN keys USING (key) WHERE id = ?",  # noqa: S608 - ours
                    (self._clock.now(), position),
                ).fetchone()
                if found is None:
                    continue  # done with, or in its hold by now
                key, body, taken = found
                rest, gone = split(self._person, decode(body))
                if taken and gone.mutations:
                    in_hand.append(position)
                    continue
                self._note("queue", rest, gone)
                if not gone.mutations:
                    continue
                if rest.mutations:
                    connection.execute("UPDATE messages SET body = ? WHERE id = ?", (encode(rest), position))
                else:
                    _take_out(connection, key, position)
        return in_hand

    def _note_in_turn(self, positions: Sequence[int]) -> None:
        for position in positions:
            row = self._database.row("SELECT body FROM messages WHERE id = ?", (position,))
            if row is not None:
                self.in_turn += traces_of(self._person, decode(row[0]), place="queue", in_turn=True)

    # the journal

    def journaled(self, positions: Sequence[int]) -> None:
        """Of these entries. A replay under way may have some of them in hand: its turn ends, and the next one reads anew.

        What brings the person back goes first, and removals only where no replay waits that may have sent it already: then at
        every moment a replay that sends what is left of them ends with the person removed.
        """
        replayed: set[tuple[str, str]] = set()
        for part in _parts(positions, _AT_ONCE):
            with self._transaction() as connection:
                replayed |= {of for position in part if (of := self._journaled(connection, position)) is not None}
        replaying = {one for one in replayed if self._end_turn_of_replay(*one)}
        for part in _parts(positions, _AT_ONCE):
            with self._transaction() as connection:
                for position in part:
                    self._removals_journaled(connection, position, replaying)

    def _journaled(self, connection: sqlite3.Connection, position: int) -> tuple[str, str] | None:
        """Whose entry it is: connector and audience."""
        found = connection.execute("SELECT body FROM journal WHERE position = ?", (position,)).fetchone()
        if found is None:
            return None  # grown too old meanwhile
        rest, gone = split(self._person, decode(found[0]))
        self._leave_in_journal(connection, position, rest, gone)
        return rest.connector, rest.audience

    def _removals_journaled(self, connection: sqlite3.Connection, position: int, replaying: Collection[tuple[str, str]]) -> None:
        found = connection.execute("SELECT body FROM journal WHERE position = ?", (position,)).fetchone()
        if found is None:
            return
        message = decode(found[0])
        replays = (message.connector, message.audience) in replaying
        rest, gone = split(self._person, message, removals_too=not replays)
        self._leave_in_journal(connection, position, rest, gone)
        self.kept += traces_of(self._person, rest, place="journal", reason="replaying" if replays else "")

    def _leave_in_journal(self, connection: sqlite3.Connection, position: int, rest: Message, gone: Message) -> None:
        if not gone.mutations:
            return
        self.removed["journal"] += len(gone.mutations)
        if rest.mutations:
            connection.execute(
                "UPDATE journal SET items = ?, body = ? WHERE position = ?", (len(rest.mutations), encode(rest), position)
            )
        else:
            connection.execute("DELETE FROM journal WHERE position = ?", (position,))

    def _end_turn_of_replay(self, connector: str, audience_id: str) -> bool:
        """Whether a replay waits."""
        with self._transaction() as connection:
            replays = connection.execute(
                f"SELECT 1 FROM waiting WHERE connector = ? AND audience = ? AND {rows.A_REPLAY}",  # noqa: S608 - ours
                (connector, audience_id),
            ).fetchone()
            audience = rows.load(connection, connector, audience_id)
            if replays and audience is not None:
                rows.save(connection, policy.end_turn(audience))
        return replays is not None

    # holds

    def held(self, connector: str, audience_id: str, numbers: Sequence[int]) -> None:
        """Of these rows of one hold. A turn that has them in hand notices, and writes back only what is still there."""
        for part in _parts(numbers, _AT_ONCE):
            with self._transaction() as connection:
                taken_out = self._held(connection, connector, audience_id, part)
                self._note_turn(connection, f"{connector}/{audience_id}", taken_out)

    def turns_end(self) -> None:
        """Waits, some seconds, for turns that had in hand what was taken out of their holds: they may still reject it."""
        give_up_at = self._clock.monotonic() + TURN_PATIENCE_S
        while self._turns:
            for key, (lease, _) in list(self._turns.items()):
                with self._database.snapshot() as connection:
                    if _lease(connection, key, self._clock.now()) != lease:
                        del self._turns[key]
            if self._turns and self._clock.monotonic() >= give_up_at:
                self.in_turn += [replace(trace, in_turn=True) for _, traces in self._turns.values() for trace in traces]
                return
            if self._turns:
                self._clock.sleep(_ASK_AGAIN_S)

    def _note_turn(self, connection: sqlite3.Connection, key: str, taken_out: list[Trace]) -> None:
        lease = _lease(connection, key, self._clock.now()) if taken_out else None
        if lease is not None:
            _, before = self._turns.get(key, ("", []))
            self._turns[key] = lease, [*before, *taken_out]

    def _held(self, connection: sqlite3.Connection, connector: str, audience_id: str, numbers: Sequence[int]) -> list[Trace]:
        """What was taken out."""
        audience = rows.load(connection, connector, audience_id)
        if audience is None or audience.hold is None:
            return []
        taken_out: list[Trace] = []
        total = rows.held_size(audience)
        for number in numbers:
            found = connection.execute(
                "SELECT place, body FROM waiting WHERE row = ? AND connector = ? AND audience = ?",
                (number, connector, audience_id),
            ).fetchone()
            if found is None:
                continue  # settled meanwhile
            place = found[0]
            rest, gone = split(self._person, decode(found[1]))
            taken_out += self._note("hold", rest, gone, reason=audience.hold.reason)
            if not gone.mutations:
                continue
            total -= rows.size_at(connection, audience, place)
            if rest.mutations:
                total += rows.replace_batch(connection, audience, place, rest)
            else:
                rows.remove_batch(connection, audience, place)
        recounted = policy.recount(
            audience,
            batches=total.batches,
            items=total.items,
            size=total.bytes,
            oldest_at=rows.oldest_request(connection, audience),
            now=self._clock.now(),
        )
        rows.save(connection, recounted)
        return taken_out

    # rejections

    def rejections(self, keys: Collection[str]) -> None:
        """Theirs, given the hashes of the keys that their mutations have."""
        for user_hash in rejection_hashes(self._person, keys):
            deleted = _REJECTIONS_AT_ONCE
            while deleted == _REJECTIONS_AT_ONCE:
                with self._transaction() as connection:
                    deleted = connection.execute(
                        "DELETE FROM rejections WHERE number IN (SELECT number FROM rejections WHERE user_hash = ? LIMIT ?)",
                        (user_hash, _REJECTIONS_AT_ONCE),
                    ).rowcount
                self.removed["rejections"] += deleted

    # the files

    def leave_no_copies(self, erasure: Erasure, *, compact: bool) -> list[str]:
        """Sentences: what may still be read in the files, and what to do."""
        emptied = erasure.empty_log()
        rewritten = compact or (erasure.size() <= SMALL_BYTES and erasure.copies(self._person.written))
        if rewritten:
            erasure.rewrite()
            emptied = erasure.empty_log()
        if not emptied:
            return [
                "The database's log could not be emptied, since it was read all the time: copies of what was removed may stand "
                "in it. Run the command again."
            ]
        if not rewritten and self.kept and erasure.size() > SMALL_BYTES:
            # What is kept stands in the file: whether copies do cannot be told.
            return [
                "Copies of what was removed, or of what is kept, may be left in unused parts of the database's file. Run the "
                "command again once what is kept has gone, with --compact if that run asks for it."
            ]
        if not rewritten and not self.in_turn and erasure.copies(self._person.written):
            seconds = max(1, erasure.size() // _REWRITTEN_BYTES_A_SECOND)
            return [
                "Copies of what was removed may be left in unused parts of the database's file. Run the command again with "
                f"--compact, which rewrites it: for about {seconds} seconds the receiver then answers with an error, and the DMP "
                "has to send again."
            ]
        return []

    # all of these

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A writing transaction, and a pause as long as it took: without one, whoever waits to write would find no gap."""
        began_at = self._clock.monotonic()
        with self._database.transaction() as connection:
            yield connection
        self._clock.sleep(max(_LEAST_PAUSE_S, self._clock.monotonic() - began_at))

    def _note(self, place: Place, rest: Message, gone: Message, *, reason: str = "") -> list[Trace]:
        """What goes, and what of the person stays."""
        went = traces_of(self._person, gone, place=place, reason=reason)
        stays = traces_of(self._person, rest, place=place, reason=reason)
        self.removed[place] += len(went)
        self.kept += stays
        return went


def _take_out(connection: sqlite3.Connection, key: str, position: int) -> None:
    """The message leaves the queue, from wherever it stands; the next one of its key is then at its head."""
    connection.execute("DELETE FROM messages WHERE id = ?", (position,))
    connection.execute("UPDATE keys SET messages = messages - 1 WHERE key = ?", (key,))
    connection.execute("DELETE FROM keys WHERE key = ? AND messages = 0", (key,))
    connection.execute(
        "UPDATE keys SET head = (SELECT min(id) FROM messages WHERE messages.key = keys.key), deliveries = 0, lease = NULL,"
        " owner = NULL, available_at = 0 WHERE key = ? AND head = ?",
        (key, position),
    )


def _lease(connection: sqlite3.Connection, key: str, now: float) -> str | None:
    """Of whom the key's first message is in hand; None if it is in nobody's."""
    row = connection.execute(
        "SELECT lease FROM keys WHERE key = ? AND lease IS NOT NULL AND available_at > ?", (key, now)
    ).fetchone()
    return row[0] if row else None


def _parts(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]
