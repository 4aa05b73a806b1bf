"""A connector's rate: at most so many calls and items in any period, whichever processes make them."""

from __future__ import annotations

import math
import sqlite3

from relay.domain.connector import RateLimits

_MICROSECONDS = 1_000_000


def admit(connection: sqlite3.Connection, connector: str, rate: RateLimits, *, items: int, now: float) -> float:
    """0 and the call is counted, or the seconds after which it fits. Within the caller's transaction.

    The calls of the last period are rows whose `calls` and `items` count up, so that the sum over any stretch of time is the
    difference of two rows. Times are whole microseconds: a caller that waits exactly as long as told is then admitted.
    """
    if rate.calls is None and rate.items is None:
        return 0
    period = math.ceil(rate.per_s * _MICROSECONDS)
    moment = round(now * _MICROSECONDS)
    # More items in one call than the rate allows in a period: the call takes a whole period for itself.
    charged = items if rate.items is None else min(items, rate.items)
    # A clock that was set back: what was counted in its future happens now, and no wait is longer than a period.
    connection.execute("UPDATE admissions SET at = :now WHERE connector = :connector AND at > :now", _named(connector, moment))
    calls, total = _newest(connection, connector)
    free_at = max(
        _free_at(connection, connector, "calls", None if rate.calls is None else calls + 1 - rate.calls, period),
        _free_at(connection, connector, "items", None if rate.items is None else total + charged - rate.items, period),
    )
    if free_at > moment:
        return free_at / _MICROSECONDS - now
    _forget_before(connection, connector, moment - period)
    connection.execute(
        "INSERT INTO admissions (connector, calls, items, at) VALUES (?, ?, ?, ?)",
        (connector, calls + 1, total + charged, moment),
    )
    return 0


def _newest(connection: sqlite3.Connection, connector: str) -> tuple[int, int]:
    row = connection.execute(
        "SELECT calls, items FROM admissions WHERE connector = ? ORDER BY calls DESC LIMIT 1", (connector,)
    ).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def _free_at(connection: sqlite3.Connection, connector: str, column: str, until: int | None, period: int) -> int:
    """When the row that brought `column` to `until` leaves the period: then there is room. 0 if there always was."""
    if until is None or until <= 0:
        return 0
    row = connection.execute(
        f"SELECT at FROM admissions WHERE connector = ? AND {column} >= ? ORDER BY {column} LIMIT 1",  # noqa: S608 - ours
        (connector, until),
    ).fetchone()
    return row[0] + period if row else 0


def _forget_before(connection: sqlite3.Connection, connector: str, moment: int) -> None:
    # The newest of those that have left the period stays: the sum over the period is counted from it.
    connection.execute(
        "DELETE FROM admissions WHERE connector = :connector AND at <= :now"
        " AND calls < (SELECT max(calls) FROM admissions WHERE connector = :connector AND at <= :now)",
        _named(connector, moment),
    )


def _named(connector: str, moment: int) -> dict[str, object]:
    return {"connector": connector, "now": moment}
