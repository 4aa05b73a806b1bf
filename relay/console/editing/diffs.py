"""What is different between two texts, line by line, to be shown."""

from __future__ import annotations

import difflib
from typing import Literal, NamedTuple


class Line(NamedTuple):
    """A line of a diff. `sign`: `+` new, `-` gone, blank unchanged, `@` some unchanged lines are left out."""

    sign: Literal["+", "-", " ", "@"]
    text: str


def lines_of_diff(before: str, after: str) -> list[Line]:
    """With three unchanged lines around each change; empty where nothing changed."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3))[2:]
    shown = [Line("@", "") if line.startswith("@@") else _line(line) for line in lines]
    return shown[1:] if lines and lines[0].startswith("@@ -1,") else shown


def _line(line: str) -> Line:
    for sign in ("+", "-"):
        if line.startswith(sign):
            return Line("+" if sign == "+" else "-", line[1:])
    return Line(" ", line[1:])
