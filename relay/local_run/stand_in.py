"""What the programs that stand in for services of Google share: the port they are given, and their end."""

from __future__ import annotations

import argparse
import signal
import threading
from types import FrameType


def given_port(program: str, description: str | None) -> int:
    """The port of 127.0.0.1 that `python -m PROGRAM --port N` is to listen on."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument("--port", type=int, required=True, help="port of 127.0.0.1 to listen on")
    port: int = parser.parse_args().port
    return port


def told_to_end() -> threading.Event:
    """Set by Ctrl-C or a TERM, from now on."""
    over = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        over.set()

    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, end)
    return over
