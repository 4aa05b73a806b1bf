"""What an open page of the console reads, as docs/operations.md states it."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask.testing import FlaskClient

from relay.configuration import Configuration
from relay.console import create_app
from relay.domain.outcome import Report
from tests.cost import page
from tests.cost.given import audience, request
from tests.cost.world import DOCUMENT, World

pytestmark = pytest.mark.once

HEADING = "What an open page of the console reads"
CONNECTORS = 10
FAILED = 300
PASSWORD = "a-password-of-the-test"
LOOKS_A_MONTH = 60 * 730
ABOUT = 0.1
"""What is said of a page is rough: who changes one by more says so."""

PAGES = {
    "Connectors": "/",
    "one connector": "/connectors/pangolin",
    "Activity": "/activity",
    "Activity of the week": "/activity?span=week",
    "Rejections": "/rejections",
    "Audiences": "/audiences",
    "Holds": "/holds",
    "Health": "/health",
}

LOOKING_AGAIN = set(PAGES) - {"Rejections", "Audiences"}
"""By themselves, every minute, as long as they are open."""


def test_a_look_at_a_page_reads_what_the_page_about_cost_says(make_world: Callable[..., World]) -> None:
    world = make_world()
    busy_for_a_week(world)
    console = logged_in(world)

    calm = reads_of(world, console)
    in_trouble(world)
    troubled = reads_of(world, console)

    stated = page.table(HEADING)
    assert set(stated) == set(PAGES)
    for name, cells in stated.items():
        numbers = [page.number(cell) for cell in cells.values()]
        shown = [calm[name], troubled[name], monthly(troubled[name]) if name in LOOKING_AGAIN else 0]
        assert numbers == [pytest.approx(number, rel=ABOUT, abs=0.1) for number in shown], f"| {name} | {shown}"


def busy_for_a_week(world: World) -> None:
    """Ten connectors that delivered in each hour of the last day, and on each day of the last week; counted by one instance."""
    request(world)
    for number in range(1, CONNECTORS):
        document = DOCUMENT.format(url=world.pangolin.url, rate="{concurrency: 8}", max_age="0s")
        world.publishing.apply(document.replace("name: pangolin", f"name: pangolin-{number}", 1))
        world.backend.audiences.link(f"pangolin-{number}", audience(0), partner_id=f"p-{number}")
    now = world.clock.now()
    for hours in [*range(168, 24, -24), *range(24, -1, -1)]:
        record(world, now - 3_600 * hours, f"{hours}", {"delivered": 100})
    world.tidy()


def in_trouble(world: World) -> None:
    """Ten audiences wait since the partner was down, and the last attempts failed."""
    world.faults(status=503)
    request(world, 10)
    for number in range(FAILED // CONNECTORS):
        record(world, world.clock.now(), f"failed-{number}", {"retry": 1}, problem="partner_trouble")


def record(world: World, at: float, attempt: str, counts: dict[str, int], problem: str = "") -> None:
    """One attempt of each connector."""

    def of(name: str) -> None:
        report = Report(1, f"{attempt}-{name}", name, 1, audience(0), "change", (attempt,), at, 5.0, counts, problem=problem)
        world.backend.reports.attempt(report, [])

    with ThreadPoolExecutor(CONNECTORS) as threads:
        list(threads.map(of, names()))
    world.clock.advance(2)


def names() -> list[str]:
    return ["pangolin", *(f"pangolin-{number}" for number in range(1, CONNECTORS))]


def logged_in(world: World) -> FlaskClient:
    client = create_app(Configuration(console_password=PASSWORD), world.backend, world.clock).test_client()
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/login").text)
    assert token
    answer = client.post("/login", data={"name": "Ann", "password": PASSWORD, "csrf_token": token[1]})
    assert answer.status_code == 302
    return client


def reads_of(world: World, console: FlaskClient) -> dict[str, int]:
    """By the page, of one look."""
    found = {}
    for name, address in PAGES.items():
        console.get(address)  # what is remembered between looks is not counted
        world.begin_counting()
        assert console.get(address).status_code == 200
        found[name] = world.used().reads
    return found


def monthly(reads: int) -> float:
    """USD, of a page that nobody ever closes."""
    price = page.number(page.table("Prices")["Firestore: reads"]["USD"])
    return reads * LOOKS_A_MONTH * price / 100_000
