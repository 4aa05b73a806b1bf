"""Each mechanism that keeps order switched off by itself, in tests only: the simulation must notice."""

from tests.simulation.mutants import of_holds, of_queueing, of_sending, of_timing, of_turns  # noqa: F401 - they make themselves known
from tests.simulation.mutants.known import MUTANTS, SHOWN_BY
from tests.simulation.mutants.noticing import notice

__all__ = ["MUTANTS", "SHOWN_BY", "notice"]
