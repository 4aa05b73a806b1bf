"""On Cloud Run with any back end but google, every function refuses to start with one clear line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.end_to_end.stack import ROOT, free_port


@pytest.mark.parametrize("function", ["diy", "create", "deliver", "tick", "console"])
@pytest.mark.parametrize("backend", [{}, {"BACKEND": "embedded"}])
def test_every_function_refuses_an_ephemeral_database(function: str, backend: dict[str, str]) -> None:
    command = [sys.executable, "-m", "functions_framework", "--target", function, "--port", str(free_port())]
    environment = {"PATH": "/usr/bin:/bin", "K_SERVICE": "diy", "PYTHONPATH": str(ROOT), **backend}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode != 0
    lines = (run.stdout + run.stderr).strip().splitlines()
    assert len(lines) == 1
    assert "BACKEND=google" in lines[0]
