"""When a process can be used: it answers over HTTP, or it has said that it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import requests

from relay.domain.errors import RelayError
from relay.local_run.processes import Child, Children
from relay.simulator.dmp import Dmp

PATIENCE_S = 60.0
_PAUSE_S = 0.1


class NotStarted(RelayError):
    """A process ended early, or did not answer in time."""


def answers(url: str) -> Callable[[], bool]:
    """Whether something answers there, with any status but that of a server's error."""

    def look() -> bool:
        try:
            with requests.Session() as session:
                session.trust_env = False
                return session.get(url, timeout=2, allow_redirects=False).status_code < 500
        except requests.RequestException:
            return False

    return look


def accepts(dmp: Dmp) -> Callable[[], bool]:
    """Whether the receiver accepts what the DMP sends during set-up."""
    return lambda: dmp.validate().accepted


def signs(child: Child) -> Callable[[], bool]:
    """Whether the process has printed its sign."""
    return lambda: child.has_signed


def wait(children: Children, ready: Mapping[str, Callable[[], bool]], stop: threading.Event) -> None:
    """Returns when all (by the name of the process) are ready, or `stop` is set. Raises `NotStarted`."""
    missing = dict(ready)
    deadline = time.monotonic() + PATIENCE_S
    while missing and not stop.wait(_PAUSE_S):
        if (child := children.ended()) is not None:
            raise NotStarted(epitaph(child))
        missing = {name: look for name, look in missing.items() if not look()}
        if missing and time.monotonic() > deadline:
            raise NotStarted(f"Not ready after {PATIENCE_S:.0f} s: {', '.join(missing)}.")


def epitaph(child: Child) -> str:
    """How a process came to its end, with its last lines."""
    child.finish_reading()
    code = child.exit_code or 0
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    lines = "".join(f"\n  {line}" for line in list(child.last_lines)) or " nothing"
    return f"{child.name} {how}. Its last lines (all are in {child.log}):{lines}"
