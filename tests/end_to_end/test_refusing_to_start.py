"""What must not be served does not start, and says why in one clear line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.stack import ROOT, free_port


def refused(function: str, **variables: str) -> str:
    """What is said while it refuses to start: one line."""
    command = [sys.executable, "-m", "functions_framework", "--target", function, "--port", str(free_port())]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **variables}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode != 0
    [line] = (run.stdout + run.stderr).strip().splitlines()
    return line


@pytest.mark.parametrize("function", ["diy", "create", "deliver", "tick", "console"])
@pytest.mark.parametrize("backend", [{}, {"BACKEND": "embedded"}])
def test_every_function_refuses_an_ephemeral_database(function: str, backend: dict[str, str]) -> None:
    assert "BACKEND=google" in refused(function, K_SERVICE="diy", **backend)


@pytest.mark.parametrize("function", ["diy", "create", "deliver", "tick", "console"])
def test_no_function_starts_without_a_state_to_work_on(function: str, tmp_path: Path) -> None:
    line = refused(function, STATE_DIR=str(tmp_path / "nowhere"))
    assert line.startswith("diy-relay: There is no state in ")
    assert "diy connectors apply" in line
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("password", [{}, {"CONSOLE_PASSWORD": "local-console-password"}])
def test_the_console_refuses_to_be_reached_with_the_password_that_everybody_knows(password: dict[str, str]) -> None:
    assert "set CONSOLE_PASSWORD" in refused("console", HOST="0.0.0.0", **password)  # noqa: S104 - it is refused
