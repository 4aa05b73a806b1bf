"""Migrations: in order, all or nothing, once."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.backends.embedded.messages import append, rows_of
from relay.backends.embedded.schema import MIGRATIONS, migrate, version_of
from relay.domain.clock import SystemClock
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, message

FIRST = "CREATE TABLE one (value TEXT); -- a remark; with a semicolon\nINSERT INTO one VALUES ('first; of all');\n"
SECOND = "ALTER TABLE one ADD COLUMN more TEXT;\nUPDATE one SET more = 'added';\n"
BROKEN = "INSERT INTO one VALUES ('half', 'done');\nINSERT INTO missing VALUES (1);\n"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = _connect(tmp_path)
    yield opened
    opened.close()


def _connect(tmp_path: Path) -> sqlite3.Connection:
    return sqlite3.connect(tmp_path / "some.db", isolation_level=None, timeout=30)


def _rows(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    return connection.execute("SELECT * FROM one").fetchall()


def test_a_new_database_gets_all_of_them(connection: sqlite3.Connection) -> None:
    migrate(connection, (FIRST, SECOND))
    assert version_of(connection) == 2
    assert _rows(connection) == [("first; of all", "added")]


def test_an_older_database_gets_what_is_missing_and_keeps_what_it_has(connection: sqlite3.Connection) -> None:
    migrate(connection, (FIRST,))
    connection.execute("INSERT INTO one VALUES ('kept')")
    migrate(connection, (FIRST, SECOND))
    assert _rows(connection) == [("first; of all", "added"), ("kept", "added")]
    migrate(connection, (FIRST, SECOND))
    assert version_of(connection) == 2


def test_one_that_fails_changes_nothing(connection: sqlite3.Connection) -> None:
    migrate(connection, (FIRST,))
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, (FIRST, SECOND, BROKEN))
    assert version_of(connection) == 1
    assert _rows(connection) == [("first; of all",)]
    assert not connection.in_transaction


def test_a_newer_database_stays_as_it_is(connection: sqlite3.Connection) -> None:
    migrate(connection, (FIRST, SECOND))
    migrate(connection, (FIRST,))
    assert version_of(connection) == 2


def test_a_script_that_ends_within_a_statement_is_refused(connection: sqlite3.Connection) -> None:
    with pytest.raises(ValueError, match="ends within a statement"):
        migrate(connection, ("CREATE TABLE one (value TEXT)",))
    assert version_of(connection) == 0


def test_several_at_once_apply_them_once(tmp_path: Path) -> None:
    failures: list[Exception] = []

    def run() -> None:
        connection = _connect(tmp_path)
        try:
            migrate(connection, (FIRST, SECOND))
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(_rows(_connect(tmp_path))) == 1


def test_the_schema_is_sound(connection: sqlite3.Connection) -> None:
    migrate(connection)
    assert version_of(connection) == len(MIGRATIONS)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_one_process_sets_a_database_up_while_the_others_wait(tmp_path: Path) -> None:
    opened = EmbeddedBackend.open(tmp_path, SystemClock())
    with open(tmp_path / "relay.db.setup.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        other = threading.Thread(target=opened.queue.depth)
        other.start()
        other.join(0.1)
        assert other.is_alive()
        assert (tmp_path / "relay.db").stat().st_size == 0
    other.join()
    assert opened.queue.depth().messages == 0
    opened.close()


def test_ids_at_the_partner_that_an_older_program_recorded_belong_to_their_audiences(connection: sqlite3.Connection) -> None:
    migrate(connection, MIGRATIONS[:1])
    records: dict[str, dict[str, str | None]] = {
        "a.1": {"partner_id": "p1"},
        "a.2": {"partner_id": None},
        "a.3": {"partner_id": "p3", "answers_to": "p3"},
        "p3": {"partner_id": "p3"},
    }
    for audience, known in records.items():
        record = msgspec.json.encode({"version": 1, "connector": "pangolin", "id": audience, **known})
        connection.execute("INSERT INTO audiences (connector, id, record) VALUES ('pangolin', ?, ?)", (audience, record))
    migrate(connection)
    found = connection.execute("SELECT id, occupies FROM audiences WHERE occupies IS NOT NULL ORDER BY id").fetchall()
    assert found == [("a.1", "p1"), ("p3", "p3")]


def test_messages_in_the_queue_of_an_older_program_are_handed_out_and_one_that_it_handed_out_comes_alone(tmp_path: Path) -> None:
    (tmp_path / "relay.db").touch(mode=0o600)
    older = sqlite3.connect(tmp_path / "relay.db", isolation_level=None)
    migrate(older, MIGRATIONS[:8])
    append(older, rows_of([message(audience, "u1") for audience in ("a.1", "a.1", "a.2", "a.2")]), now=BEGINNING)
    older.execute(
        "UPDATE keys SET lease = 'old/1', owner = 'old', deliveries = 1, available_at = ? WHERE head = 1", (BEGINNING + 99,)
    )
    older.close()
    clock = TurnedClock()
    backend = EmbeddedBackend.open(tmp_path, clock)
    assert (backend.queue.depth().messages, backend.queue.depth().leased) == (4, 1)
    leased = backend.queue.take(most=9)
    assert leased is not None
    assert (leased.key, len(leased.following)) == ("pangolin/a.2", 1)
    clock.advance(100)
    again = backend.queue.take(most=9)
    assert again is not None
    assert (again.key, again.deliveries, again.following) == ("pangolin/a.1", 2, ())
    backend.close()
