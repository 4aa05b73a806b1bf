"""Figures as tables on the screen and as JSON on disk."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def spread(values: Sequence[float]) -> dict[str, float]:
    """Minimum, percentiles and maximum; of fewer than a hundred values only the median, since the rest would say too much."""
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    tail = {"p95": at(0.95), "p99": at(0.99)} if len(ordered) >= 100 else {}
    return {"n": len(ordered), "min": ordered[0], "p50": at(0.5), **tail, "max": ordered[-1]}


def print_table(rows: dict[str, dict[str, float]]) -> None:
    """One line a row, one column a figure."""
    columns = list(next(iter(rows.values())))
    first = max(12, *(len(name) + 1 for name in rows))
    widths = {column: max(10, len(column) + 2) for column in columns}
    print(" " * first + "".join(f"{column:>{widths[column]}}" for column in columns))
    for name, figures in rows.items():
        print(f"{name:{first}}" + "".join(f"{_short(figures[column]):>{widths[column]}}" for column in columns))


def _short(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 1 or value == 0 else f"{value:.3f}"


def write_results(name: str, results: dict[str, dict[str, float]]) -> None:
    """The figures with the machine they were taken on."""
    RESULTS.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")
