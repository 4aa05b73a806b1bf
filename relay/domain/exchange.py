"""What went to the partner and came back in an attempt, with everything that could tell of a person or a secret masked."""

from __future__ import annotations

from typing import Literal

import msgspec

VERSION = 1

Kind = Literal["none", "json", "form", "csv", "other"]


class Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """A body. `masked`: as JSON, values replaced by words in ‹›; of CSV the first lines, of a form its fields; empty where none
    is kept, as `note` says. `size`: bytes of the body as it was, where it is known."""

    kind: Kind = "none"
    size: int = 0
    masked: str = ""
    note: str = ""


class Exchange(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request to the partner and its answer. Holds no identifier of a person, no hash of one, and no secret.

    operation the adapter's, as of a `CallReport`; empty for calls that are about the audience, or fetch a token
    items     users in the call; of the first of them, `users` says where they are: ID of the DMP's request, and place in it
    status    0: no answer
    problem   code of the error by which no answer came
    sent_headers, answered_headers  of a few names only
    """

    method: str
    url: str
    status: int
    duration_ms: float
    operation: str = ""
    items: int = 0
    users: tuple[tuple[str, int], ...] = ()
    problem: str = ""
    sent_headers: dict[str, str] = {}
    sent: Content = Content()
    answered_headers: dict[str, str] = {}
    answered: Content = Content()


class Exchanges(msgspec.Struct, frozen=True, omit_defaults=True):
    """Those of one attempt that are kept, in order. left_out: how many more there were."""

    version: int
    kept: tuple[Exchange, ...]
    left_out: int = 0
