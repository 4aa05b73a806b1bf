"""The counts that docs/operations.md states are those that the real clients' calls have, row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import pytest

from tests.cost import page
from tests.cost.given import MUTATIONS, audience, request, user
from tests.cost.used import Used
from tests.cost.world import World

pytestmark = pytest.mark.once

HEADING = "What each piece of work uses"

COLUMNS: dict[str, Callable[[Used], float]] = {
    "messages": lambda used: used.messages,
    "pushes": lambda used: used.pushes,
    "KB": lambda used: used.throughput / 1_000,
    "calls": lambda used: used.firestore_calls,
    "reads": lambda used: used.reads,
    "writes": lambda used: used.writes,
    "deletes": lambda used: used.deletes,
    "deleted later": lambda used: used.expiring,
    "secrets": lambda used: used.accesses,
    "partner": lambda used: used.partner_calls,
}
"""Titles of the page's columns → what they show."""

ABOUT_KB = 0.03
"""The IDs of messages grow with their number."""


class Work(NamedTuple):
    """`before` makes ready, and what `counted` does is counted; `options` are those of the world."""

    counted: Callable[[World], None]
    before: Callable[[World], None]
    options: Mapping[str, str] = MappingProxyType({})


def with_a_new_instance(world: World) -> None:
    request(world)
    world.start_worker()


def after(seconds: float) -> Callable[[World], None]:
    def pause(world: World) -> None:
        request(world)
        world.clock.advance(seconds)

    return pause


def with_a_slice(world: World) -> None:
    """A call right behind another one takes two: one for itself, one for the next."""
    for _ in range(3):
        request(world)


def refusing(world: World) -> None:
    request(world)
    world.faults(reject_users=[user(7)])


def having_refused(world: World) -> None:
    refusing(world)
    request(world)


def down(world: World) -> None:
    request(world)
    world.faults(status=503)


def with_a_hold(world: World) -> None:
    down(world)
    request(world)


def with_a_long_hold(world: World) -> None:
    """Ten batches of different users in one hold, whose resume is on its way; the partner is still down."""
    down(world)
    for number in range(10):
        request(world, first_user=number * MUTATIONS)
    world.clock.advance(60)
    tick(world)


def in_recovery(world: World) -> None:
    with_a_long_hold(world)
    world.faults()


def with_holds(world: World) -> None:
    """Ten audiences that wait since the partner was down."""
    request(world, 10)
    world.faults(status=503)
    request(world, 10)


def with_one_due(world: World) -> None:
    with_holds(world)
    world.backend.audiences.make_due("pangolin", audience(3))


def with_a_paused_connector(world: World) -> None:
    """It has ten audiences that wait for it."""
    request(world, 10)
    world.backend.connectors.set_paused("pangolin", True)
    request(world, 10)


def tick(world: World) -> None:
    """One look at the holds."""
    world.tick()


def tick_for_a_minute(world: World) -> None:
    world.tick(50)


def handle_one(world: World) -> None:
    """A message that is in the queue already."""
    world.deliver()


def asked(world: World) -> None:
    world.ask(audience(0), user(1_000))


def announced(number: int) -> Callable[[World], None]:
    return lambda world: world.announce(audience(number))


RATE = {"rate": "{calls: 100, per: 1s}"}

WORK = {
    "the instance is new": Work(request, with_a_new_instance),
    "a minute later": Work(request, after(61)),
    "rate limit, after a pause": Work(request, after(5), RATE),
    "rate limit, within a slice": Work(request, with_a_slice, RATE),
    "a user is rejected": Work(request, refusing),
    "another one within the minute": Work(request, having_refused),
    "the partner is down: a hold begins": Work(request, down),
    "a batch joins the hold": Work(request, with_a_hold),
    "resume of 10 batches": Work(handle_one, in_recovery),
    "resume of 10 batches, still down": Work(handle_one, with_a_long_hold),
    "`tick`, nothing held": Work(tick_for_a_minute, request),
    "`tick`, 10 holds, none due": Work(tick, with_holds),
    "`tick`, 10 holds, one due": Work(tick, with_one_due),
    "`tick`, 10 holds, paused": Work(tick, with_a_paused_connector),
    "direct delivery of a feed's user": Work(asked, request),
    "tidying, nothing old": Work(World.tidy, request),
    "CREATE_AUDIENCE": Work(announced(1), announced(0)),
}


REQUESTS = {
    1: ("request, 1 new audience", "request, 1 audience"),
    10: ("request, 10 new audiences", "request, 10 audiences"),
    100: ("request, 100 new audiences", "request, 100 audiences"),
}


def test_every_piece_of_work_on_the_page_is_counted_here() -> None:
    assert set(page.table(HEADING)) == {*WORK, *(name for names in REQUESTS.values() for name in names)}


@pytest.mark.parametrize("audiences", REQUESTS)
def test_a_request_uses_what_the_page_says_with_so_many_audiences(make_world: Callable[..., World], audiences: int) -> None:
    world = make_world()
    request(world)

    for name in REQUESTS[audiences]:
        world.begin_counting()
        request(world, audiences, first_audience=1)
        require_stated(name, world.used())


@pytest.mark.parametrize("name", WORK)
def test_it_uses_what_the_page_says(make_world: Callable[..., World], name: str) -> None:
    work = WORK[name]
    world = make_world(**work.options)
    work.before(world)

    world.begin_counting()
    work.counted(world)

    require_stated(name, world.used())


def require_stated(name: str, used: Used) -> None:
    """The page has this row; and each message was one call of Publish."""
    shown = {title: of(used) for title, of in COLUMNS.items()}
    stated = {title: page.number(cell) for title, cell in page.table(HEADING)[name].items()}
    assert stated.pop("KB") == pytest.approx(shown["KB"], rel=ABOUT_KB)
    assert stated == {title: value for title, value in shown.items() if title != "KB"}, row_of(name, shown)
    assert used.publish_calls == used.messages


def row_of(name: str, shown: Mapping[str, float]) -> str:
    """The row as it should be, to be copied."""
    cells = [f"{value:,.1f}".removesuffix(".0") if value else "–" for value in shown.values()]
    return f"| {name} | {' | '.join(cells)} |"
