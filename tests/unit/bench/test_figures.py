"""Ratios are held against their bar, and against those of the last release."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from bench import __main__ as command
from bench import figures
from bench.figures import Found, Ratio, Table, rounds_of

COMMITTED = {"edge": {"rate by floor": 0.8, "CPU by floor": 2.0}, "cold": {"start by floor": 1.1}}


class Bench:
    """The command, whose parts find what they are told to."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch) -> None:
        self._directory, self._patch = directory, patch
        self.asked: list[tuple[str, int]] = []
        patch.setattr(figures, "RESULTS", directory / "results")
        patch.setattr(figures, "COMMITTED", directory / "ratios.json")
        patch.setattr(command, "PARTS", ())

    def part(
        self, name: str, *ratios: Ratio, tables: tuple[Table, ...] = (), left_out: tuple[str, ...] = (), fails: bool = False
    ) -> None:
        def measure(rounds: int) -> Found:
            self.asked.append((name, rounds))
            assert not fails
            return Found(tables, ratios, left_out)

        self._patch.setitem(sys.modules, f"bench.{name}", SimpleNamespace(measure=measure))
        self._patch.setattr(command, "PARTS", (*command.PARTS, name))

    def committed(self, ratios: dict[str, dict[str, float]]) -> None:
        (self._directory / "ratios.json").write_bytes(msgspec.json.encode(ratios))

    def now_committed(self) -> dict[str, dict[str, float]]:
        return figures.read_committed()

    def written(self, part: str) -> dict[str, object]:
        return msgspec.json.decode((self._directory / "results" / f"{part}.json").read_bytes(), type=dict[str, object])


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("value", "bar", "at_most", "holds"),
    [
        (0.9, 0.9, False, True),
        (0.89, 0.9, False, False),
        (5.0, 0.9, False, True),
        (2.5, 2.5, True, True),
        (2.51, 2.5, True, False),
        (0.1, 2.5, True, True),
        (0.0, None, False, True),
        (float("nan"), 0.9, False, False),
        (float("nan"), 0.9, True, False),
    ],
)
def test_a_bar_is_reached_by_what_is_as_good_or_better(value: float, bar: float | None, at_most: bool, holds: bool) -> None:
    assert Ratio("any", value, bar, at_most).holds is holds


MORE_IS_BETTER = [(0.8, 0), (0.69, 0), (0.67, 1), (0.0, 1), (9.0, 0), (float("nan"), 1)]
LESS_IS_BETTER = [(2.0, 0), (2.29, 0), (2.31, 1), (9.0, 1), (0.1, 0), (float("nan"), 1)]


@pytest.mark.parametrize(
    ("name", "at_most", "value", "exit_code"),
    [
        *(("rate by floor", False, *each) for each in MORE_IS_BETTER),
        *(("CPU by floor", True, *each) for each in LESS_IS_BETTER),
    ],
)
def test_check_names_what_is_more_than_15_percent_worse_and_nothing_else(
    bench: Bench, capsys: pytest.CaptureFixture[str], name: str, at_most: bool, value: float, exit_code: int
) -> None:
    bench.committed(COMMITTED)
    bench.part("edge", Ratio(name, value, at_most=at_most))

    assert command.main(["edge", "--check"]) == exit_code

    said = capsys.readouterr().out
    assert (f"Dropped by more than 15 percent:\n  edge: {name}: " in said) is bool(exit_code)


def test_a_drop_is_no_failure_unless_it_is_checked(bench: Bench) -> None:
    bench.committed(COMMITTED)
    bench.part("edge", Ratio("rate by floor", 0.1))

    assert command.main(["edge"]) == 0


