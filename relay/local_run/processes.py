"""The processes of a local run: started in groups of their own, their output kept and passed on, ended in order."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from relay.local_run.logs import LogFile

GRACE_S = 10.0
_LAST_LINES = 15


class Child:
    """One process. It has a session of its own, so that Ctrl-C reaches only us, and we end the children in order.

    log: keeps each line that it writes. pass_on: is given its name and the line. environment: its variables; None: ours.
    sign: a text that shows, in any line, that it runs.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: LogFile,
        pass_on: Callable[[str, str], None],
        environment: Mapping[str, str] | None = None,
        sign: str = "",
    ) -> None:
        self.name = name
        self.log = log.path
        self.last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._log = log
        self._pass_on = pass_on
        self._sign = sign
        self._has_signed = threading.Event()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"{name}-output", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    @property
    def has_signed(self) -> bool:
        """Whether a line held the sign."""
        return self._has_signed.is_set()

    def finish_reading(self) -> None:
        """Returns when all that an ended process has written is read, or after two seconds: its children may hold the pipe."""
        self._reader.join(timeout=2)

    def end(self, *, at_once: Callable[[], bool]) -> None:
        """TERM, ten seconds to finish (none if `at_once` says so), KILL for what is left of its group."""
        if self.exit_code is None:
            self._process.terminate()
            deadline = time.monotonic() + GRACE_S
            while self.exit_code is None and time.monotonic() < deadline and not at_once():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(timeout=0.1)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self.finish_reading()
        self._log.close()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        for line in self._process.stdout:
            self._log.write(line)
            text = line.decode(errors="replace").rstrip()
            self.last_lines.append(text)
            if self._sign and self._sign in text:
                self._has_signed.set()
            self._pass_on(self.name, text)


class Children:
    """All of them, and the lifeline that ends them should this process be killed."""

    def __init__(self, logs: Path, pass_on: Callable[[str, str], None]) -> None:
        """logs: the directory of their logs. pass_on: is given each line that one of them writes, with its name before it."""
        self._logs = logs
        self._pass_on = pass_on
        self._all: list[Child] = []
        self._lifeline = subprocess.Popen(
            [sys.executable, "-m", "relay.local_run.lifeline"], stdin=subprocess.PIPE, start_new_session=True
        )
        assert self._lifeline.stdin is not None  # noqa: S101 - it was asked for
        self._pipe = self._lifeline.stdin

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        sign: str = "",
        only_logged: bool = False,
    ) -> Child:
        """Starts one. environment, sign: see `Child`. only_logged: its lines are kept and not passed on. Raises
        `ConfigurationError` where its log cannot be written."""
        child = Child(
            name,
            command,
            log=LogFile(self._logs, name),
            pass_on=_keep_to_oneself if only_logged else self._pass_on,
            environment=environment,
            sign=sign,
        )
        self._all.append(child)
        self._tell(str(child.pid))
        return child

    def any(self) -> bool:
        """Whether one was started."""
        return bool(self._all)

    def ended(self) -> Child | None:
        """One that has ended by itself, if any has."""
        return next((child for child in self._all if child.exit_code is not None), None)

    def end(self, *, at_once: Callable[[], bool] = lambda: False) -> None:
        """Ends all of them, the one that was started last first. A second call does nothing."""
        while self._all:
            self._all[-1].end(at_once=at_once)
            self._all.pop()
        if self._lifeline.poll() is None:
            self._tell("done")
            self._lifeline.wait()
            self._pipe.close()

    def _tell(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self._pipe.write(line.encode() + b"\n")
            self._pipe.flush()


def _keep_to_oneself(_name: str, _line: str) -> None:
    pass
