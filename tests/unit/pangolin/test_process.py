"""Pangolin as a process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[3]


def start(state: Path, port: int, host: str = "127.0.0.1") -> subprocess.Popen[str]:
    environment = {**os.environ, "STATE_DIR": str(state), "PANGOLIN_PORT": str(port), "HOST": host}
    program = [sys.executable, "-m", "relay.pangolin"]
    return subprocess.Popen(
        program, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_with_the_local_token_and_ends_quietly(tmp_path: Path, ending: signal.Signals) -> None:
    port = free_port()
    process = start(tmp_path, port)
    try:
        session = requests.Session()
        session.headers["Authorization"] = "Bearer local-pangolin-token"
        pause = threading.Event()
        for _ in range(400):
            try:
                answer = session.get(f"http://127.0.0.1:{port}/api/audiences", timeout=30)
                break
            except requests.ConnectionError:
                pause.wait(0.05)
        assert answer.json() == {"audiences": [], "next": None}
        process.send_signal(ending)
        assert process.communicate(timeout=30)[0] == ""
        assert process.returncode == 0
        assert (tmp_path / "pangolin.db").stat().st_mode & 0o077 == 0
    finally:
        process.kill()


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(tmp_path, port)
        output = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert output == f"Pangolin cannot listen on 127.0.0.1:{port}: Address already in use.\n"


def test_a_database_that_is_none_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "pangolin.db").write_text("this is no database, and long enough to be recognised as none" * 20)
    process = start(tmp_path, free_port())
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert output.count("\n") == 1
    assert output.startswith("Pangolin cannot use its database")


def test_beyond_this_machine_it_refuses_to_start(tmp_path: Path) -> None:
    process = start(tmp_path, free_port(), host="0.0.0.0")  # noqa: S104 - it must not bind it
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert output.count("\n") == 1
    assert "127.0.0.1" in output
