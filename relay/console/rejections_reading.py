"""What the page of rejections shows: groups of one code with samples, and a selection, newest first, page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from relay.backends.interfaces import Reports
from relay.backends.interfaces.reports import RejectionCode
from relay.domain.outcome import Rejection
from relay.health.rejections_csv import Selection

ROWS = 50
"""On a page."""

MOST_SCANNED = 5_000
"""Rejections looked through for one page, where the store cannot choose by itself."""

_AT_ONCE = 500

MOST_GROUPS = 30
SAMPLES = 3
"""Of a group."""

DAYS = (1, 7, 30)
"""How far back the groups count."""


class Asked(msgspec.Struct, frozen=True):
    """What somebody wants to see. chosen_days: of the groups; None: not chosen. before: the number of the rejection that the page
    before ended with; 0: the newest page."""

    selection: Selection = Selection()
    chosen_days: int | None = None
    before: int = 0

    @property
    def days(self) -> int:
        """Fewer where all connectors are counted."""
        return self.chosen_days or (DAYS[1] if self.selection.connector else DAYS[0])

    @property
    def narrows(self) -> bool:
        """Whether it leaves rejections out."""
        return self.selection != Selection()


class Group(msgspec.Struct, frozen=True):
    """Rejections that have connector, action and code in common. samples: the newest of them that are at hand."""

    code: RejectionCode
    samples: tuple[Rejection, ...]
    chosen: bool


class Page(msgspec.Struct, frozen=True):
    """Rejections, newest first. next: where older ones begin; 0: there are none. searched: how many were looked through without
    finding enough for a whole page; 0: not cut short."""

    rows: tuple[Rejection, ...]
    next: int
    searched: int = 0


def asked_of(arguments: Mapping[str, str]) -> Asked:
    """From an address; what it says wrongly is not heeded. An action of an empty name is one: that of no action."""
    before, days = arguments.get("before", ""), arguments.get("days", "")
    return Asked(
        Selection(
            connector=arguments.get("connector") or None,
            audience=arguments.get("audience", "").strip() or None,
            action=arguments.get("action"),
            code=arguments.get("code", "").strip() or None,
        ),
        chosen_days=next((one for one in DAYS if str(one) == days), None),
        before=int(before) if before.isascii() and before.isdecimal() and len(before) < 19 else 0,
    )


def page_of(reports: Reports, asked: Asked) -> Page:
    """The page that was asked for. Looks through no more than `MOST_SCANNED` of them."""
    chosen = asked.selection
    sifts = chosen.action is not None or chosen.code is not None
    rows: list[Rejection] = []
    last, searched = asked.before, 0
    while searched < MOST_SCANNED:
        found = reports.rejections(
            chosen.connector,
            audience=chosen.audience,
            limit=_AT_ONCE if sifts else ROWS + 1,
            after=last,
            newest_first=True,
        )
        if not found:
            return Page(tuple(rows), 0)
        for number, rejection in found:
            # Several can have one number: what begins behind it must not leave one of them out.
            if len(rows) >= ROWS and number != last:
                return Page(tuple(rows), last)
            if chosen.has(rejection):
                rows.append(rejection)
            last = number
        searched += len(found)
    return Page(tuple(rows), last, searched)


def groups_of(reports: Reports, asked: Asked, now: float, newest: Sequence[Rejection]) -> tuple[tuple[Group, ...], int]:
    """The largest groups of the last days, and how many more there are. newest: of which samples are taken."""
    codes = reports.rejection_codes(asked.selection.connector, since=now - asked.days * 86_400)
    groups = tuple(
        Group(
            code,
            tuple(
                one for one in newest if (one.connector, one.action, one.code) == (code.connector, code.action, code.code)
            )[:SAMPLES],
            (asked.selection.action, asked.selection.code) == (code.action, code.code),
        )
        for code in codes[:MOST_GROUPS]
    )
    return groups, max(0, len(codes) - MOST_GROUPS)


def samples_of(reports: Reports, asked: Asked) -> list[Rejection]:
    """The newest of the connector, whatever their code: for the groups' samples."""
    return [rejection for _, rejection in reports.rejections(asked.selection.connector, limit=200, newest_first=True)]
