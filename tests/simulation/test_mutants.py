"""The simulation can fail: without a mechanism it does. All of them: `make test-mutants`."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, notice

MOST_IMPORTANT = (
    "position: a message behind a later one is refused",
    "fence: a write of a turn that is over fails",
    "fence: a turn that is over starts no call",
    "budget: nothing is written past it",
    "a hold is lifted only when empty",
    "a batch joins behind what waits",
    "net effect: only the last mutation of a partner row is sent",
    "Retry-After is recorded for the account",
)


@pytest.mark.once
@pytest.mark.parametrize("mechanism", MOST_IMPORTANT)
def test_the_simulation_notices_when_it_is_missing(mechanism: str) -> None:
    assert notice(mechanism, seeds=0), "a scenario shows it"


def test_the_most_important_are_mechanisms_that_there_are() -> None:
    assert set(MOST_IMPORTANT) <= MUTANTS.keys()
