"""What commands print: aligned tables in plain ASCII, moments with their age, JSON for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import msgspec

from relay.health import wording

NONE = "-"
"""Stands in a table where there is nothing."""


def show_json(value: Any) -> None:
    """One JSON document on standard output, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def whole(value: Any) -> Any:
    """The value for JSON, with every field of every record in it, those too that have their defaults."""
    if isinstance(value, msgspec.Struct):
        return {name: whole(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {key: whole(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [whole(inner) for inner in value]
    return value


def show_table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Columns wide enough for their longest cell; `empty` is said where there are no rows. Control characters, which may come
    from a partner's text, are shown escaped."""
    if not rows:
        click.echo(empty)
        return
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(line[column]) for line in [list(headings), *cells]) for column in range(len(headings))]
    for line in [[heading.upper() for heading in headings], *cells]:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def show_fields(fields: Sequence[tuple[str, object]]) -> None:
    """One thing: its fields below each other, their values aligned."""
    width = max(len(name) for name, _ in fields) + 2
    for name, value in fields:
        click.echo(f"{name + ':':<{width}}{_cell(value)}")


def moment(at: float | None, now: float) -> str:
    """`2026-03-01 11:00:05 UTC (3 min ago)`; `-` for none."""
    return f"{wording.moment(at)} ({wording.relative(at - now)})" if at else NONE


def iso(at: float | None) -> str | None:
    """A moment for JSON: UTC, `2026-03-01T11:00:00Z`; None for none."""
    return wording.iso(at)


def printable(text: str) -> str:
    """The text on one line, control characters shown escaped: a partner's or the DMP's words must not steer the terminal."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _cell(value: object) -> str:
    if value is None or value == "":
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value))
