"""The table of functions in the reference says what they do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jmespath.functions import Functions as OfJmespath

from adapters.normalisation import email_rule
from relay.connectors.mapping import ROOTS
from relay.expressions.expression import Surroundings, compile_expression
from relay.expressions.functions import SIGNATURES

PAGE = (Path(__file__).parents[3] / "docs" / "connectors.md").read_text()
TABLE = PAGE.partition("| function | what it gives | example | result |\n")[2].partition("\n\n")[0].splitlines()[1:]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE]
OURS = set(SIGNATURES) - set(OfJmespath.FUNCTION_TABLE) | {"join"}


def test_every_function_of_ours_has_its_row() -> None:
    assert {name for row in ROWS for name in re.findall(r"`(\w+)`", row[0])} == OURS


@pytest.mark.parametrize(("example", "result"), [(row[2].strip("`"), row[3].strip("`")) for row in ROWS])
def test_every_example_gives_its_result(example: str, result: str) -> None:
    context = {"user": {"email": " Ada@Example.org"}, "fields": {}}
    surroundings = Surroundings(now=1_800_000_300.0, seed="r-1/0/Add/id", email=email_rule("email"))
    found = compile_expression(example, ROOTS).search(context, surroundings)
    assert found.startswith(result.removesuffix("…")) if result.endswith("…") else found == result
