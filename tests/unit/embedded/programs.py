"""Other processes, as Python programs that begin with an open `backend`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

_BEGINNING = """
import os, sys, threading, time
from pathlib import Path
from relay.backends.embedded import EmbeddedBackend
from relay.domain.clock import SystemClock
from relay.domain.errors import StoreUnavailable
from tests.contract.backends.given import message
backend = EmbeddedBackend.open(Path(sys.argv[1]), SystemClock())
"""


def start(state_dir: Path, program: str) -> subprocess.Popen[str]:
    """Runs it; its output comes through a pipe."""
    return subprocess.Popen(
        [sys.executable, "-c", _BEGINNING + program, str(state_dir)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def end(process: subprocess.Popen[str]) -> None:
    """Kills it, if it still runs."""
    process.kill()
    process.communicate()


def output(state_dir: Path, program: str) -> str:
    """Runs it to its end, which must be a good one."""
    process = start(state_dir, program)
    written, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return written
