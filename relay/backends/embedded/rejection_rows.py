"""Rejections as rows, within the caller's transaction: reports write them, and so does a hold that is dropped."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from relay.backends.embedded.records import REJECTION
from relay.domain.outcome import Rejection


def add_rejections(connection: sqlite3.Connection, rejections: Iterable[Rejection]) -> None:
    """Stores them under the next numbers."""
    connection.executemany(
        "INSERT INTO rejections (connector, audience, user_hash, at, record) VALUES (?, ?, ?, ?, ?)",
        [
            (rejection.connector, rejection.audience, rejection.user_hash, rejection.at, REJECTION.write(rejection))
            for rejection in rejections
        ],
    )
