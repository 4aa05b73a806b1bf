"""The promise: for each user and audience the partner's final state is that of the last mutation that was accepted, whatever is
retried, repeated, split, held, crashed or frozen; and no accepted mutation is lost."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.errors import StoreUnavailable
from relay.pangolin.server import InThread
from tests.promise.conftest import Places
from tests.promise.world import Abort, World
from worker.tick import tick

USERS = ["U1", "u1", "u2", "u3"]  # U1 and u1 are one row at the partner
AUDIENCES = ["a.1", "a.2"]

mutations = st.tuples(st.sampled_from(AUDIENCES), st.sampled_from(USERS), st.sampled_from(["joined", "left"]))

FAULTS: list[dict[str, Any]] = [
    {},
    {"reject_users": ["u1"]},
    {"poison_users": ["u2"]},
    {"status": 429, "retry_after": 90},
    {"status": 429, "retry_after": 1, "calls": 1},
    {"status": 429, "calls": 2},
    {"status": 500, "calls": 1},
    {"status": 500},
    {"html": True},
    {"unauthorized": True},
    {"error_rate": 0.5},
    {"hang": True, "calls": 1},
    {"latency_ms": 330, "calls": 1},
]

steps = st.one_of(
    st.tuples(st.just("accept"), st.lists(mutations, min_size=1, max_size=4)),
    st.tuples(st.just("accept"), st.lists(mutations, min_size=1, max_size=4)),
    st.tuples(st.just("work"), st.integers(1, 3)),
    st.tuples(st.just("work"), st.integers(1, 3)),
    st.tuples(st.just("crash"), st.integers(1, 24)),
    st.tuples(st.just("freeze"), st.integers(0, 16)),
    st.tuples(
        st.just("freeze"), st.sampled_from([("before join",), ("before settle",), ("before attempt",), ("before finish",)])
    ),
    st.tuples(st.just("wake"), st.none()),
    st.tuples(st.just("tick"), st.sampled_from([0.5, 31.0, 100.0, 301.0])),
    st.tuples(st.just("faults"), st.sampled_from(FAULTS)),
    st.tuples(st.just("switch"), st.booleans()),
    st.tuples(st.just("storm"), st.integers(0, 1_000_000)),
    st.tuples(st.just("storm"), st.integers(0, 1_000_000)),
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.just("pause audience"), st.booleans()),
    st.tuples(st.just("action"), st.sampled_from(["paused", None])),
    st.tuples(st.just("version"), st.sampled_from(["0s", "60s"])),
    st.tuples(st.just("resume"), st.none()),
    st.tuples(st.just("replay"), st.sampled_from(AUDIENCES)),
)

numbers = itertools.count()


def abort_at(moment: int) -> Callable[[int, str], None]:
    def on(count: int, _name: str) -> None:
        if count == moment:
            raise Abort

    return on


def storm(world: World, chance: random.Random) -> Callable[[int, str], None]:
    """Between the effects of a turn time passes, holds are looked at, requests come in, the connector is switched, the store
    fails and the process ends."""

    def on(_count: int, name: str) -> None:
        what = chance.random()
        if what < 0.10:
            world.clock.advance(chance.choice([0, 0.5, 2]))
            tick(world.backend, world.worker.catalog, world.clock)
        elif what < 0.13:
            world.accept([(chance.choice(AUDIENCES), chance.choice(USERS), chance.choice(["joined", "left"]))])
        elif what < 0.15:
            world.publishing().set_enabled("pangolin", chance.random() < 0.6)
        elif what < 0.17 and name.startswith("before") and "send" not in name and "create_audience" not in name:
            raise StoreUnavailable("The store cannot be reached.")
        elif what < 0.19:
            raise Abort

    return on


def play(world: World, script: list[tuple[str, Any]]) -> None:
    wakes: list[Callable[[], None]] = []
    for step, value in script:
        match step:
            case "accept":
                world.accept(value)
            case "work":
                for _ in range(value):
                    world.work()
            case "crash":
                for wake in wakes:  # a process that dies takes its frozen threads with it
                    wake()
                wakes.clear()
                world.work(abort_at(value))
            case "freeze":
                if not wakes:
                    wakes.append(world.freeze(value))
                    world.tick(151)  # its lease runs out
            case "wake":
                for wake in wakes:
                    wake()
                wakes.clear()
            case "tick":
                world.tick(value)
            case "faults":
                world.faults(**value)
            case "switch":
                world.publishing().set_enabled("pangolin", value)
            case "storm":
                for _ in range(4):
                    world.work(storm(world, random.Random(value)))
            case "pause":
                world.backend.connectors.set_paused("pangolin", value)
            case "pause audience":
                for audience in world.backend.audiences.all()[:1]:
                    world.backend.audiences.set_paused("pangolin", audience.id, value)
            case "action":
                world.publishing().set_action("pangolin", "Remove", value)
            case "version":
                world.publishing().apply(world.gathering(value))
            case "resume":
                world.backend.audiences.make_due("pangolin")
            case "replay":
                if world.place is None:  # what keeps the journal is what queues
                    world.replay(value)
    for wake in wakes:
        wake()


@pytest.mark.timeout(0)
def test_the_last_mutation_wins_whatever_happens(pangolin: InThread, places: Places, tmp_path: Path, cases: int) -> None:
    @settings(max_examples=cases or (300 if places() is None else 30))
    @given(
        script=st.lists(steps, min_size=2, max_size=14),
        max_items=st.sampled_from([2, 100]),
        max_age=st.sampled_from(["0s", "0s", "60s"]),
        rate=st.sampled_from(["{concurrency: 8}", "{concurrency: 8}", "{calls: 3, per: 10s}"]),
        together=st.booleans(),
    )
    def holds(script: list[tuple[str, Any]], max_items: int, max_age: str, rate: str, together: bool) -> None:
        number = next(numbers)
        state = tmp_path / str(number)
        prefix = f"w{number}-{tmp_path.name}-"
        world = World(
            state, pangolin, prefix, max_items=max_items, max_age=max_age, rate=rate, junk=True, place=places(),
            journal="off" if places() else "7d", together=together,
        )
        world.clock.advance(60)  # every receiver knows by now that the journal is on
        try:
            play(world, script)
            world.drain()
            world.assert_last_mutation_wins()
        finally:
            world.backend.close()
            world.view.close()
            shutil.rmtree(state)

    holds()


SCENARIOS: dict[str, list[tuple[str, Any]]] = {
    "a first addition, which creates the audience": [("accept", [("a.1", "u1", "joined"), ("a.1", "u2", "joined")])],
    "an addition taken back while the partner is down": [
        ("accept", [("a.1", "u1", "joined"), ("a.1", "u3", "joined")]),
        ("work", 1),
        ("faults", {"status": 500}),
        ("accept", [("a.1", "u1", "left")]),
    ],
    "a hold that is resumed with later changes in it": [
        ("faults", {"status": 500}),
        ("accept", [("a.1", "u1", "joined"), ("a.1", "u2", "joined")]),
        ("work", 1),
        ("accept", [("a.1", "u1", "left"), ("a.1", "u3", "joined")]),
        ("work", 1),
        ("faults", {}),
        ("tick", 40.0),
    ],
    "one bad user in a call that is refused whole": [
        ("accept", [("a.1", "u3", "joined")]),
        ("work", 1),
        ("faults", {"poison_users": ["u2"]}),
        ("accept", [("a.1", "u1", "joined"), ("a.1", "u2", "joined"), ("a.1", "u3", "left")]),
    ],
    "a partner that asks to come back later": [
        ("faults", {"status": 429, "retry_after": 60}),
        ("accept", [("a.1", "u1", "joined")]),
        ("work", 1),
        ("faults", {}),
        ("accept", [("a.1", "u1", "left")]),
    ],
    "what the journal has, sent again with later changes behind it": [
        ("accept", [("a.1", "u1", "joined"), ("a.1", "u2", "joined")]),
        ("accept", [("a.1", "u1", "left"), ("a.1", "u3", "joined")]),
        ("work", 2),
        ("replay", "a.1"),
        ("accept", [("a.1", "u2", "left")]),
        ("work", 2),
    ],
    "a replay, which joins its hold": [
        ("accept", [("a.1", "u1", "joined"), ("a.1", "u2", "joined")]),
        ("work", 1),
        ("accept", [("a.1", "u1", "left")]),
        ("work", 1),
        ("replay", "a.1"),
    ],
    "several messages with one turn": [
        ("accept", [("a.1", "u2", "joined")]),
        ("work", 1),
        ("accept", [("a.1", "u1", "joined"), ("a.1", "u2", "left")]),
        ("accept", [("a.1", "u1", "left"), ("a.1", "u3", "joined")]),
        ("accept", [("a.1", "u2", "joined")]),
    ],
    "several messages with one turn, taken together with the creation": [
        ("accept", [("a.1", "u1", "joined"), ("a.1", "u2", "left")]),
        ("accept", [("a.1", "u1", "left"), ("a.1", "u3", "joined")]),
    ],
    "several messages with one turn while the partner is down": [
        ("accept", [("a.1", "u2", "joined")]),
        ("work", 1),
        ("faults", {"status": 500}),
        ("accept", [("a.1", "u1", "joined")]),
        ("accept", [("a.1", "u1", "left"), ("a.1", "u3", "joined")]),  # of the first one nothing is left to send
    ],
    "several messages that join a hold with one turn": [
        ("faults", {"status": 500}),
        ("accept", [("a.1", "u1", "joined"), ("a.1", "u2", "joined")]),
        ("work", 1),
        ("accept", [("a.1", "u1", "left"), ("a.1", "u3", "joined")]),
        ("accept", [("a.1", "u1", "joined"), ("a.1", "u2", "left")]),
    ],
    "two keys that are one row at the partner": [
        ("accept", [("a.1", "U1", "joined"), ("a.1", "u1", "left"), ("a.1", "u2", "joined")])
    ],
}


def _replays(title: str) -> bool:
    return any(step == "replay" for step, _ in SCENARIOS[title])


def _has_several(title: str) -> bool:
    return title.startswith("several")


@pytest.mark.parametrize(
    ("places", "title"),
    [("embedded", title) for title in SCENARIOS]
    # The queue is the embedded one here in any case, and a journal belongs to its queue.
    + [
        pytest.param("google", title, marks=pytest.mark.once)
        for title in SCENARIOS
        if not _replays(title) and not _has_several(title)
    ],
    indirect=["places"],
)
def test_a_process_may_end_between_any_two_effects(title: str, pangolin: InThread, places: Places, tmp_path: Path) -> None:
    """The next message is handled again and again from the same start, ended at its first effect, its second, and so on."""
    for moment in itertools.count(1):
        number = next(numbers)
        journal = "7d" if _replays(title) else "off"
        world = World(
            tmp_path / str(number), pangolin, f"x{number}-{tmp_path.name}-", place=places(), journal=journal,
            together=_has_several(title),
        )
        world.clock.advance(60)
        try:
            play(world, SCENARIOS[title])
            assert world.work(abort_at(moment)), "the scenario leaves a message to handle"
            reached = world.effects.count >= moment
            assert reached or ("after finish" in world.effects.names) == _has_several(title)
            world.drain()
            world.assert_last_mutation_wins()
        finally:
            world.backend.close()
            world.view.close()
        if not reached:
            assert moment > (4 if _has_several(title) else 6), "a turn has more effects than that"
            return


STILL = [
    ("before begin_turn",),
    ("before join",),
    ("before settle",),
    ("before attempt",),
    ("before acknowledge",),
    ("before finish",),
]
"""Writes at which a worker is frozen together with its clocks, so that only position, fence and lease can stop it."""


@pytest.mark.parametrize(
    ("places", "at", "several"),
    [("embedded", at, several) for at in [*range(17), *STILL] for several in (False, True)]
    # Firestore is slower; what differs there is the writes.
    + [pytest.param("google", at, False, marks=pytest.mark.once) for at in [*range(0, 17, 4), *STILL]],
    indirect=["places"],
)
@pytest.mark.parametrize("held", [False, True])
def test_a_worker_that_was_frozen_and_wakes_late_changes_nothing(
    at: int | tuple[str, ...], held: bool, several: bool, pangolin: InThread, places: Places, tmp_path: Path
) -> None:
    """It wakes after its message was handed out again and a later one has taken its mutations back. several: it has two."""
    world = World(tmp_path / "state", pangolin, f"z{next(numbers)}-{tmp_path.name}-", place=places(), together=several)
    try:
        play(world, [("accept", [("a.1", "u2", "joined")]), ("work", 1), ("faults", {"status": 500})])
        if several:
            world.accept([("a.1", "u1", "joined"), ("a.1", "u2", "joined")])
            world.accept([("a.1", "u2", "left")])
        else:
            world.accept([("a.1", "u1", "joined"), ("a.1", "u2", "left")])
        if held:  # the turn that is frozen is the one of a resume
            play(world, [("work", 1), ("tick", 31.0)])
        wake = world.freeze(at)
        world.faults()
        world.tick(151)
        play(world, [("work", 3), ("tick", 301.0), ("work", 3)])
        world.accept([("a.1", "u1", "left"), ("a.1", "u2", "joined")])
        play(world, [("work", 3)])
        wake()
        world.drain()
        world.assert_last_mutation_wins()
    finally:
        world.backend.close()
        world.view.close()
