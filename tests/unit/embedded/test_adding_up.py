"""What an older program left is added up when its state is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from relay.backends.embedded import EmbeddedBackend
from relay.backends.embedded.schema import MIGRATIONS, migrate
from relay.backends.interfaces import AudienceSummary, HoldSummary
from relay.backends.records import REJECTION
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, rejection

BEFORE = MIGRATIONS[:4]


def test_a_state_of_the_version_before_shows_all_of_its_numbers(tmp_path: Path) -> None:
    older = sqlite3.connect(tmp_path / "relay.db", isolation_level=None)
    migrate(older, BEFORE)
    for minute, number in ((0, 1), (59, 10), (60, 100), (24 * 60, 1_000)):
        at = int(BEGINNING) + minute * 60
        older.execute("INSERT INTO counters VALUES ('pangolin', ?, 'delivered', ?)", (at, number))
        older.execute("INSERT INTO latencies VALUES ('pangolin', ?, 200, ?)", (at, number))
    for index in range(3):
        one = rejection(index=index)
        older.execute(
            "INSERT INTO rejections (connector, audience, request_id, place, action, user_hash, at, record)"
            " VALUES ('pangolin', 'a.1', 'r', ?, 'Add', 'f', ?, ?)",
            (index, one.at, REJECTION.write(one)),
        )
    hold = {"reason": "crashed", "since": 1.0, "batches": 2, "items": 3, "bytes": 4, "oldest_at": 5.0}
    record = {"version": 1, "connector": "pangolin", "id": "a.1", "name": "ÄRGER", "status": "ready", "hold": hold}
    older.execute(
        "INSERT INTO audiences (connector, id, record, hold_reason) VALUES ('pangolin', 'a.1', ?, 'crashed')",
        (msgspec.json.encode(record),),
    )
    older.close()

    backend = EmbeddedBackend.open(tmp_path, TurnedClock())
    try:
        hour = int(BEGINNING)
        assert backend.reports.by_hour(None, since=BEGINNING) == {
            "pangolin": {hour: {"delivered": 11}, hour + 3_600: {"delivered": 100}, hour + 86_400: {"delivered": 1_000}}
        }
        assert backend.reports.latencies("pangolin", since=BEGINNING) == {200: 1_111}
        assert [one.number for one in backend.reports.rejection_codes(since=BEGINNING)] == [3]
        assert [one.id for one in backend.audiences.page(like="ärger", limit=9)] == ["a.1"]
        assert backend.audiences.summary() == {
            "pangolin": AudienceSummary(1, {"ready": 1}, {"crashed": HoldSummary(1, 2, 3, 4, 5.0, None)})
        }
    finally:
        backend.close()
