"""The simulation can fail: without any one of its mechanisms it does. The table: `make test-mutants`."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, SHOWN_BY, notice
from tests.simulation.scenarios import SCENARIOS


@pytest.mark.once
@pytest.mark.parametrize("mechanism", MUTANTS)
def test_a_scenario_fails_without(mechanism: str) -> None:
    assert notice(mechanism, seeds=0), "a scenario shows it"


def test_scenarios_that_are_said_to_show_something_are_there() -> None:
    assert MUTANTS.keys() >= SHOWN_BY.keys()
    assert SCENARIOS.keys() >= set(SHOWN_BY.values())