def test_a_missed_bar_is_named_and_no_drop(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.committed(COMMITTED)
    bench.part("edge", Ratio("rate by floor", 0.8, bar=0.85), Ratio("CPU by floor", 2.0, bar=2.5, at_most=True))

    assert command.main(["--check"]) == 0

    said = capsys.readouterr().out
    assert "DOES NOT HOLD (at least 0.85)" in said
    assert "1 of 2 ratios miss their bar\n  edge: rate by floor\n" in said


def test_what_has_nothing_to_be_compared_with_is_named(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.committed(COMMITTED)
    bench.part("edge", Ratio("rate by floor", 0.8), Ratio("a new one", 0.1))
    bench.part("deliver", Ratio("rate by the loop", 0.1))

    assert command.main(["edge", "deliver", "--check"]) == 0

    said = capsys.readouterr().out
    assert "not compared: CPU by floor" in said
    assert "Nothing was committed to compare with: deliver\n" in said


def test_a_part_that_is_not_run_keeps_its_committed_ratios(bench: Bench) -> None:
    bench.committed(COMMITTED)
    bench.part("edge", Ratio("rate by floor", 0.912345))
    bench.part("cold", Ratio("start by floor", 3.0))

    assert command.main(["edge", "--commit"]) == 0

    assert bench.now_committed() == {"edge": {"rate by floor": 0.912}, "cold": COMMITTED["cold"]}


def test_a_part_that_fails_loses_nothing_that_others_found(bench: Bench) -> None:
    bench.part("edge", Ratio("rate by floor", 0.9))
    bench.part("cold", fails=True)

    with pytest.raises(AssertionError):
        command.main(["--commit"])

    assert bench.now_committed() == {"edge": {"rate by floor": 0.9}}


def test_what_could_not_be_measured_keeps_its_committed_ratio(bench: Bench) -> None:
    bench.committed({"edge": {"rate by Node": 5.0, "rate by floor": 1.0}})
    bench.part("edge", Ratio("rate by floor", 0.9), left_out=("the peer in Node.js",))

    command.main(["edge", "--commit"])

    assert bench.now_committed() == {"edge": {"rate by Node": 5.0, "rate by floor": 0.9}}


@pytest.mark.parametrize(("now", "dropped"), [(0.9, False), (1.1, True)])
def test_a_time_by_an_allowed_one_drops_where_it_misses_its_bar(bench: Bench, now: float, dropped: bool) -> None:
    bench.committed({"edge": {"wait by 50 ms": 0.2}})
    bench.part("edge", Ratio("wait by 50 ms", now, 1.0, at_most=True, of_time=True))

    assert command.main(["edge", "--check"]) == int(dropped)


def test_without_commit_nothing_is_committed(bench: Bench) -> None:
    bench.part("edge", Ratio("rate by floor", 0.9))

    assert command.main([]) == 0

    assert bench.now_committed() == {}


def test_all_parts_are_run_unless_some_are_named(bench: Bench) -> None:
    bench.part("edge")
    bench.part("cold")

    command.main(["--rounds", "2"])
    command.main(["cold"])

    assert bench.asked == [("edge", 2), ("cold", 2), ("cold", 5)]


@pytest.mark.parametrize("arguments", [["edges"], ["edge", "--rounds", "0"], ["edge", "--check", "--commit"]])
def test_what_cannot_be_meant_is_refused_before_anything_is_measured(bench: Bench, arguments: list[str]) -> None:
    bench.part("edge")

    with pytest.raises(SystemExit) as refused:
        command.main(arguments)

    assert refused.value.code == 2
    assert bench.asked == []


def test_a_part_is_written_with_the_machine_and_all_of_its_figures(bench: Bench) -> None:
    bench.part("edge", Ratio("rate by floor", 0.9, 0.85), tables=(Table("One request", {"ours": {"CPU": 230.0}}),))

    command.main(["edge"])

    written = bench.written("edge")
    assert set(written) == {"machine", "found"}
    assert written["found"] == {
        "tables": [{"title": "One request", "rows": {"ours": {"CPU": 230.0}}}],
        "ratios": [{"name": "rate by floor", "value": 0.9, "bar": 0.85, "at_most": False, "of_time": False}],
        "left_out": [],
    }


def test_rounds_are_told_by_their_median_and_spread() -> None:
    assert rounds_of([3.0, 1.0, 10.0]) == {"median": 3.0, "least": 1.0, "most": 10.0}
