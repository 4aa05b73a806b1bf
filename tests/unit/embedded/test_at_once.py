"""Several writes of one thread in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend, database
from relay.domain.clock import SystemClock
from relay.domain.errors import StoreUnavailable
from tests.contract.backends.given import message, rejection, report
from tests.unit.embedded.syncs import Syncs

NORMAL = 1


@pytest.fixture
def other(backend: EmbeddedBackend, state_dir: Path) -> Iterator[EmbeddedBackend]:
    """Another process, which sees what is committed."""
    opened = EmbeddedBackend.open(state_dir, SystemClock())
    yield opened
    opened.close()


def _begin(backend: EmbeddedBackend) -> None:
    backend.audiences.begin_turn("pangolin", "a.1", position=1, message_id="m")


def _attempt(backend: EmbeddedBackend) -> None:
    backend.reports.attempt(report(delivered=1), [])


def test_what_is_written_is_seen_by_reads_in_the_block_and_by_others_at_its_end(
    backend: EmbeddedBackend, other: EmbeddedBackend
) -> None:
    with backend.database.at_once():
        backend.queue.publish([message()])
        _begin(backend)
        assert backend.queue.depth().messages == 1, "a snapshot"
        assert len(backend.audiences.all()) == 1, "all rows"
        assert backend.audiences.get("pangolin", "a.1") is not None, "one row"
        assert (other.queue.depth().messages, other.audiences.all()) == (0, [])
    assert other.queue.depth().messages == 1
    assert len(other.audiences.all()) == 1


def test_it_is_one_commit_and_begins_and_ends_as_any_other_transaction(backend: EmbeddedBackend) -> None:
    statements: list[str] = []
    backend.database.connection().set_trace_callback(statements.append)
    with backend.database.at_once():
        backend.queue.publish([message()])
        backend.queue.depth()
        _attempt(backend)
    assert [one for one in statements if one.startswith(("BEGIN", "COMMIT", "ROLLBACK"))] == ["BEGIN IMMEDIATE", "COMMIT"]
    statements.clear()
    backend.queue.depth()
    assert statements[0] == "BEGIN DEFERRED", "the block is over: a reading transaction is one of its own again"


def test_where_the_block_raises_nothing_of_it_is_there(backend: EmbeddedBackend) -> None:
    def write_and_fail() -> None:
        with backend.database.at_once():
            backend.queue.publish([message()])
            _begin(backend)
            raise KeyError("whatever")

    with pytest.raises(KeyError):
        write_and_fail()
    assert (backend.queue.depth().messages, backend.audiences.all()) == (0, [])
    backend.queue.publish([message()])
    assert backend.queue.depth().messages == 1


def test_a_part_that_failed_keeps_the_whole_from_being_committed_though_somebody_swallowed_it(backend: EmbeddedBackend) -> None:
    def fail() -> None:
        with backend.database.transaction() as connection:
            connection.execute("DELETE FROM messages")
            raise KeyError("whatever")

    def write_on() -> None:
        with backend.database.at_once():
            _begin(backend)
            with suppress(KeyError):
                fail()
            _attempt(backend)

    backend.queue.publish([message()])
    with pytest.raises(RuntimeError, match="part"):
        write_on()
    assert (backend.queue.depth().messages, backend.audiences.all(), backend.reports.attempts()) == (1, [], [])


def test_nothing_is_written_by_itself_after_a_part_whose_failure_has_ended_the_transaction(backend: EmbeddedBackend) -> None:
    """As SQLite does it by itself where the disk is full."""

    def fail() -> None:
        with backend.database.transaction() as connection:
            connection.execute("ROLLBACK")
            raise KeyError("whatever")

    def write_on() -> None:
        with backend.database.at_once():
            with suppress(KeyError):
                fail()
            backend.queue.publish([message()])

    with pytest.raises(RuntimeError, match="part"):
        write_on()
    assert backend.queue.depth().messages == 0


# on the disk


@pytest.mark.parametrize(
    ("write", "number"),
    [
        (lambda backend: backend.reports.attempt(report(rejected=1), [rejection()]), 1),
        (lambda backend: backend.queue.publish([message()]), 1),
        (_begin, 1),
        (_attempt, 0),
        (lambda _backend: None, 0),
    ],
    ids=["durable by itself", "publish", "durable together", "not durable", "nothing"],
)
@pytest.mark.parametrize("later", [False, True])
def test_it_is_brought_to_the_disk_after_the_commit_if_any_part_of_it_has_to_be(
    backend: EmbeddedBackend, syncs: Syncs, write: Callable[[EmbeddedBackend], object], number: int, later: bool
) -> None:
    backend.reports.attempt(report(rejected=1), [rejection(index=9)])  # SQLite itself syncs that
    statements: list[str] = []
    connection = backend.database.connection()
    connection.set_trace_callback(statements.append)
    syncs.before = lambda: statements.append("the log is synced")
    with backend.database.at_once():
        if later:
            _attempt(backend)
        write(backend)
        if not later:
            _attempt(backend)
        assert syncs.number == 0
    connection.set_trace_callback(None)
    assert syncs.number == number
    assert statements[-1] == ("the log is synced" if number else "COMMIT")
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == NORMAL, "only once"


def test_those_of_several_threads_share_one_sync(backend: EmbeddedBackend, syncs: Syncs) -> None:
    first, rest = threading.Event(), threading.Event()

    def wait_in_the_first() -> None:
        if syncs.number == 1:
            first.set()
            rest.wait(10)

    syncs.before = wait_in_the_first

    def write(number: int) -> None:
        with backend.database.at_once():
            backend.audiences.begin_turn("pangolin", f"a.{number}", position=1, message_id="m")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    threads[0].start()
    assert first.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(backend.audiences.all()) < len(threads):
        pass
    with backend.database.transaction(durable=False):
        pass  # nobody is still about to be counted
    rest.set()
    for thread in threads:
        thread.join(10)
    assert syncs.number == 2


def test_where_the_sync_fails_it_raises_and_everybody_sees_what_was_written(backend: EmbeddedBackend, syncs: Syncs) -> None:
    syncs.fail = True
    with pytest.raises(StoreUnavailable, match="disk"), backend.database.at_once():
        _begin(backend)
    assert len(backend.audiences.all()) == 1


@pytest.mark.parametrize("write", [_begin, _attempt])
def test_after_a_failed_sync_it_begins_once_the_whole_log_is_in_the_database(
    backend: EmbeddedBackend, other: EmbeddedBackend, syncs: Syncs, monkeypatch: pytest.MonkeyPatch, write: Callable[..., None]
) -> None:
    """Whether it has to be durable is not known when it begins."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    backend.close()  # connections know the time-out from when they are made
    backend.queue.publish([message()])
    with other.database.snapshot() as reading:
        reading.execute("SELECT count(*) FROM messages").fetchone()  # while it reads this state, the log cannot begin anew
        syncs.fail = True
        with pytest.raises(StoreUnavailable):
            backend.audiences.begin_turn("pangolin", "a.9", position=1, message_id="m")
        syncs.fail = False
        with pytest.raises(StoreUnavailable, match="disk"), backend.database.at_once():
            write(backend)
        assert (len(backend.audiences.all()), backend.reports.attempts()) == (1, [])
    statements: list[str] = []
    backend.database.connection().set_trace_callback(statements.append)
    with backend.database.at_once():
        write(backend)
    assert "checkpoint" in statements[0]
    assert statements[1].startswith("BEGIN")


