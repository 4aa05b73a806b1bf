"""Moments, numbers and advice as the page says them."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from relay.health import wording

_COMMAND = re.compile(r"\bdiy (?:[^;,']|'[^']*')+")


def moment(at: float) -> str:
    """Seconds since the epoch as `2026-03-01 11:00:05 UTC`; a dash for none."""
    return wording.moment(at) if at else "–"


def number(value: int) -> str:
    """With thousands set apart."""
    return f"{value:,}"


def relative(at: float, now: float) -> str:
    """How far from now: `in 30 s`, `5 min ago`."""
    return wording.relative(at - now)


def commands(advice: str) -> Markup:
    """Advice with its commands set as code, everything escaped."""
    marked, end = Markup(""), 0
    for found in _COMMAND.finditer(advice):
        marked += Markup("{}<code>{}</code>").format(advice[end : found.start()], found.group())
        end = found.end()
    return marked + escape(advice[end:])
