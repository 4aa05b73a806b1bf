"""The faults by name, each with the rule that it must not break."""

from __future__ import annotations

import pytest

from tests.simulation.invariants import Broken
from tests.simulation.scenarios import BASES, FAULTS, SCENARIOS, at_every_boundary


@pytest.mark.parametrize("title", SCENARIOS)
def test_scenario(title: str) -> None:
    try:
        SCENARIOS[title]()
    except Broken as broken:
        pytest.fail(f"{broken.rule} (audience {broken.audience})")


@pytest.mark.once
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("base", BASES)
def test_a_fault_before_and_after_each_publish_lease_partner_call_and_store_write(base: str, fault: str) -> None:
    assert at_every_boundary(BASES[base], fault) > 40
