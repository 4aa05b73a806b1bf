"""Secrets and the inbound document are files that are replaced as a whole; a writer that is killed leaves nothing for ever."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.backends.embedded.files import alone_in
from relay.domain.connector import InboundDocument
from relay.domain.errors import StoreUnavailable
from tests.unit.embedded.programs import start

_KILLED = """
import relay.backends.embedded.files as files
from relay.domain.connector import InboundDocument
def killed(*_):
    os.kill(os.getpid(), 9)
files.os.replace = killed
"""

Write = Callable[[EmbeddedBackend], None]


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if path.name.startswith(".")}


def _set(backend: EmbeddedBackend) -> None:
    backend.secrets.set("dmp-hmac", "later")


def _write(backend: EmbeddedBackend) -> None:
    backend.inbound.write(InboundDocument(1, ()))


FILES = pytest.mark.parametrize(
    ("directory", "program", "write"),
    [
        ("secrets", "backend.secrets.set('dmp-hmac', 'canary')", _set),
        (".", "backend.inbound.write(InboundDocument(1, (), 'canary'))", _write),
    ],
    ids=["secret", "inbound"],
)


def _killed_while_writing(state_dir: Path, program: str) -> None:
    process = start(state_dir, _KILLED + program)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


@FILES
def test_what_a_killed_writer_left_in_clear_is_gone_after_the_next_write(
    backend: EmbeddedBackend, state_dir: Path, directory: str, program: str, write: Write
) -> None:
    _killed_while_writing(state_dir, program)
    (left,) = _names(state_dir / directory)
    assert "canary" in (state_dir / directory / left).read_text()
    write(backend)
    assert _names(state_dir / directory) == set()


@FILES
def test_what_a_killed_writer_left_in_clear_is_tidied_away_if_nobody_writes_again(
    backend: EmbeddedBackend, state_dir: Path, directory: str, program: str, write: Write
) -> None:
    write(backend)
    before = {path: path.read_bytes() for path in (state_dir / "secrets").iterdir()}
    _killed_while_writing(state_dir, program)
    backend.tidy()
    assert _names(state_dir / directory) == set()
    assert {path: path.read_bytes() for path in (state_dir / "secrets").iterdir()} == before


def test_many_killed_writers_leave_one_file_between_them(backend: EmbeddedBackend, state_dir: Path) -> None:
    for number in range(3):
        _killed_while_writing(state_dir, f"backend.secrets.set('dmp-hmac', 'canary-{number}')")
    (left,) = _names(state_dir / "secrets")
    assert "canary-2" in (state_dir / "secrets" / left).read_text()
    assert [secret.name for secret in backend.secrets.all()] == []


@FILES
def test_nothing_that_is_being_written_is_tidied_away(
    backend: EmbeddedBackend, state_dir: Path, directory: str, program: str, write: Write
) -> None:
    write(backend)
    with alone_in(state_dir / directory):
        others = [threading.Thread(target=write, args=(backend,)), threading.Thread(target=backend.tidy)]
        for other in others:
            other.start()
        (state_dir / directory / ".being-written.new").touch()
        others[0].join(0.05)
        others[1].join(0.05)
        assert all(other.is_alive() for other in others)
        os.rename(state_dir / directory / ".being-written.new", state_dir / directory / "written")
    for other in others:
        other.join()
    assert (state_dir / directory / "written").exists()


def test_a_state_without_a_directory_for_secrets_is_tidied_too(backend: EmbeddedBackend, state_dir: Path) -> None:
    (state_dir / "secrets").rmdir()
    backend.tidy()
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        backend.secrets.set("dmp-hmac", "value")
