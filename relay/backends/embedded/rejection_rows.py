"""Rejections as rows, within the caller's transaction: reports write them, and so does a hold that is dropped."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from relay.backends.records import REJECTION
from relay.domain.outcome import Rejection


def add_rejections(connection: sqlite3.Connection, rejections: Iterable[Rejection]) -> None:
    """Stores them under the next numbers; one that is there already stays as it is."""
    connection.executemany(
        "INSERT OR IGNORE INTO rejections (connector, audience, request_id, place, action, user_hash, at, record)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (one.connector, one.audience, one.request_id, one.index, one.action, one.user_hash, one.at, REJECTION.write(one))
            for one in rejections
        ],
    )
