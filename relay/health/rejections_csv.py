"""Rejections as CSV, for `diy rejections export` and the console: a chosen part of them, read and written piece by piece."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from relay.backends.interfaces import Reports
from relay.domain.outcome import Rejection
from relay.health.wording import iso

COLUMNS = ("at", "connector", "audience", "direction", "action", "code", "hint", "request_id", "index", "user_sha256")
"""Columns of the CSV, and keys of the JSON. `user_sha256`: SHA-256 of the identifier as it was received."""

PAGE = 1_000
"""Rejections read at once."""

_PIECE = 32 * 1024
"""Characters of a piece of the text, about."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Spreadsheets run cells that begin so, the wide forms in some languages; texts of a partner must not."""


class Selection(msgspec.Struct, frozen=True):
    """Which rejections; None: whatever it is. `action`: the name of the action that was refused; empty for those of none."""

    connector: str | None = None
    audience: str | None = None
    action: str | None = None
    code: str | None = None

    def has(self, rejection: Rejection) -> bool:
        """Whether it is one of them, as far as the store does not choose: see `Reports.rejections`."""
        return self.action in (None, rejection.action) and self.code in (None, rejection.code)


def selected(reports: Reports, selection: Selection) -> Iterator[Rejection]:
    """Oldest first. Never more than `PAGE` of them are in memory."""
    after = 0
    while page := reports.rejections(selection.connector, audience=selection.audience, limit=PAGE, after=after):
        yield from (rejection for _, rejection in page if selection.has(rejection))
        after = page[-1][0]


def text_of(rejections: Iterable[Rejection]) -> Iterator[str]:
    """The CSV in pieces, the headings first."""
    piece = io.StringIO(newline="")
    writer = csv.writer(piece, lineterminator="\n")
    writer.writerow(COLUMNS)
    for rejection in rejections:
        writer.writerow([_harmless(value) for value in record(rejection).values()])
        if piece.tell() >= _PIECE:
            yield piece.getvalue()
            piece.seek(0)
            piece.truncate()
    yield piece.getvalue()


def record(rejection: Rejection) -> dict[str, Any]:
    """By column."""
    values = (
        iso(rejection.at),
        rejection.connector,
        rejection.audience,
        rejection.direction,
        rejection.action,
        rejection.code,
        rejection.hint,
        rejection.request_id,
        rejection.index,
        rejection.user_hash,
    )
    return dict(zip(COLUMNS, values, strict=True))


class Counting:
    """Passes rejections on and counts them: `number` so far."""

    def __init__(self, rejections: Iterable[Rejection]) -> None:
        self._rejections = rejections
        self.number = 0

    def __iter__(self) -> Iterator[Rejection]:
        for rejection in self._rejections:
            self.number += 1
            yield rejection


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
