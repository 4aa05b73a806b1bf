"""The mutants: mechanism → what switches it off while the context lasts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

Patch = Callable[[], AbstractContextManager[Any]]


MUTANTS: dict[str, Patch] = {}


SHOWN_BY: dict[str, str] = {}
"""Mechanism → the title of the scenario that is about it, and is played first."""


def mutant(mechanism: str, *, shown_by: str = "") -> Callable[[Patch], Patch]:
    def known(switch_off: Patch) -> Patch:
        MUTANTS[mechanism] = switch_off
        if shown_by:
            SHOWN_BY[mechanism] = shown_by
        return switch_off

    return known
