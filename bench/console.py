"""The console with a lot behind it: how long each page takes to be made, and which of them takes too long.

`python -m bench.console [--audiences 10000] [--rejections 1000000]` fills a state with 200 connectors, their audiences (half of
them held), the last thousand attempts of each, rejections, and a week of counters (see `bench.console_state`), asks for every
page of the console's URL map, prints a table, writes `bench/results/console.json`, and ends with 1 where a page's median is above
300 ms. A page is asked for by Flask's test client: what a server and a browser add is not in it. It needs two to four minutes and
two gigabytes of disk; `--state DIR` keeps what was filled, and uses it again (what it shows then is that much older).

Other work on the machine makes all pages slower: `× floor` is the median beside that of a page that shows nothing from the store,
and the load of the machine is printed. `cpu` is the processor's time, which others change less.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask import Flask
from flask.testing import FlaskClient
from msgspec.structs import replace
from werkzeug.test import TestResponse

from bench.console_state import CONNECTORS, attempt_of, audience_of, fill, name_of
from bench.tables import print_table, spread, write_results
from relay.backends.embedded import EmbeddedBackend
from relay.configuration import Configuration
from relay.console import create_app
from relay.console.editing.steps import ENVIRONMENTS, STEPS, TEXT
from relay.console.overview import CARDS
from relay.domain.clock import SystemClock

BAR_MS = 300.0
TIMES = 15
PASSWORD = "of-the-measurement"

_FLOOR = "/users"
"""A page with a form alone: what Flask, the session and the layout take."""

_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')

Figures = dict[str, dict[str, float]]


class Page(NamedTuple):
    """Where it is; and what a form sends there, for those that are asked for so."""

    address: str
    form: dict[str, str] | None = None


class Visitor:
    """Somebody with the password."""

    def __init__(self, app: Flask) -> None:
        self._client: FlaskClient = app.test_client()
        self._token = ""
        answer = self.ask(Page("/login", {"name": "bench", "password": PASSWORD}))
        assert answer.status_code == 302, answer.status_code
        self._token = self._found("/users")

    def ask(self, page: Page) -> TestResponse:
        """What comes back, read whole."""
        if page.form is None:
            answer = self._client.get(page.address)
        else:
            token = self._token or self._found(page.address)
            answer = self._client.post(page.address, data={**page.form, "csrf_token": token})
        _ = answer.data
        return answer

    def draft(self, connector: str) -> str:
        """Begins to change a connector. Returns the draft's name."""
        begun = self.ask(Page("/edit/start", {"name": connector}))
        return begun.location.split("/")[2]

    def _found(self, address: str) -> str:
        found = _TOKEN.search(self._client.get(address).text)
        assert found, f"{address} has no form"
        return found.group(1)


def pages_of(app: Flask, audiences: int, draft: str) -> tuple[dict[str, Page], list[str]]:
    """All that can be looked at; and those that are left out, since they need more than a name."""
    connector, held = name_of(7), audience_of(CONNECTORS + 7)
    parts: dict[str, Any] = {"name": connector, "connector": connector, "document": connector, "number": 1}
    parts["attempt_id"] = attempt_of(7, 900)  # one of those that have the most to show
    one = {"connector": connector, "audience": held}
    asked: dict[str, list[tuple[str, dict[str, str]]]] = {
        "home.connectors": [
            ("", {}),
            (" the last ones", {"skip": str(CONNECTORS - CARDS)}),
            (" that need somebody", {"state": "needs somebody"}),
        ],
        "audiences.show": [
            ("", {}),
            (" of one connector", {"connector": connector}),
            (" that are sought", {"like": str(audiences - 3)}),
            (" that failed", {"status": "failed"}),
            (" that are ready", {"status": "ready"}),
        ],
        "audiences.one": [("", one)],
        "audiences.resync": [("", one)],
        "edit.start": [("", {"name": connector})],
        "holds.show": [("", {}), (" of one connector", {"connector": connector})],
        "holds.one": [("", one)],
        "holds.discard": [("", one)],
        "rejections.show": [
            ("", {}),
            (" of 30 days", {"days": "30"}),
            (" of one code", {"action": "Add", "code": "too_long"}),
            (" of no code", {"action": "Add", "code": "there_is_none"}),
            (" of one connector", {"connector": connector}),
        ],
        "activity.show": [
            ("", {}),
            (" of a week", {"span": "week"}),
            (" of one connector", {"connector": connector}),
            (" of its hour", {"connector": connector, "span": "hour"}),
            (" rejected, far back", {"result": "rejected", "back": "1000"}),
            (" all, far back", {"audience": "no such", "back": "1000"}),
        ],
        "search.show": [("", {})],
        "rejections.csv": [(" of one connector", {"connector": connector})],
    }
    found: dict[str, Page] = {}
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
                found[f"{rule.rule}{which}"] = Page(f"{path[1]}{'?' if query else ''}{urlencode(query)}")
    for step in (*STEPS, TEXT, ENVIRONMENTS):
        found[f"/edit/<draft>/{step}"] = Page(f"/edit/{draft}/{step}")
    found["/activity/<attempt_id> that is not kept"] = Page(f"/activity/{attempt_of(7, 999_999)}")
    found["/search for audiences"] = Page("/search", {"q": "campaign 77"})
    found["/search as one types"] = Page("/search", {"q": "shop 77", "part": "1"})
    found["/search for nothing"] = Page("/search", {"q": "there is no such thing"})
    found["/users who is there"] = Page("/users", {"identifier": "4217"})
    found["/users who is not"] = Page("/users", {"identifier": "nobody"})
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


