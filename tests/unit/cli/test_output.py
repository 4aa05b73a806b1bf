"""How things are printed."""

from __future__ import annotations

import pytest

from relay.cli.output import iso, moment, show_fields, show_table, whole
from relay.domain.connector import Action, Constant

NOON = 1_700_000_000.0


def test_a_moment_is_in_utc_with_its_age() -> None:
    assert moment(NOON, NOON + 180) == "2023-11-14 22:13:20 UTC (3 min ago)"


def test_records_for_scripts_have_every_field_whether_or_not_it_was_set() -> None:
    assert whole([Action("Add", "joined", "add", {"kind": Constant("b")})]) == [
        {
            "name": "Add", "trigger": "joined", "operation": "add", "mapping": {"kind": {"constant": "b"}}, "audiences": None,
            "consent": [], "enabled": True, "limits": None,
        }
    ]  # fmt: skip


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
