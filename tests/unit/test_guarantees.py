"""Every promise in docs/guarantees.md names what holds it, and that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_TEXT = (_ROOT / "docs/guarantees.md").read_text(encoding="utf-8")


def _rows() -> list[dict[str, str]]:
    """The rows of all tables that have a column `held by`, by the names of their columns."""
    rows: list[dict[str, str]] = []
    columns: list[str] = []
    for line in _TEXT.splitlines():
        if not line.startswith("|"):
            columns = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not columns:
            columns = cells
        elif not set(line) <= set("|-"):
            assert len(cells) == len(columns), line
            rows.append(dict(zip(columns, cells, strict=True)))
    return [row for row in rows if "held by" in row]


def test_each_promise_names_the_test_or_the_measurement_that_holds_it() -> None:
    rows = _rows()
    assert len(rows) > 30
    without = [row for row in rows if not re.search(r"`(tests/|bench/|make bench`)", row["held by"])]
    assert not without


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:tests|bench|adapters)/[\w/.]*)`", _TEXT))))
def test_what_is_named_is_there(path: str) -> None:
    assert (_ROOT / path).exists()
