"""A large installation for `bench.console`: connectors, audiences half of which are held, attempts, rejections and a week of
counters.

Connectors are applied as anybody applies them, and audiences are saved by the store's own functions. What there are a hundred
thousands of is written as rows: for the time of it their indexes and triggers are taken away, and made again afterwards as the
schema has them, which is many times quicker than keeping them in order for each row. What triggers would have added up, the
migration's own statements add up.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend, audience_rows
from relay.backends.embedded.counter_rows import COUNTED
from relay.backends.embedded.schema import ADDED_UP, REJECTIONS_ADDED_UP
from relay.backends.interfaces import ATTEMPTS_KEPT
from relay.backends.records import EXCHANGES, REJECTION, REPORT
from relay.connectors.publishing import Publishing
from relay.domain import audience as policy
from relay.domain.audience import Audience, HoldReason, HoldRequest, Status
from relay.domain.clock import SystemClock
from relay.domain.exchange import VERSION, Content, Exchange, Exchanges
from relay.domain.message import Message, Mutation, encode
from relay.domain.outcome import CallReport, Rejection, Report, Result, hash_user
from worker.exchanges import KEPT, KEPT_OF_TROUBLE, MOST_BYTES

CONNECTORS = 200
WEEK_S = 7 * 86_400

MOST_RESULTS = 1_000
"""A report names so many results at most; one in a hundred attempts has them, since the partner refused a whole batch."""

_BYTES_OF_A_FIELD = 3 * len('"field_00":"‹user 1: field_00›",'.encode()) + 4
"""Of three users."""

_REASONS: tuple[HoldReason, ...] = ("partner_unavailable", "come_back_later", "audience_not_ready", "credentials_refused")
_CODES = ("invalid_id", "no_consent", "unreadable", "too_long", "unknown_user")
_UNREADY: dict[int, Status] = {3: "failed", 7: "unknown", 9: "creating"}
"""Of each twenty audiences of a connector."""

_DOCUMENT = """
name: {name}
title: Audiences of shop {number}
adapter: pangolin
inbound: {{hmac_secret: all-hmac}}
settings: {{base_url: "http://127.0.0.1:1"}}
secrets: {{token: all-token}}
actions:
  - {{name: Create audience, trigger: created, operation: create_audience}}
  - {{name: Add, trigger: joined, operation: add, mapping: {{id: user.id}}}}
  - {{name: Remove, trigger: left, operation: remove, mapping: {{id: user.id}}}}
"""


def name_of(number: int) -> str:
    """Of a connector."""
    return f"shop-{number:03d}"


def audience_of(number: int) -> str:
    """An ID of the DMP's form."""
    return f"a5940e473cea659.{number:018d}"


def attempt_of(connector: int, nth: int) -> str:
    """The ID of an attempt."""
    return f"{connector}-{nth}"


def fill(backend: EmbeddedBackend, audiences: int, rejections: int) -> dict[str, float]:
    """All that a large installation has after a while. Returns what each part took, in seconds."""
    took: dict[str, float] = {}
    parts: dict[str, Callable[[], None]] = {
        "connectors": lambda: _fill_connectors(backend),
        "audiences": lambda: _fill_audiences(backend, audiences),
        "attempts": lambda: _fill_attempts(backend, audiences),
        "counters": lambda: _fill_counters(backend),
        "rejections": lambda: _fill_rejections(backend, rejections, audiences),
    }
    for part, work in parts.items():
        began = time.monotonic()
        work()
        took[part] = time.monotonic() - began
    return took


def _fill_connectors(backend: EmbeddedBackend) -> None:
    publishing = Publishing(backend, describe, "bench", SystemClock())
    for secret in ("all-hmac", "all-token"):
        publishing.set_secret(secret, "of-the-measurement")
    for number in range(CONNECTORS):
        publishing.apply(_DOCUMENT.format(name=name_of(number), number=number))


