"""The mutants: mechanism → what switches it off while the context lasts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

Patch = Callable[[], AbstractContextManager[Any]]


MUTANTS: dict[str, Patch] = {}


def mutant(mechanism: str) -> Callable[[Patch], Patch]:
    def known(switch_off: Patch) -> Patch:
        MUTANTS[mechanism] = switch_off
        return switch_off

    return known
