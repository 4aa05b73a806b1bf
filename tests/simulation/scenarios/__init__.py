"""Each fault by its name, played by a script. `SCENARIOS`: title → what plays it."""

from tests.simulation.scenarios import (  # noqa: F401 - they make themselves known
    answers,
    asking,
    deadlines,
    frozen,
    people,
    queueing,
    replays,
    together,
)
from tests.simulation.scenarios.everywhere import BASES, FAULTS, at_every_boundary
from tests.simulation.scenarios.known import SCENARIOS

__all__ = ["BASES", "FAULTS", "SCENARIOS", "at_every_boundary"]