def measure(backend: EmbeddedBackend, visitor: Visitor, pages: dict[str, Page]) -> tuple[Figures, list[str]]:
    """Of each page its median and worst in milliseconds (cpu: of processor time), how often something was asked of the store for
    it, and its size; and the pages that cannot be looked at so."""
    rows: Figures = {}
    others: list[str] = []
    for name, page in pages.items():
        with statements(backend) as seen:
            answer = visitor.ask(page)
        if answer.status_code != 200 and not name.endswith("not kept"):
            others.append(f"{name} ({answer.status_code})")
            continue
        asked = len([one for one in seen if one.lstrip().upper().startswith(("SELECT", "WITH"))])
        began = time.process_time()
        took = spread([_ms(visitor, page) for _ in range(TIMES)])
        cpu = (time.process_time() - began) * 1_000 / TIMES
        size = len(answer.data) / 1_000
        rows[name] = {"median ms": took["p50"], "worst": took["max"], "cpu": cpu, "asked": asked, "KB": size}
    floor = rows[_FLOOR]["median ms"]
    return {name: {**figures, "× floor": figures["median ms"] / floor} for name, figures in rows.items()}, others


def _ms(visitor: Visitor, page: Page) -> float:
    began = time.perf_counter()
    visitor.ask(page)
    return (time.perf_counter() - began) * 1_000


def run(directory: Path, audiences: int, rejections: int) -> int:
    """The number of pages that take too long."""
    backend = EmbeddedBackend.open(directory, SystemClock())
    try:
        if not backend.connectors.documents():
            took = fill(backend, audiences, rejections)
            print(f"The state took {sum(took.values()):.0f} s to fill: {_listed(took)}.")
        app = create_app(replace(Configuration(), console_password=PASSWORD), backend)
        visitor = Visitor(app)
        pages, left_out = pages_of(app, audiences, visitor.draft(name_of(7)))
        rows, others = measure(backend, visitor, pages)
    finally:
        backend.close()
    print_table(rows)
    print(f"Load of the machine, with {os.cpu_count()} processors, in the last 1, 5 and 15 minutes: {_load()}.")
    if left_out or others:
        print(f"Left out: {', '.join([*left_out, *others])}.")
    write_results("console", rows)
    slow = [page for page, figures in rows.items() if figures["median ms"] > BAR_MS]
    for page in slow:
        print(f"{page} takes longer than {BAR_MS:.0f} ms.")
    return len(slow)


def _load() -> str:
    return ", ".join(f"{number:.1f}" for number in os.getloadavg())


def _listed(took: dict[str, float]) -> str:
    return ", ".join(f"{part} {seconds:.0f} s" for part, seconds in took.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audiences", type=int, default=10_000)
    parser.add_argument("--rejections", type=int, default=1_000_000)
    parser.add_argument("--state", type=Path, help="a state that is kept, and used again if it is filled")
    arguments = parser.parse_args()
    if arguments.state is not None:
        arguments.state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        sys.exit(bool(run(arguments.state or Path(directory), arguments.audiences, arguments.rejections)))


if __name__ == "__main__":
    main()
