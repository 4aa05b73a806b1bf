"""How things are printed."""

from __future__ import annotations

import pytest

from relay.cli.output import iso, moment, relative, show_fields, show_table

NOON = 1_700_000_000.0


def test_a_moment_is_local_with_its_age() -> None:
    shown = moment(NOON, NOON + 180)
    assert shown.endswith("(3 min ago)")
    assert shown[:10] in ("2023-11-14", "2023-11-15")
    assert (relative(90), relative(-0.2)) == ("in 1 min", "now")


@pytest.mark.parametrize("at", [None, 0, 0.0])
def test_no_moment_is_a_dash_and_null(at: float | None) -> None:
    assert moment(at, NOON) == "-"
    assert iso(at) is None


def test_columns_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["a", "name"], [["long value", None], [1, True]], empty="none")
    assert capsys.readouterr().out == "A           NAME\nlong value  -\n1           yes\n"


def test_a_table_without_rows_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["a"], [], empty="Nothing is there.")
    assert capsys.readouterr().out == "Nothing is there.\n"


def test_control_characters_are_shown_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    show_fields([("name", "\x1b[31mred\n")])
    assert capsys.readouterr().out == "name: \\x1b[31mred\\n\n"
