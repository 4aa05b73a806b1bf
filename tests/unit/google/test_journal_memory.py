"""What is remembered of the journal's objects: enough that reading them again and again comes to an end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from relay.backends.google.journal_memory import Memory, Note
from relay.backends.google.storage import Stored
from tests.clock import TurnedClock


def stored(number: int) -> Stored:
    return Stored(name=f"7/{number:05d}", generation="1", time_created="2027-01-15T08:00:00Z")


def note(number: int, data: bytes) -> Note:
    return Note(number, "change", 1.0, 0, number.to_bytes(16, "big"), len(data), data)


class Scanner:
    """Reads so many objects for a key in their order, and counts those that it had to read."""

    def __init__(self, memory: Memory, *, data: int = 0) -> None:
        self._memory = memory
        self._data = data
        self.read = 0

    def scan(self, key: str, objects: int) -> int:
        """How many were read."""
        before = self.read
        for number in range(objects):
            notes = list(self._memory.notes(key, stored(number), self._notes(number)))
            assert [one.micros for one in notes] == ([number] if self._data else [])
        return self.read - before

    def _notes(self, number: int) -> Iterator[Note]:
        self.read += 1
        if self._data:
            yield note(number, b"x" * self._data)


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


def test_an_object_is_read_once_for_a_key(clock: TurnedClock) -> None:
    scanner = Scanner(Memory(100_000, clock.monotonic))
    assert scanner.scan("a", 50) == 50
    assert scanner.scan("a", 50) == 0
    assert scanner.scan("b", 50) == 50


def test_an_object_whose_messages_do_not_fit_is_remembered_without_them(clock: TurnedClock) -> None:
    memory = Memory(5_000, clock.monotonic)
    scanner = Scanner(memory, data=1_000)
    assert scanner.scan("a", 5_000) == 5_000
    assert scanner.scan("a", 5_000) == 0
    remembered = [next(memory.notes("a", stored(number), iter(()))) for number in range(5_000)]
    assert [one.digest for one in remembered] == [number.to_bytes(16, "big") for number in range(5_000)]
    assert all(one.size == 1_000 for one in remembered)
    assert sum(len(one.data or b"") for one in remembered) == 4_000


def test_where_there_are_more_objects_than_fit_the_first_ones_stay_remembered(clock: TurnedClock) -> None:
    scanner = Scanner(Memory(10_000, clock.monotonic, notes_bytes=10_000))
    scanner.scan("a", 100)
    assert scanner.scan("a", 100) < 100
    assert scanner.scan("a", 20) == 0


def test_a_key_that_rests_makes_room_for_another_and_one_that_is_being_read_does_not(clock: TurnedClock) -> None:
    scanner = Scanner(Memory(10_000, clock.monotonic, notes_bytes=10_000))
    scanner.scan("a", 30)
    scanner.scan("b", 30)
    assert scanner.scan("a", 30) == 0
    assert scanner.scan("b", 30) > 0
    clock.advance(300)
    assert scanner.scan("b", 30) > 0
    clock.advance(301)
    scanner.scan("b", 30)
    assert scanner.scan("b", 30) == 0


def test_a_changed_object_is_read_again(clock: TurnedClock) -> None:
    memory = Memory(10_000, clock.monotonic)
    list(memory.notes("a", stored(1), iter(())))
    assert memory.knows("a", stored(1))
    assert not memory.knows("a", Stored(name="7/00001", generation="2", time_created=""))


def test_an_object_with_a_lot_of_a_key_is_given_whole_and_remembered_without_the_rest(clock: TurnedClock) -> None:
    memory = Memory(1_000_000_000, clock.monotonic)
    notes = [note(number, b"x" * 1_000_000) for number in range(4)]
    assert list(memory.notes("a", stored(1), iter(notes))) == notes
    again = list(memory.notes("a", stored(1), iter(())))
    assert [one._replace(data=None) for one in again] == [one._replace(data=None) for one in notes]
    assert [one.data is None for one in again] == [False, False, True, True]