def _fill_audiences(backend: EmbeddedBackend, audiences: int) -> None:
    now = time.time()
    with backend.database.transaction() as connection:
        for number in range(audiences):
            of, own = name_of(number % CONNECTORS), audience_of(number)
            nth = number // CONNECTORS
            status = _UNREADY.get(nth % 20, "ready")
            audience = Audience(
                policy.VERSION, of, own, name=f"Visitors of campaign {number}", status=status,
                partner_id=str(number) if status == "ready" else None, paused=nth % 25 == 4, created_at=now,
            )  # fmt: skip
            if nth % 2:
                mutations = (Mutation(index=0, user={"id": str(number)}),)
                message = Message(1, "change", of, own, f"{number:032x}", now, mutations=mutations)
                body = encode(message)
                why = HoldRequest(_REASONS[nth // 2 % len(_REASONS)], now + 3_600, "Status 503.")
                audience, place = policy.join(audience, message, len(body), why, now=now)
                audience_rows.save(connection, audience)
                audience_rows.add_batch(connection, place, f"held-{number}", message, body, now=now)
            else:
                audience_rows.save(connection, audience)


def _fill_attempts(backend: EmbeddedBackend, audiences: int) -> None:
    """The last of each connector, one a minute: every tenth has rejections, every fiftieth met a partner that was away, and in
    one of a hundred a whole batch was refused. What was exchanged in that is as large as it is ever kept."""
    now = time.time()
    usual = EXCHANGES.write(Exchanges(VERSION, (_exchange(1, 200),)))
    calls = KEPT + KEPT_OF_TROUBLE
    largest = EXCHANGES.write(Exchanges(VERSION, (_exchange(MOST_BYTES // calls // 2 // _BYTES_OF_A_FIELD, 500),) * calls, 2))
    call, refused = CallReport("add", 100, 200, 78.0), CallReport("add", 100, 503, 78.0, "unavailable")

    def attempts() -> Iterator[tuple[Any, ...]]:
        for nth in range(1, ATTEMPTS_KEPT + 1):
            at = now - (ATTEMPTS_KEPT - nth) * 60
            for number in range(CONNECTORS):
                rejected = MOST_RESULTS if nth % 100 == 0 else 10 if nth % 10 == 0 else 0
                away = nth % 50 == 1
                requests = tuple(f"{nth:016x}{part:016x}" for part in range(3))
                report = Report(
                    1, attempt_of(number, nth), name_of(number), 1, audience_of((number + 200 * nth) % audiences), "change",
                    requests, at, 80.0, {"retry": 100} if away else {"delivered": 90, "rejected": rejected},
                    calls=(refused,) if away else (call,),
                    exceptions=tuple(
                        Result(requests[0], index, "Add", "rejected", "invalid_id", "The partner does not take this user.")
                        for index in range(rejected)
                    ),
                    problem="unavailable" if away else "", lag_ms=300,
                )  # fmt: skip
                exchanged = largest if nth % 100 == 0 else usual
                yield report.connector, nth, at, report.failed, REPORT.write(report), exchanged

    with _plain(backend, "attempts") as connection:
        connection.executemany(
            "INSERT INTO attempts (connector, nth, at, failed, record, exchanges) VALUES (?, ?, ?, ?, ?, ?)", attempts()
        )


def _exchange(fields: int, status: int) -> Exchange:
    """With three users of so many fields in both bodies."""
    names = [f"field_{number:02d}" for number in range(fields)]
    users = [{name: f"‹user {user}: {name}›" for name in names} for user in (1, 2, 3)]
    body = Content("json", 9_000, msgspec.json.encode({"users": [*users, "‹97 more›"]}).decode())
    kind, places = {"Content-Type": "application/json"}, tuple((f"{place:032x}", place) for place in range(3))
    url = "http://127.0.0.1:1/api/audiences/7/users"
    return Exchange("POST", url, status, 78.0, "add", 100, places, "", kind, body, kind, body)


def _fill_counters(backend: EmbeddedBackend) -> None:
    """Every minute of the week, for every connector."""
    end = int(time.time()) // 60 * 60
    minutes = (
        "WITH RECURSIVE minutes (minute) AS (SELECT ? UNION ALL SELECT minute + 60 FROM minutes WHERE minute < ?),"
        " whose (number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM whose WHERE number < ? - 1)"
    )
    for counted, names in zip(COUNTED, (("delivered", "rejected", "retry"), (200, 500)), strict=True):
        with _plain(backend, counted.table) as connection:
            connection.execute(
                f"INSERT INTO {counted.table} {minutes}"  # noqa: S608 - ours
                " SELECT printf('shop-%03d', number), minute, name.value, 90 - 10 * name.key"
                " FROM whose CROSS JOIN minutes CROSS JOIN json_each(?) AS name",
                (end - WEEK_S, end, CONNECTORS, msgspec.json.encode(names).decode()),
            )
            connection.execute(ADDED_UP.format(table=counted.table, column=counted.column))


def _fill_rejections(backend: EmbeddedBackend, rejections: int, audiences: int) -> None:
    now = time.time()

    def rows() -> Iterator[tuple[Any, ...]]:
        for number in range(rejections):
            one = Rejection(
                1, name_of(number % CONNECTORS), audience_of(number % audiences), f"{number // 100:032x}", number, "joined",
                hash_user(str(number % 100_000)), "Add", _CODES[number // 7 % len(_CODES)],
                "The partner does not take this user.", now - WEEK_S * (1 - number / rejections),
            )  # fmt: skip
            yield (
                one.connector, one.audience, one.request_id, one.index, one.action, one.user_hash, one.at, REJECTION.write(one),
            )  # fmt: skip

    with _plain(backend, "rejections") as connection:
        connection.executemany(
            "INSERT INTO rejections (connector, audience, request_id, place, action, user_hash, at, record)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows(),
        )
        connection.execute(REJECTIONS_ADDED_UP)


@contextmanager
def _plain(backend: EmbeddedBackend, table: str) -> Iterator[sqlite3.Connection]:
    """A transaction in which a table has no index and no trigger but those that its constraints need."""
    with backend.database.transaction(durable=False) as connection:
        made = connection.execute(
            "SELECT type, name, sql FROM sqlite_schema WHERE tbl_name = ? AND type IN ('index', 'trigger') AND sql IS NOT NULL",
            (table,),
        ).fetchall()
        for kind, name, _ in made:
            connection.execute(f"DROP {kind} {name}")
        yield connection
        for _, _, sql in made:
            connection.execute(sql)

