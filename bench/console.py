"""The console with a lot behind it: how long each page takes to be made, and which of them takes too long.

`python -m bench.console [--audiences 10000] [--rejections 1000000]` fills a state with 200 connectors, their audiences (half of
them held), rejections and a week of counters, asks for every page of the console's URL map, prints a table, writes
`bench/results/console.json`, and ends with 1 where a page takes longer than 300 ms. A page is asked for by Flask's test client:
what a server and a browser add is not in it. It needs ten minutes and two gigabytes of disk; `--state` keeps what was filled.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Flask
from flask.testing import FlaskClient
from msgspec.structs import replace

from adapters.registry import describe
from bench.tables import print_table, spread, write_results
from relay.backends.embedded import EmbeddedBackend, audience_rows
from relay.backends.embedded.counter_rows import COUNTED
from relay.backends.embedded.schema import ADDED_UP
from relay.backends.interfaces import ATTEMPTS_KEPT
from relay.backends.records import REPORT
from relay.configuration import Configuration
from relay.connectors.publishing import Publishing
from relay.console import create_app
from relay.domain import audience as policy
from relay.domain.audience import Audience, HoldReason, HoldRequest
from relay.domain.clock import SystemClock
from relay.domain.message import Message, Mutation, encode
from relay.domain.outcome import Rejection, Report, hash_user

CONNECTORS = 200
BAR_MS = 300.0
TIMES = 7
WEEK_S = 7 * 86_400
PASSWORD = "of-the-measurement"

_REASONS: tuple[HoldReason, ...] = ("partner_unavailable", "come_back_later", "audience_not_ready", "credentials_refused")
_CODES = ("invalid_id", "no_consent", "unreadable", "too_long", "unknown_user")
_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')

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

Figures = dict[str, dict[str, float]]


def name_of(number: int) -> str:
    """Of a connector."""
    return f"shop-{number:03d}"


def audience_of(number: int) -> str:
    """An ID of the DMP's form."""
    return f"a5940e473cea659.{number:018d}"


# the state


def fill(backend: EmbeddedBackend, audiences: int, rejections: int) -> None:
    """All that a large installation has after a while."""
    publishing = Publishing(backend, describe, "bench", SystemClock())
    for secret in ("all-hmac", "all-token"):
        publishing.set_secret(secret, "of-the-measurement")
    for number in range(CONNECTORS):
        publishing.apply(_DOCUMENT.format(name=name_of(number), number=number))
    _fill_audiences(backend, audiences)
    _fill_attempts(backend)
    _fill_counters(backend)
    _fill_rejections(backend, rejections)


