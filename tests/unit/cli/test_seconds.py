"""Lengths of time, as every option takes them."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from relay.cli import main
from relay.cli.seconds import Seconds


@pytest.mark.parametrize(
    ("typed", "seconds"), [("10", 10.0), ("10s", 10.0), ("2m", 120.0), ("2.5", 2.5), (" 1s ", 1.0), ("10m", 600.0)]
)
def test_a_length_of_time_has_a_unit_or_is_in_seconds(typed: str, seconds: float) -> None:
    assert Seconds(1, 600).convert(typed, None, None) == seconds


@pytest.mark.parametrize("typed", ["", "s", "0", "11m", "-5s", "ten", "1h", "nan", "inf"])
def test_what_is_none_is_refused_with_how_it_looks(typed: str) -> None:
    with pytest.raises(click.BadParameter, match="between 1 and 600 seconds; it looks like 10, 10s or 2m"):
        Seconds(1, 600).convert(typed, None, None)


@pytest.mark.parametrize(
    "words", ["connectors test acme --timeout", "connectors connect acme --timeout", "simulate http://127.0.0.1:9/x --duration"]
)
def test_all_commands_say_it_alike(words: str) -> None:
    result = CliRunner().invoke(main, [*words.split(), "1h"])

    assert result.exit_code == 2
    assert "it looks like 10, 10s or 2m" in result.stderr
