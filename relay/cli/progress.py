"""How far something has come, for a person who waits for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress_bar(length: int) -> Iterator[Callable[[], None]]:
    """On standard error, for a person; nothing for a pipe. Call what it gives for each of the `length` steps."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    with click.progressbar(length=length, label="sending", file=sys.stderr) as bar:
        yield lambda: bar.update(1)
