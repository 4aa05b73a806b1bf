"""A replay changes no final state, and sends nothing again that a later mutation has overtaken, whatever happens beside it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import worker.replay
from relay.pangolin.server import InThread
from tests.promise.test_promise import AUDIENCES, FAULTS, abort_at, mutations
from tests.promise.world import World

steps = st.one_of(
    st.tuples(st.just("accept"), st.lists(mutations, min_size=1, max_size=4)),
    st.tuples(st.just("accept"), st.lists(mutations, min_size=1, max_size=4)),
    st.tuples(st.just("work"), st.integers(1, 3)),
    st.tuples(st.just("replay"), st.sampled_from(AUDIENCES)),
    st.tuples(st.just("replay"), st.sampled_from(AUDIENCES)),
    st.tuples(st.just("accept within"), st.tuples(st.integers(1, 12), st.lists(mutations, min_size=1, max_size=2))),
    st.tuples(st.just("crash"), st.integers(1, 16)),
    st.tuples(st.just("tick"), st.sampled_from([0.5, 31.0, 100.0])),
    st.tuples(st.just("faults"), st.sampled_from([{}, *FAULTS[1:8]])),
    st.tuples(st.just("pause"), st.booleans()),
)

numbers = itertools.count()


class Watched:
    """A world in which is seen what a replay puts in front, and what had been accepted when its turn began."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.accepted: list[tuple[str, str, str]] = []
        """(audience, user, request and index) in the order of acceptance."""
        self._known = 0
        self.overtaken: list[tuple[str, str]] = []
        self.sent_again = 0

    def accept(self, content: list[tuple[str, str, str]]) -> None:
        before = set(self.world.users)
        self.world.accept(content)
        (request_id,) = {request_id for request_id, _ in set(self.world.users) - before}
        self.accepted += [
            (self.world.prefix + audience, user, f"{request_id}/{index}") for index, (audience, user, _) in enumerate(content)
        ]

    def work(self, also: Callable[[int, str], None] | None = None) -> bool:
        def on(count: int, name: str) -> None:
            if name == "before begin_turn":
                self._known = len(self.accepted)
            if name == "after expand":
                self._look()
            if also is not None:
                also(count, name)

        return self.world.work(on)

    def _look(self) -> None:
        newest = {(audience, user): place for audience, user, place in self.accepted[: self._known]}
        later = {place for _, _, place in self.accepted[self._known :]}
        for audience in AUDIENCES:
            for batch in self.world.backend.audiences.peek("pangolin", self.world.prefix + audience, limit=1_000):
                if not batch.message.replayed_at:
                    continue
                for mutation in batch.message.mutations:
                    self.sent_again += 1
                    place = f"{batch.message.request_id}/{mutation.index}"
                    user = mutation.user["id"]
                    if place not in later and newest[batch.message.audience, user] != place:
                        self.overtaken.append((batch.message.audience, place))


def accepting(watched: Watched, at: int, content: list[tuple[str, str, str]]) -> Callable[[int, str], None]:
    """A request comes in at that effect of a turn."""

    def on(count: int, _name: str) -> None:
        if count == at:
            watched.accept(content)

    return on


def play(watched: Watched, script: list[tuple[str, Any]]) -> None:
    world = watched.world
    for step, value in script:
        match step:
            case "accept":
                watched.accept(value)
            case "work":
                for _ in range(value):
                    watched.work()
            case "replay":
                world.replay(value)
            case "accept within":
                watched.work(accepting(watched, *value))
            case "crash":
                watched.work(abort_at(value))
            case "tick":
                world.tick(value)
            case "faults":
                world.faults(**value)
            case "pause":
                world.backend.connectors.set_paused("pangolin", value)


def drain(watched: Watched) -> None:
    watched.world.faults()
    watched.world.backend.connectors.set_paused("pangolin", False)
    while watched.work():
        pass
    watched.world.drain()


@pytest.mark.timeout(0)
def test_a_replay_changes_nothing_in_the_end_and_sends_nothing_that_was_overtaken(
    pangolin: InThread, tmp_path: Path, cases: int
) -> None:
    @settings(max_examples=cases or 40)
    @given(
        script=st.lists(steps, min_size=3, max_size=16),
        max_age=st.sampled_from(["0s", "0s", "60s"]),
        window=st.sampled_from([1, 3, 100_000]),
        at_once=st.sampled_from([1, 500]),
    )
    def holds(script: list[tuple[str, Any]], max_age: str, window: int, at_once: int) -> None:
        number = next(numbers)
        state = tmp_path / str(number)
        world = World(state, pangolin, f"r{number}-{tmp_path.name}-", max_items=3, max_age=max_age, junk=True, journal="7d")
        world.clock.advance(60)
        watched = Watched(world)
        try:
            with patch.object(worker.replay, "WINDOW", window), patch.object(worker.replay, "MOST_BATCHES", at_once):
                play(watched, script)
                drain(watched)
            assert not watched.overtaken
            world.assert_last_mutation_wins()
        finally:
            world.backend.close()
            world.view.close()
            shutil.rmtree(state)

    holds()


def test_two_replays_in_one_turn_each_look_ahead_for_themselves(pangolin: InThread, tmp_path: Path) -> None:
    world = World(tmp_path / "state", pangolin, f"two-{tmp_path.name}-", journal="7d")
    world.clock.advance(60)
    watched = Watched(world)
    twice, later = [("a.1", "u1", "joined"), ("a.1", "u1", "joined")], [("a.1", "u2", "joined")]
    accepted = [("accept", twice), ("accept", later), ("work", 2)]
    asked = [("pause", True), ("replay", "a.1"), ("replay", "a.1"), ("work", 2), ("pause", False), ("tick", 61.0)]
    try:
        with patch.object(worker.replay, "WINDOW", 1):
            play(watched, [*accepted, *asked])
            drain(watched)
        assert watched.sent_again >= 4
        assert not watched.overtaken
        world.assert_last_mutation_wins()
    finally:
        world.backend.close()
        world.view.close()


@pytest.mark.timeout(0)
def test_a_list_that_was_lost_is_whole_again_after_a_replay(pangolin: InThread, tmp_path: Path, cases: int) -> None:
    @settings(max_examples=cases or 20)
    @given(
        before=st.lists(st.lists(mutations, min_size=1, max_size=4), min_size=1, max_size=8),
        after=st.lists(st.lists(mutations, min_size=1, max_size=4), max_size=3),
    )
    def holds(before: list[list[tuple[str, str, str]]], after: list[list[tuple[str, str, str]]]) -> None:
        number = next(numbers)
        state = tmp_path / str(number)
        world = World(state, pangolin, f"l{number}-{tmp_path.name}-", journal="7d")
        world.clock.advance(60)
        try:
            for content in before:
                world.accept(content)
            world.drain()
            for audience in AUDIENCES:
                if world.partner_id(audience):
                    world.delete_list(audience)
            for content in after:
                world.accept(content)
            while world.work():
                pass
            for audience in AUDIENCES:
                if world.partner_id(audience):
                    world.backend.audiences.unlink("pangolin", world.prefix + audience)
                    world.replay(audience)
            world.drain()
            world.assert_last_mutation_wins()
        finally:
            world.backend.close()
            world.view.close()
            shutil.rmtree(state)

    holds()
