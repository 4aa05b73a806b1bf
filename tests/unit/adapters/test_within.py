"""What a block sets is set within it and nowhere else."""

from __future__ import annotations

from contextvars import ContextVar

import pytest

from adapters.within import Within

VARIABLE: ContextVar[str] = ContextVar("variable", default="outside")


def test_a_value_holds_within_its_block_and_the_one_before_it_afterwards() -> None:
    with Within(VARIABLE, "outer"):
        with Within(VARIABLE, "inner"):
            assert VARIABLE.get() == "inner"
        assert VARIABLE.get() == "outer"
    assert VARIABLE.get() == "outside"


def test_an_error_ends_the_block_as_well_and_is_not_lost() -> None:
    with pytest.raises(ValueError, match="within"), Within(VARIABLE, "inside"):
        raise ValueError("within")
    assert VARIABLE.get() == "outside"
