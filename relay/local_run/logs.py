"""What the processes of a local run write, kept in files: readable by their owner only, and never without bound."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from relay.domain.errors import ConfigurationError

DIRECTORY = "logs"
"""Below the state directory."""

MOST_BYTES = 8_000_000


def make_directory(state_dir: Path) -> Path:
    """The directory of the logs, made, with the state directory around it, where there is none. Raises `ConfigurationError`."""
    absolute = state_dir.absolute()
    try:
        absolute.mkdir(mode=0o700, parents=True, exist_ok=True)
        (absolute / DIRECTORY).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"STATE_DIR {absolute} cannot be used: {error.strerror}.") from error
    return absolute / DIRECTORY


class LogFile:
    """`NAME.log`, appended to. Past `most_bytes` it becomes `NAME.log.1`, in place of the one before, and a new one begins."""

    def __init__(self, directory: Path, name: str, *, most_bytes: int = MOST_BYTES) -> None:
        """Raises `ConfigurationError` where nothing can be written."""
        self.path = directory / f"{name}.log"
        self._most_bytes = most_bytes
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            self._file = self._open()
            self._size = self.path.stat().st_size
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be written: {error.strerror}.") from error

    def write(self, line: bytes) -> None:
        """Appends the line, at once. A full disk or a closed file costs the line and nothing else."""
        with contextlib.suppress(OSError, ValueError):
            if self._size + len(line) > self._most_bytes and self._size:
                self._begin_anew()
            self._file.write(line)
            self._size += len(line)

    def close(self) -> None:
        """What is written after this is lost."""
        self._file.close()

    def _begin_anew(self) -> None:
        os.replace(self.path, self.path.with_name(f"{self.path.name}.1"))
        self._file.close()
        self._file = self._open()
        self._size = 0

    def _open(self) -> io.FileIO:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)
        return io.FileIO(descriptor, "ab")
