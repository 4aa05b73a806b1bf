"""Lengths of time as options take them."""

from __future__ import annotations

import click


class Seconds(click.ParamType[float]):
    """`10`, `2.5`, `10s` or `2m`, between two bounds in seconds."""

    name = "duration"

    def __init__(self, least: float, most: float) -> None:
        self._least, self._most = least, most

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        text = str(value).strip()
        factor = {"s": 1.0, "m": 60.0}.get(text[-1:])
        try:
            seconds = float(text[:-1]) * factor if factor else float(text)
        except ValueError:
            seconds = -1.0
        if not self._least <= seconds <= self._most:
            bounds = f"between {self._least:g} and {self._most:,.0f} seconds"
            self.fail(f"{text!r} is no duration {bounds}; it looks like 10, 10s or 2m.", param, ctx)
        return seconds
