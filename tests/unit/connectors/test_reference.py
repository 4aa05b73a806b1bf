"""The reference of the document says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from adapters.registry import describe
from relay.connectors.document import expand

PAGE = (Path(__file__).parents[3] / "docs" / "connectors.md").read_text()
EXAMPLE, *FRAGMENTS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_example_can_be_applied_as_it_stands() -> None:
    assert [connector.name for connector in expand(EXAMPLE, describe=describe)] == ["pangolin", "pangolin@sandbox"]


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda text: str(text).split(":")[0])
def test_each_fragment_fits_into_the_example(fragment: str) -> None:
    document = yaml.safe_load(EXAMPLE)
    part = yaml.safe_load(fragment)
    if "fields" in part:
        document["inbound"].update(part)
    else:
        document.update(part)
    assert expand(yaml.safe_dump(document), describe=describe)
