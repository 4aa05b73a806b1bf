"""Moments, numbers and advice as the page says them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from markupsafe import Markup, escape

from relay.health.wording import duration

_COMMAND = re.compile(r"\bdiy (?:[^;,']|'[^']*')+")


def moment(at: float) -> str:
    """Seconds since the epoch as `2026-03-01 11:00:05 UTC`; a dash for none."""
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else "–"


def number(value: int) -> str:
    """With thousands set apart."""
    return f"{value:,}"


def relative(at: float, now: float) -> str:
    """How far from now: `in 30 s`, `5 min ago`."""
    return f"in {duration(at - now)}" if at > now else f"{duration(now - at)} ago"


def commands(advice: str) -> Markup:
    """Advice with its commands set as code, everything escaped."""
    marked, end = Markup(""), 0
    for found in _COMMAND.finditer(advice):
        marked += Markup("{}<code>{}</code>").format(advice[end : found.start()], found.group())
        end = found.end()
    return marked + escape(advice[end:])
