"""What became of mutations: outcomes, the report of an attempt, rejections."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

VERSION = 1

Outcome = Literal["delivered", "rejected", "retry", "superseded", "skipped"]


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome of one mutation for one action. `action` is empty where it concerns the mutation as a whole."""

    request_id: str
    index: int
    action: str
    outcome: Outcome
    code: str = ""
    hint: str = ""


class CallReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call to the partner. `status` 0: no answer. `problem`: code of the error that the answer was classified as."""

    operation: str
    items: int
    status: int
    duration_ms: float
    problem: str = ""


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt: what was tried and what came of it. Carries no identifier of a person.

    counts      outcome → number, over mutations and actions
    request_ids those of the requests in it (at most 1,000)
    exceptions  the results that are neither `delivered` nor `retry` (at most 1,000 of them)
    held        reason of the hold that the rest joined, or that still stands; empty if none
    due_at      when that hold is tried again, seconds since the epoch; 0 if not by itself
    lag_ms      from the request to the end of this attempt, for the oldest mutation in it
    """

    version: int
    attempt_id: str
    connector: str
    connector_version: int
    audience: str
    kind: str
    request_ids: tuple[str, ...]
    at: float
    duration_ms: float
    counts: dict[str, int]
    calls: tuple[CallReport, ...] = ()
    exceptions: tuple[Result, ...] = ()
    problem: str = ""
    hint: str = ""
    held: str = ""
    due_at: float = 0
    lag_ms: float = 0

    @property
    def failed(self) -> bool:
        """Whether someone may want to look at it."""
        return bool(self.problem) or bool(self.counts.get("rejected")) or bool(self.counts.get("retry"))


class Rejection(msgspec.Struct, frozen=True, omit_defaults=True):
    """A mutation refused for good, for one action. The user is kept as a hash only: see `hash_user`."""

    version: int
    connector: str
    audience: str
    request_id: str
    index: int
    direction: str
    user_hash: str
    action: str
    code: str
    hint: str
    at: float


def hash_user(value: str) -> str:
    """SHA-256, in hexadecimal, of an identifier as it was received: one who has the identifier finds its records."""
    return hashlib.sha256(value.encode()).hexdigest()
