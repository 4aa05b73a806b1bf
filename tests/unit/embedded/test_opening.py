"""Opening the state directory: what is made, what is refused, what does not happen yet."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.backends.embedded.schema import MIGRATIONS
from relay.domain.clock import SystemClock
from relay.domain.errors import ConfigurationError, StoreUnavailable
from relay.domain.message import UnknownVersion
from tests.contract.backends.given import held, message, published
from tests.unit.embedded.programs import ROOT


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_what_is_made_can_be_read_by_its_owner_only(backend: EmbeddedBackend, state_dir: Path) -> None:
    backend.queue.publish([message()])
    assert backend.queue.take() is not None
    backend.secrets.set("pangolin-hmac", "value")
    directories = {state_dir, state_dir / "secrets", state_dir / "workers"}
    found = {state_dir, *state_dir.rglob("*")}
    assert directories < found
    assert {path.name for path in found} > {"relay.db", "relay.db-wal", "relay.db-shm", "pangolin-hmac"}
    assert {path: _mode(path) for path in found} == {path: 0o700 if path in directories else 0o600 for path in found}


def test_no_state_is_made_unless_asked_for(state_dir: Path) -> None:
    with pytest.raises(ConfigurationError, match="make run") as refused:
        EmbeddedBackend.open(state_dir, SystemClock(), create=False)
    assert str(state_dir) in str(refused.value)
    assert "diy connectors apply" in str(refused.value)
    assert not state_dir.exists()


def test_a_state_that_is_there_is_opened(backend: EmbeddedBackend, state_dir: Path) -> None:
    backend.queue.publish([message()])
    again = EmbeddedBackend.open(state_dir, SystemClock(), create=False)
    assert again.queue.depth().messages == 1
    again.close()


def test_a_place_that_cannot_be_used_is_a_matter_of_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match="STATE_DIR"):
        EmbeddedBackend.open(tmp_path / "file" / "state", SystemClock())


def test_opening_neither_connects_nor_starts_a_thread(state_dir: Path) -> None:
    threads = threading.active_count()
    opened = EmbeddedBackend.open(state_dir, SystemClock())
    opened.publisher()
    assert (state_dir / "relay.db").stat().st_size == 0
    assert threading.active_count() == threads
    opened.close()
    assert (state_dir / "relay.db").stat().st_size == 0


def test_the_state_directory_may_be_relative_and_the_process_may_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opened = EmbeddedBackend.open(Path("odd % ? # name"), SystemClock())
    monkeypatch.chdir("/")
    opened.queue.publish([message()])
    assert opened.queue.depth().messages == 1
    opened.close()


def test_a_database_of_a_newer_program_is_refused(backend: EmbeddedBackend, state_dir: Path) -> None:
    backend.queue.publish([message()])
    backend.close()
    newer = sqlite3.connect(state_dir / "relay.db")
    newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    newer.close()
    with pytest.raises(ConfigurationError, match="newer version"):
        backend.queue.depth()


@pytest.mark.parametrize(
    "content", [b"this is no database, and longer than the header of one" * 10, b"SQLite format 3\x00" + b"\xff" * 4096]
)
def test_a_damaged_file_is_a_store_that_is_not_available(backend: EmbeddedBackend, state_dir: Path, content: bytes) -> None:
    (state_dir / "relay.db").write_bytes(content)
    with pytest.raises(StoreUnavailable, match="database"):
        backend.queue.publish([message()])
    with pytest.raises(StoreUnavailable):
        backend.audiences.all()


def test_a_database_that_vanished_is_not_made_anew(backend: EmbeddedBackend, state_dir: Path) -> None:
    (state_dir / "relay.db").unlink()
    with pytest.raises(StoreUnavailable, match="missing"):
        backend.queue.publish([message()])
    assert not (state_dir / "relay.db").exists()


@pytest.mark.parametrize("table", ["audiences", "states"])
def test_a_record_of_a_newer_program_is_refused(backend: EmbeddedBackend, table: str) -> None:
    published(backend)
    held(backend)
    backend.database.connection().execute(
        f"""UPDATE {table} SET record = CAST(replace(CAST(record AS TEXT), '"version":1', '"version":99') AS BLOB)"""  # noqa: S608
    )
    with pytest.raises(UnknownVersion, match="version 99"):
        backend.audiences.begin_turn("pangolin", "a.1", position=9, message_id="m9")


def test_the_receiver_loads_no_more_than_it_needs() -> None:
    program = (
        "import sys, relay.backends.embedded; "
        "print([name for name in ('flask', 'requests', 'starlette', 'adapters', 'worker', 'handlers') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
