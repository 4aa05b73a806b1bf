"""The tables of docs/operations.md, as the tests read them: what the page says is what is checked."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"

Row = dict[str, str]
"""Title of the column → the cell's text."""


def table(heading: str, text: str | None = None) -> dict[str, Row]:
    """The first table under the heading, by the text of each row's first cell. Raises `LookupError` if there is none.

    text: of another page than PAGE.
    """
    page = PAGE.read_text() if text is None else text
    _, found, section = page.partition(f"# {heading}\n")
    lines = section.splitlines()
    beginning = next((number for number, line in enumerate(lines) if line.startswith("|")), None)
    if not found or beginning is None:
        raise LookupError(f"{PAGE.name} has no table under the heading {heading!r}.")
    titles, _ruler, *rows = [_cells(line) for line in _block(lines[beginning:])]
    return {row[0]: dict(zip(titles[1:], row[1:], strict=True)) for row in rows}


def block(heading: str, text: str | None = None) -> list[str]:
    """The lines of that table."""
    page = PAGE.read_text() if text is None else text
    lines = page.partition(f"# {heading}\n")[2].splitlines()
    return _block(lines[next(number for number, line in enumerate(lines) if line.startswith("|")) :])


def number(cell: str) -> float:
    """The number that a cell begins with, whatever unit or remark follows; a dash is 0."""
    text = cell.replace("**", "").strip().removeprefix("$")
    if text.startswith(("–", "-")):
        return 0.0
    found = re.match(r"[\d,]*\.?\d+", text)
    if found is None:
        raise ValueError(f"{cell!r} is no number.")
    return float(found.group().replace(",", ""))


def _block(lines: list[str]) -> list[str]:
    end = next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return lines[:end]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