def test_a_log_that_is_in_doubt_since_it_began_is_told_of(backend: EmbeddedBackend, syncs: Syncs) -> None:
    def fail_meanwhile() -> None:
        with backend.database.at_once():
            _begin(backend)
            syncs.fail = True
            with pytest.raises(StoreUnavailable):
                backend.database._log.require(1_000_000)
            syncs.fail = False

    with pytest.raises(StoreUnavailable, match="disk"):
        fail_meanwhile()


# one within another


def test_within_any_other_transaction_it_is_a_mistake_that_shows_at_once(backend: EmbeddedBackend) -> None:
    with backend.database.transaction(), pytest.raises(RuntimeError, match="within"), backend.database.at_once():
        pass
    with backend.database.at_once(), pytest.raises(RuntimeError, match="within"), backend.database.at_once():
        pass
    with backend.database.transaction(), pytest.raises(RuntimeError, match="within"):
        backend.queue.publish([message()])
    backend.queue.publish([message()])
    assert backend.queue.depth().messages == 1


def test_what_was_written_before_such_a_mistake_is_committed_with_the_rest(backend: EmbeddedBackend) -> None:
    """Nothing of the inner one had begun."""
    with backend.database.at_once():
        backend.queue.publish([message()])
        with pytest.raises(RuntimeError, match="within"), backend.database.at_once():
            pass
        backend.queue.publish([message()])
    assert backend.queue.depth().messages == 2


def test_other_threads_wait_until_it_is_over(backend: EmbeddedBackend) -> None:
    written: list[str] = []

    def write() -> None:
        backend.queue.publish([message()])
        written.append("another thread")

    thread = threading.Thread(target=write)
    with backend.database.at_once():
        backend.queue.publish([message()])
        thread.start()
        thread.join(0.2)
        assert written == []
        assert backend.queue.depth().messages == 1
    thread.join(10)
    assert written == ["another thread"]
    assert backend.queue.depth().messages == 2


def test_a_file_that_is_replaced_within_it_is_told_of(backend: EmbeddedBackend, state_dir: Path) -> None:
    def replace_meanwhile() -> None:
        with backend.database.at_once():
            _begin(backend)
            for file in state_dir.glob("relay.db*"):
                file.rename(file.with_name(f"old-{file.name}"))
            _attempt(backend)

    with pytest.raises(StoreUnavailable):
        replace_meanwhile()
