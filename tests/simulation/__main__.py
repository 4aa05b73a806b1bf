"""`python -m tests.simulation SEED…`: the whole story of each seed."""

from __future__ import annotations

import sys

from tests.simulation.invariants import Broken
from tests.simulation.weather import Seeded

for seed in map(int, sys.argv[1:]):
    seeded = Seeded(seed)
    with seeded.world:
        try:
            seeded.play()
        except Broken as broken:
            seeded.world.tell("broken", broken.rule, broken.audience)
        print(f"seed {seed}: {seeded.world.setting}")
        print(seeded.world.story.whole())
