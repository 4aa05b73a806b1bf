"""What must happen when the process forks, for objects that hold locks, threads or connections."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forking(Protocol):
    """Something that a forked child must not simply inherit."""

    def before_fork(self) -> None: ...

    def after_fork_in_child(self) -> None: ...


def watch(thing: Forking) -> None:
    """Tells it of every fork, for as long as it lives."""
    _watched.add(thing)


_watched: weakref.WeakSet[Forking] = weakref.WeakSet()


def _before() -> None:
    for thing in list(_watched):
        thing.before_fork()


def _in_child() -> None:
    for thing in list(_watched):
        thing.after_fork_in_child()


os.register_at_fork(before=_before, after_in_child=_in_child)
