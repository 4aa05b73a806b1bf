"""Floors and peers are small and know nothing of ours: else they would become what they are compared with."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FLOORS = Path(__file__).parents[3] / "bench" / "floors"
OURS = {"adapters", "bench", "handlers", "main", "relay", "tests", "worker"}
MOST_LINES = 40


def _sources() -> list[Path]:
    found = [*FLOORS.rglob("*.py"), *FLOORS.rglob("*.js")]
    return sorted(file for file in found if "node_modules" not in file.parts)


def _imported(source: str) -> set[str]:
    """The packages whose names are imported anywhere in it; `.` for its own."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." if node.level else (node.module or "").partition(".")[0])
    return names


def test_there_are_floors_and_peers() -> None:
    assert {"edge_a.py", "edge_b.py", "deliver.py", "peer_flask.py", "index.js"} <= {file.name for file in _sources()}


@pytest.mark.parametrize("file", _sources(), ids=lambda file: str(file.relative_to(FLOORS)))
def test_each_has_at_most_40_lines(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("file", [file for file in _sources() if file.suffix == ".py"], ids=lambda file: file.name)
def test_none_imports_anything_of_ours(file: Path) -> None:
    source = file.read_text()

    assert not _imported(source) & (OURS | {"."})
    assert "__import__" not in source
    assert "importlib" not in source


@pytest.mark.parametrize(
    "source",
    ["import relay.domain", "from handlers import x", "def f():\n    from worker.turn import Worker", "from . import edge_a"],
)
def test_such_an_import_would_be_found(source: str) -> None:
    assert _imported(source) & (OURS | {"."})