def _fill_audiences(backend: EmbeddedBackend, audiences: int) -> None:
    now = time.time()
    with backend.database.transaction() as connection:
        for number in range(audiences):
            of, own = name_of(number % CONNECTORS), audience_of(number)
            name = f"Visitors of campaign {number}"
            audience = Audience(
                policy.VERSION, of, own, name=name, status="ready", partner_id=str(number), created_at=now
            )
            if number // CONNECTORS % 2:
                mutations = (Mutation(index=0, user={"id": str(number)}),)
                message = Message(1, "change", of, own, f"{number:032x}", now, mutations=mutations)
                body = encode(message)
                why = HoldRequest(_REASONS[number // CONNECTORS // 2 % len(_REASONS)], now + 3_600, "Status 503.")
                audience, place = policy.join(audience, message, len(body), why, now=now)
                audience_rows.save(connection, audience)
                audience_rows.add_batch(connection, place, f"held-{number}", message, body, now=now)
            else:
                audience_rows.save(connection, audience)


def _fill_attempts(backend: EmbeddedBackend) -> None:
    now = time.time()

    def attempts() -> Iterator[tuple[Any, ...]]:
        for nth in range(1, ATTEMPTS_KEPT + 1):
            for number in range(CONNECTORS):
                at = now - (ATTEMPTS_KEPT - nth) * 60
                report = Report(
                    1, f"{number}-{nth}", name_of(number), 1, audience_of(number), "change", (f"{nth:032x}",), at, 80.0,
                    {"delivered": 90, "rejected": 10 if nth % 10 == 0 else 0},
                    problem="unavailable" if nth % 50 == 0 else "", lag_ms=300,
                )  # fmt: skip
                yield report.connector, nth, at, report.failed, REPORT.write(report)

    with backend.database.transaction() as connection:
        connection.executemany("INSERT INTO attempts (connector, nth, at, failed, record) VALUES (?, ?, ?, ?, ?)", attempts())


def _fill_counters(backend: EmbeddedBackend) -> None:
    """Every minute of the week, for every connector."""
    first = int(time.time() - WEEK_S) // 60 * 60
    every_minute = (
        "WITH RECURSIVE minutes (minute) AS (SELECT ? UNION ALL SELECT minute + 60 FROM minutes WHERE minute < ?),"
        " whose (number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM whose WHERE number < ? - 1)"
    )
    for counted, names in zip(COUNTED, (("delivered", "rejected", "retry"), (200, 500)), strict=True):
        for nth, name in enumerate(names):
            with backend.database.transaction() as connection:
                connection.execute(
                    f"INSERT INTO {counted.table} {every_minute}"  # noqa: S608 - ours
                    " SELECT printf('shop-%03d', number), minute, ?, 90 - 10 * ? FROM whose, minutes",
                    (first, first + WEEK_S, CONNECTORS, name, nth),
                )
        with backend.database.transaction() as connection:
            connection.execute(ADDED_UP.format(table=counted.table, column=counted.column))


def _fill_rejections(backend: EmbeddedBackend, rejections: int) -> None:
    now = time.time()
    at_once = 20_000
    for start in range(0, rejections, at_once):
        backend.reports.add_rejections(
            Rejection(
                1, name_of(number % CONNECTORS), audience_of(number % 10_000), f"{number // 100:032x}", number, "joined",
                hash_user(str(number % 100_000)), "Add", _CODES[number // 7 % len(_CODES)],
                "The partner does not take this user.",
                now - WEEK_S * (1 - number / rejections),
            )
            for number in range(start, min(rejections, start + at_once))
        )  # fmt: skip


# the pages


def logged_in(app: Flask) -> FlaskClient:
    """Somebody with the password."""
    client = app.test_client()
    found = _TOKEN.search(client.get("/login").text)
    assert found, "the console has no form to log in"
    answer = client.post("/login", data={"name": "bench", "password": PASSWORD, "csrf_token": found.group(1)})
    assert answer.status_code == 302, answer.status_code
    return client


def addresses(app: Flask, audiences: int) -> tuple[dict[str, str], list[str]]:
    """Page → where it is, for all that can be looked at; and those that are left out, since they need more than a name."""
    connector, held = name_of(7), audience_of(CONNECTORS + 7)
    parts: dict[str, Any] = {"name": connector, "connector": connector, "attempt_id": "7-900", "document": connector, "number": 1}
    one = {"connector": connector, "audience": held}
    asked: dict[str, list[tuple[str, dict[str, str]]]] = {
        "audiences.show": [
            ("", {}),
            (" of one connector", {"connector": connector}),
            (" that are sought", {"like": str(audiences - 3), "q": str(audiences - 3)}),
        ],
        "audiences.one": [("", one)],
        "holds.show": [("", {}), (" of one connector", {"connector": connector})],
        "holds.one": [("", one)],
        "rejections.show": [("", {}), (" of one connector", {"connector": connector})],
        "activity.show": [("", {}), (" of one connector", {"connector": connector})],
        "search.show": [("", {"q": "campaign 77"}), (" for nothing", {"q": "there is no such thing"})],
        "rejections.csv": [(" of one connector", {"connector": connector})],
    }  # fmt: skip
    found: dict[str, str] = {}
    left_out: list[str] = []
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            if "GET" not in (rule.methods or ()) or rule.endpoint.endswith("static") or rule.endpoint == "assets":
                continue
            if not rule.arguments <= set(parts):
                left_out.append(str(rule))
                continue
            path = rule.build({name: parts[name] for name in rule.arguments})
            assert path is not None
            for which, query in asked.get(rule.endpoint, [("", {})]):
                found[f"{rule.rule}{which}"] = f"{path[1]}{'?' if query else ''}{urlencode(query)}"
    return found, left_out


@contextmanager
def statements(backend: EmbeddedBackend) -> Iterator[list[str]]:
    """What is asked of the store by this thread meanwhile."""
    connection = backend.database.connection()
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    try:
        yield seen
    finally:
        connection.set_trace_callback(None)


def measure(backend: EmbeddedBackend, client: FlaskClient, pages: dict[str, str]) -> tuple[Figures, list[str]]:
    """Milliseconds of each page (cpu: of processor time), what is asked of the store for it, and its size; and
    the pages that cannot be looked at so."""
    rows: Figures = {}
    others: list[str] = []
    for page, address in pages.items():
        with statements(backend) as seen:
            answer = client.get(address)
            size = len(answer.data)
        if answer.status_code != 200:
            others.append(f"{page} ({answer.status_code})")
            continue
        asked = len([one for one in seen if one.lstrip().upper().startswith(("SELECT", "WITH"))])
        began = time.process_time()
        took = spread([_ms(client, address) for _ in range(TIMES)])
        cpu = (time.process_time() - began) * 1_000 / TIMES
        figures = {"ms": took["p50"], "least": took["min"], "most": took["max"], "cpu": cpu, "bar": BAR_MS}
        rows[page] = {**figures, "asked": asked, "KB": size / 1_000}
    return rows, others


def _ms(client: FlaskClient, address: str) -> float:
    began = time.perf_counter()
    _ = client.get(address).data
    return (time.perf_counter() - began) * 1_000


def run(directory: Path, audiences: int, rejections: int) -> int:
    """The number of pages that take too long."""
    backend = EmbeddedBackend.open(directory, SystemClock())
    try:
        if not backend.connectors.documents():
            began = time.monotonic()
            fill(backend, audiences, rejections)
            print(f"The state took {time.monotonic() - began:.0f} s to fill.")
        app = create_app(replace(Configuration(), console_password=PASSWORD), backend)
        pages, left_out = addresses(app, audiences)
        rows, others = measure(backend, logged_in(app), pages)
    finally:
        backend.close()
    print_table(rows)
    if left_out or others:
        print(f"Left out: {', '.join([*left_out, *others])}.")
    write_results("console", rows)
    slow = [page for page, figures in rows.items() if figures["ms"] > BAR_MS]
    for page in slow:
        print(f"{page} takes longer than {BAR_MS:.0f} ms.")
    return len(slow)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audiences", type=int, default=10_000)
    parser.add_argument("--rejections", type=int, default=1_000_000)
    parser.add_argument("--state", type=Path, help="a state that is kept, and used again if it is filled")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        sys.exit(bool(run(arguments.state or Path(directory), arguments.audiences, arguments.rejections)))


if __name__ == "__main__":
    main()
