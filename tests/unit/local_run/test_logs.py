"""What the processes of a local run write is kept: for its owner only, and never without bound."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay.domain.errors import ConfigurationError
from relay.local_run.logs import LogFile


def written(directory: Path, *lines: bytes, most_bytes: int = 20) -> None:
    log = LogFile(directory, "worker", most_bytes=most_bytes)
    for line in lines:
        log.write(line)
    log.close()


def kept(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir(mode=0o755)
    (tmp_path / "logs" / "worker.log").touch(mode=0o644)
    previous = os.umask(0)
    try:
        written(tmp_path / "logs", b"one\n")
        written(tmp_path / "new", b"one\n")
    finally:
        os.umask(previous)

    assert (tmp_path / "logs" / "worker.log").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new" / "worker.log").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_the_next_run_goes_on_with_it(tmp_path: Path) -> None:
    written(tmp_path, b"one\n")
    written(tmp_path, b"two\n")

    assert kept(tmp_path) == {"worker.log": b"one\ntwo\n"}


def test_a_full_one_becomes_the_older_one_and_takes_its_place(tmp_path: Path) -> None:
    written(tmp_path, b"1" * 15, b"2" * 15, b"3" * 15)

    assert kept(tmp_path) == {"worker.log.1": b"2" * 15, "worker.log": b"3" * 15}

    written(tmp_path, b"4" * 15)
    assert kept(tmp_path) == {"worker.log.1": b"3" * 15, "worker.log": b"4" * 15}


def test_a_line_longer_than_the_bound_is_kept_whole(tmp_path: Path) -> None:
    written(tmp_path, b"1" * 100)

    assert kept(tmp_path) == {"worker.log": b"1" * 100}


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match=r"worker\.log cannot be written"):
        LogFile(tmp_path / "file", "worker")


def test_a_line_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    log = LogFile(tmp_path, "worker")
    log.close()

    log.write(b"too late")
