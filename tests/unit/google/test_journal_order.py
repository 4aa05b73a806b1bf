"""Journaled messages in order: what is kept of them, and what is read again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from relay.backends.google.journal_memory import Note
from relay.backends.google.journal_order import InOrder, Room, digest_of
from relay.backends.google.storage import Stored

SIZE = 400


class Reader:
    """One reading of objects with a message each, of which the last one was taken first."""

    def __init__(self, room: Room, *, objects: int, run_bytes: int = 2 * SIZE) -> None:
        self.data = [f"{number:0{SIZE}d}".encode() for number in range(objects)]
        self.again: list[str] = []
        self.in_order = InOrder(self._read_again, room, run_bytes=run_bytes)
        for number, data in reversed(list(enumerate(self.data))):
            self.in_order.begin(Stored(name=str(number), generation="1", time_created=""))
            self.in_order.note(Note(1 + number, "change", 1.0, 0, digest_of(data), len(data), data))

    def _read_again(self, wanted: Mapping[Stored, set[bytes]]) -> Iterator[Mapping[bytes, bytes]]:
        assert len(wanted) <= 2
        for stored, digests in wanted.items():
            self.again.append(stored.name)
            data = self.data[int(stored.name)]
            yield {digest_of(data): data} if digest_of(data) in digests else {}

    def given(self) -> list[bytes]:
        return [placed.data for placed in self.in_order.above(0)]


def test_all_who_read_share_the_room_for_messages_and_read_the_others_again() -> None:
    room = Room(5 * SIZE)
    first, second = Reader(room, objects=4), Reader(room, objects=4)

    assert first.given() == first.data
    assert second.given() == second.data
    assert first.again == []
    assert second.again == ["0", "1", "2"]


def test_whoever_ends_gives_the_room_back() -> None:
    room = Room(4 * SIZE)
    for _ in range(3):
        reader = Reader(room, objects=4)
        assert reader.given() == reader.data
        assert reader.again == []
        reader.in_order.close()
