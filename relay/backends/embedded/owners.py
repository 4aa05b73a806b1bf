"""Who is alive: each process that takes messages holds a lock on a file of its own, which ends with the process."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from relay.backends.embedded import forks
from relay.domain.errors import StoreUnavailable

_SUFFIX = ".lock"


class Owners:
    """This process's own name, and the question whether another one's process has died.

    The lock is `flock`: it ends with the process however that dies, and stays while it is merely stopped.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._reset()
        forks.watch(self)

    def _reset(self) -> None:
        self.name = ""
        """Empty until this process has taken its lock."""
        self._descriptor = -1
        self._guard = threading.Lock()

    def own(self) -> str:
        """This process's name; the first call takes its lock. Never the same for two processes."""
        if not self.name:
            with self._guard:
                if not self.name:
                    try:
                        self._directory.mkdir(mode=0o700, exist_ok=True)
                        self.name = self._acquire()
                    except OSError as error:
                        raise StoreUnavailable(f"The directory {self._directory} may not be written.") from error
        return self.name

    def others(self) -> list[str]:
        """Names of all other processes that took messages and whose end was not noticed yet."""
        names = (path.name.removesuffix(_SUFFIX) for path in self._directory.glob("*" + _SUFFIX))
        return [name for name in names if name != self.name]

    @contextmanager
    def dead(self, name: str) -> Iterator[bool]:
        """Whether that owner's process is gone. If so, its file is removed at the end of the block.

        A missing file is no proof: then its leases run out by themselves.
        """
        path = self._path(name)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            yield False
            return
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True
            path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def release(self, *, found_dead: bool = False) -> None:
        """Ends this process's ownership. found_dead: something of it is left, for others to free as a dead owner's."""
        with self._guard:
            if self.name:
                if not found_dead:
                    self._path(self.name).unlink(missing_ok=True)
                os.close(self._descriptor)
                self.name, self._descriptor = "", -1

    def _path(self, name: str) -> Path:
        return self._directory / (name + _SUFFIX)

    def _acquire(self) -> str:
        while True:
            name = f"{os.getpid()}-{os.urandom(8).hex()}"
            path = self._path(name)
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_nlink:
                    self._descriptor = descriptor
                    return name
            os.close(descriptor)  # another process took it for a dead one's, between its creation and its lock

    def before_fork(self) -> None:
        """Nothing to do."""

    def after_fork_in_child(self) -> None:
        """The lock is the parent's: a copy of its descriptor kept here would let it outlive the parent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._reset()
