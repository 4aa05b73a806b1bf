"""What a case file says: one partner, and what must come of its answers. The format is described in cases/README.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml
from msgspec import UNSET, UnsetType

from tests.contract.adapters.expected import Outcome, hashes_filled_in

CASES = Path(__file__).parent / "cases"

BAD_IN_A_HUNDRED = "one bad row in a hundred, not named"
"""Made by the suite of the file's `refusal`, not written."""

TITLES = (
    "add",
    "remove",
    "mixed: joins and leaves in one batch",
    "net effect on partner rows",
    "duplicate users in a batch",
    "one bad row, named",
    "one bad row, not named",
    BAD_IN_A_HUNDRED,
    "all rows refused alike",
    "a row with no usable identifier",
    "empty batch",
    "429 with seconds",
    "429 with a date",
    "429 with a past date",
    "429 with a fraction",
    "429 with junk",
    "500 then fine",
    "HTML page with 200",
    "HTML page with 500",
    "time-out",
    "connection reset",
    "401 then refresh",
    "401 for good",
    "partial success in a 200",
    "audience gone",
    "more rows than a call takes",
    "unknown answer",
    "Unicode and control characters",
    "1 MB of error text",
)
"""Every file has a case with each of these titles, or says why it is not applicable."""


ExpectedCalls = tuple[str | dict[str, Any], ...] | dict[Literal["at_most"], int]


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One scripted answer, and to which calls it is given."""

    to: str = "* *"
    holds: str = ""
    times: int | Literal["always"] = 1
    status: int = 200
    headers: dict[str, str] = {}
    json: Any | UnsetType = UNSET
    html: str = ""
    text: str = ""
    repeat: int = 1
    do: Literal["answer", "hang", "reset"] = "answer"


class Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the DMP sends, and what is particular to the connector or its audience."""

    mutations: tuple[dict[str, Any], ...] = ()
    users: int = 0
    document: dict[str, Any] = {}
    audience: Literal["known", "new"] = "known"


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is given, and what must come of it."""

    title: str
    given: Given
    calls: ExpectedCalls
    outcomes: tuple[Outcome, ...] | Outcome
    answers: tuple[Answer, ...] = ()


class Audience(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The audience of all cases: as the DMP knows it, and as the partner does."""

    id: str
    name: str
    partner_id: str


class CaseFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One partner."""

    document: dict[str, Any]
    secrets: dict[str, str]
    audience: Audience
    user: dict[str, str]
    row: str
    count: str
    well: tuple[Answer, ...]
    cases: tuple[Case, ...]
    refusal: Answer | None = None
    not_applicable: dict[str, str] = {}

    def user_number(self, number: int) -> dict[str, str]:
        """The identifiers by which the DMP names the user with this number."""
        return {name: hashes_filled_in(numbered(value, number)) for name, value in self.user.items()}

    def row_of(self, number: int) -> str:
        """What a call holds of the user with this number."""
        return hashes_filled_in(numbered(self.row, number))


def numbered(template: str, number: int) -> str:
    """The template with the number in four digits, so that no number is a part of another."""
    return template.replace("{n}", f"{number:04}")


def read_case_file(adapter: str) -> CaseFile:
    """The adapter's case file. Raises `msgspec.ValidationError` with the place of what is wrong in it."""
    return msgspec.convert(yaml.safe_load((CASES / f"{adapter}.yaml").read_text(encoding="utf-8")), CaseFile)
