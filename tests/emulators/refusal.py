"""How a service's rules speak to the proxy that applies them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import grpc

from tests.emulators.counts import NOTHING, Bill

Cost = Callable[[Sequence[bytes]], Bill]
"""What a call that succeeded costs, by its answers."""


class Refusal(Exception):
    """Google answers with this status code and sentence."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


class Rules(Protocol):
    """What Google refuses though the emulator accepts it, and what it bills."""

    def check(self, method: str, request: bytes) -> Cost:
        """method: the last part of its name, `Commit`. Raises `Refusal`."""
        ...


class NoRules:
    """A stand-in that knows its rules itself."""

    def check(self, method: str, request: bytes) -> Cost:
        return free


def free(answers: Sequence[bytes]) -> Bill:
    return NOTHING
