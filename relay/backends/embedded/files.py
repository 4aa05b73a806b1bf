"""Small files that are replaced as a whole, readable by their owner only."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relay.domain.errors import StoreUnavailable

_UNFINISHED = ".new"


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Within the block no other thread or process changes the small files of this directory; it waits for one that does. The lock
    ends with the process, however that dies. Raises `StoreUnavailable`."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreUnavailable(f"The directory {directory} cannot be opened.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replace_atomically(path: Path, content: bytes) -> None:
    """Whoever reads the file sees the old content or the new, after a loss of power too. Mode 0600. Called by one who is
    `alone_in` its directory. Raises `OSError`."""
    temporary = path.with_name(f".{path.name}{_UNFINISHED}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _make_durable(path.parent)


def remove_durably(path: Path) -> None:
    """The file does not come back after a loss of power. Called by one who is `alone_in` its directory. Raises `OSError`."""
    path.unlink()
    _make_durable(path.parent)


def _make_durable(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(directory: Path) -> None:
    """Removes what was being written when its writer was killed: secrets in clear that nobody would ever read again. Raises
    `StoreUnavailable`."""
    with alone_in(directory):
        try:
            for leftover in directory.glob(f".*{_UNFINISHED}"):
                leftover.unlink(missing_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"The directory {directory} may not be written.") from error
