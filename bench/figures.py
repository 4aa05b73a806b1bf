"""What a part of the benchmark found: tables to read, and ratios that have a bar and can be compared with the last release's."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.tables import RESULTS, print_table

DROP = 0.15
"""By how much a ratio may be worse than the committed one: more than a machine's noise."""

COMMITTED = Path(__file__).parent / "ratios.json"
"""Part → ratio → value, as of the last release."""

Rows = dict[str, dict[str, float]]


class Ratio(msgspec.Struct, frozen=True):
    """One figure divided by another of the same run.

    name     what is compared with what
    value    as measured
    bar      what it is to reach; None: reported only
    at_most  whether less is better; otherwise more is
    of_time  it is a time by an allowed one, and so depends on the machine: it has dropped where the bar is missed, and not before
    """

    name: str
    value: float
    bar: float | None = None
    at_most: bool = False
    of_time: bool = False

    @property
    def holds(self) -> bool:
        """Whether the bar is reached."""
        return self.bar is None or (self.value <= self.bar if self.at_most else self.value >= self.bar)

    def worse_than(self, committed: float) -> bool:
        """Whether it has dropped by more than `DROP`; also one that is no number."""
        if self.of_time:
            return not self.holds
        return not (self.value <= committed * (1 + DROP) if self.at_most else self.value >= committed * (1 - DROP))


class Table(msgspec.Struct, frozen=True):
    """title: what is measured, and in which unit."""

    title: str
    rows: Rows


class Found(msgspec.Struct, frozen=True):
    """What a part measured. `left_out`: what could not be measured here, and why."""

    tables: tuple[Table, ...] = ()
    ratios: tuple[Ratio, ...] = ()
    left_out: tuple[str, ...] = ()


def middle(values: Iterable[float]) -> float:
    """The median."""
    return statistics.median(values)


def rounds_of(values: Sequence[float]) -> dict[str, float]:
    """Median and spread of the rounds."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def show(part: str, found: Found, committed: dict[str, float]) -> list[str]:
    """Prints what a part found and writes `bench/results/PART.json`. Returns the ratios that have dropped, a sentence each."""
    for table in found.tables:
        print(f"\n{table.title}")
        print_table(table.rows)
    if found.ratios:
        print("\nRatios")
    dropped: list[str] = []
    width = max((len(ratio.name) for ratio in found.ratios), default=0)
    for ratio in found.ratios:
        print(f"  {ratio.name:{width}}  {ratio.value:8.3g}   {_judged(ratio)}{_before(committed.get(ratio.name))}")
        if ratio.name in committed and ratio.worse_than(committed[ratio.name]):
            dropped.append(f"{part}: {ratio.name}: {ratio.value:.3g}, was {committed[ratio.name]:.3g}")
    for what in found.left_out:
        print(f"  left out: {what}")
    for name in committed.keys() - {ratio.name for ratio in found.ratios}:
        print(f"  not compared: {name}, which was {committed[name]:.3g}, was not measured")
    RESULTS.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    (RESULTS / f"{part}.json").write_bytes(_pretty({"machine": machine, "found": found}))
    return dropped


def read_committed() -> dict[str, dict[str, float]]:
    """The ratios of the last release, by part and name."""
    return msgspec.json.decode(COMMITTED.read_bytes(), type=dict[str, dict[str, float]]) if COMMITTED.exists() else {}


def write_committed(found: dict[str, Found]) -> None:
    """These ratios take the place of the committed ones; those that were not measured here stay. A part that left nothing out
    has no others than its own."""
    known = read_committed()
    for part, each in found.items():
        new = {ratio.name: float(f"{ratio.value:.3g}") for ratio in each.ratios}
        known[part] = {**known.get(part, {}), **new} if each.left_out else new
    COMMITTED.write_bytes(_pretty(known))


def _judged(ratio: Ratio) -> str:
    if ratio.bar is None:
        return "reported"
    side = "at most" if ratio.at_most else "at least"
    return f"{'holds' if ratio.holds else 'DOES NOT HOLD'} ({side} {ratio.bar:g})"


def _before(committed: float | None) -> str:
    return "" if committed is None else f", committed: {committed:.3g}"


def _pretty(content: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
