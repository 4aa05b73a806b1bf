"""A file system of a few megabytes, in memory, which a test may fill to the last byte."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


class SmallDisk:
    """`path`: where it is mounted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filling = path / "something-else"

    def fill(self) -> None:
        """Something else takes all that is left."""
        with suppress(OSError), self._filling.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def clear(self) -> None:
        """What `fill` took is free again."""
        self._filling.unlink()

    def enlarge(self, megabytes: int) -> None:
        """To so many in all."""
        _mount(self.path, f"remount,size={megabytes}m")

    @property
    def free_bytes(self) -> int:
        """What is left."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize


@contextmanager
def small_disk(path: Path, *, megabytes: int) -> Iterator[SmallDisk]:
    """Mounts one at `path`, a new directory. Leaves the test out where that is not allowed."""
    path.mkdir()
    try:
        _mount(path, f"size={megabytes}m")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system of limited size can be mounted: run it as root, or by `unshare -Urm python -m pytest …`")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", str(path)], check=True)  # noqa: S607


def _mount(path: Path, options: str) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    subprocess.run(command, check=True, capture_output=True)
