"""The real worker, queue and holds under a simulated clock, before a scripted partner, with whatever a seed makes go wrong:
nothing that was accepted is lost, the last mutation wins, and nobody calls too early, too often or too late."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.invariants import Broken
from tests.simulation.story import Story
from tests.simulation.weather import Seeded

CHUNK = 25


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        one, number = metafunc.config.getoption("--seed"), metafunc.config.getoption("--seeds")
        every = range(one, one + 1) if one is not None else range(number)
        chunks = [every[start : start + CHUNK] for start in range(0, len(every), CHUNK)]
        metafunc.parametrize("seeds", chunks, ids=[f"{chunk.start}-{chunk.stop - 1}" for chunk in chunks])


@pytest.mark.once
def test_whatever_goes_wrong_every_invariant_holds_and_everything_arrives(seeds: range) -> None:
    for seed in seeds:
        seeded = Seeded(seed)
        with seeded.world:
            try:
                seeded.play()
            except Broken as broken:
                pytest.fail(_told(seed, broken, seeded.world.story), pytrace=False)


def _told(seed: int, broken: Broken, story: Story) -> str:
    return (
        f"seed {seed}: {broken.rule} (audience {broken.audience or 'any'})\n{story.about(broken.audience)}\n"
        f"again: pytest tests/simulation/test_seeds.py --seed {seed}; all of it: python -m tests.simulation {seed}"
    )


@pytest.mark.once
def test_a_seed_tells_the_same_story_in_every_process() -> None:
    seeds = ["3", "8", "21", "34", "55"]

    def told(hash_seed: str) -> bytes:
        return subprocess.run(
            [sys.executable, "-m", "tests.simulation", *seeds],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        ).stdout

    first = told("1")
    assert first.count(b"\nseed ") == len(seeds) - 1
    assert told("2") == first
