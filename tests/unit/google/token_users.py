"""Workers that need a token, and the partner that gives it. As a program: one worker in a process of its own,
`python -m tests.unit.google.token_users JOURNAL START`, in the place that its environment names.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from relay.backends.google.tokens import GoogleTokens
from relay.domain.clock import SystemClock
from tests.unit.google.interposed import Interposed
from worker.tokens import SharedTokens


class Partner:
    """Refreshes tokens, each refresh token once, and notes it in a file that all processes share."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal

    def obtain(self, refresh: str) -> tuple[str, float, str]:
        with self._journal.open("ab", buffering=0) as file:
            file.write(f"{refresh}\n".encode())
        time.sleep(0.2)  # the others find the lease taken meanwhile
        return f"access for {refresh}", 3_600.0, f"after {refresh}"

    @property
    def used(self) -> list[str]:
        return self._journal.read_text().splitlines()


def use_token(variables: dict[str, str], journal: Path) -> str:
    """What a worker does that needs the token."""
    tokens = SharedTokens(GoogleTokens(Interposed(variables), SystemClock()), SystemClock())
    return tokens.get("pangolin", Partner(journal).obtain)


if __name__ == "__main__":
    journal, start = map(Path, sys.argv[1:])
    print("ready", flush=True)
    while not start.exists():
        time.sleep(0.005)
    print(use_token(dict(os.environ), journal), flush=True)
