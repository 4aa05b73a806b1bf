"""What is remembered of the journal's objects: enough that reading them again and again comes to an end."""

from __future__ import annotations

from collections.abc import Iterator

from relay.backends.google.journal_memory import Memory, Note
from relay.backends.google.storage import Stored


def stored(number: int) -> Stored:
    return Stored(name=f"7/{number:05d}", generation="1", time_created="2027-01-15T08:00:00Z")


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
            notes = list(self._memory.notes(key, stored(number), self._notes()))
            assert len(notes) == (1 if self._data else 0)
        return self.read - before

    def _notes(self) -> Iterator[Note]:
        self.read += 1
        if self._data:
            yield Note(1, "change", 1.0, 0, b"x" * self._data)


def test_an_object_is_read_once_for_a_key() -> None:
    scanner = Scanner(Memory(100_000))
    assert scanner.scan("a", 50) == 50
    assert scanner.scan("a", 50) == 0
    assert scanner.scan("b", 50) == 50


def test_where_there_are_more_objects_than_fit_the_first_ones_stay_remembered() -> None:
    scanner = Scanner(Memory(10_000))
    scanner.scan("a", 100)
    assert scanner.scan("a", 100) < 100
    assert scanner.scan("a", 20) == 0


def test_messages_leave_half_of_it_to_objects_that_have_none() -> None:
    memory = Memory(10_000)
    Scanner(memory, data=1_000).scan("a", 50)
    scanner = Scanner(memory)
    for number in range(100, 110):
        list(memory.notes("a", stored(number), iter(())))
        assert memory.knows("a", stored(number))
    assert scanner.read == 0


def test_another_key_makes_room() -> None:
    scanner = Scanner(Memory(10_000))
    scanner.scan("a", 100)
    scanner.scan("b", 30)
    assert scanner.scan("b", 30) == 0


def test_a_changed_object_is_read_again() -> None:
    memory = Memory(10_000)
    list(memory.notes("a", stored(1), iter(())))
    assert memory.knows("a", stored(1))
    assert not memory.knows("a", Stored(name="7/00001", generation="2", time_created=""))


def test_what_is_too_large_to_be_remembered_is_given_whole() -> None:
    memory = Memory(1_000_000_000)
    notes = [Note(number, "change", 1.0, 0, b"x" * 1_000_000) for number in range(4)]
    assert list(memory.notes("a", stored(1), iter(notes))) == notes
    assert not memory.knows("a", stored(1))
