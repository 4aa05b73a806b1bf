"""The container of the feeds: it holds what the function needs, and serves it as the platform expects a plugin."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from deploy import package
from tests.deploy.scripts import ROOT
from tests.end_to_end.stack import eventually, free_port

DOCKERFILE = (ROOT / "deploy/external-feed/Dockerfile").read_text()
LINES = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]


def instructions(name: str) -> list[str]:
    return [line.removeprefix(f"{name} ") for line in LINES if line.startswith(f"{name} ")]


def test_it_holds_what_the_functions_need_and_nothing_else() -> None:
    copied = {line.split()[0] for line in instructions("COPY")}
    assert copied == {name.partition("/")[0] for name in package.files()}
    allowed = (ROOT / "deploy/external-feed/Dockerfile.dockerignore").read_text()
    assert {line.removeprefix("!") for line in allowed.splitlines() if line.startswith("!")} == copied


def test_it_runs_as_nobody_special_on_the_python_of_the_functions() -> None:
    assert instructions("FROM") == ["python:3.13-slim"]
    assert instructions("USER") == ["plugin"]


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[str]:
    """What the container runs, from copies of what it copies, with its variables; only the address is this machine's."""
    for line in instructions("COPY"):
        source = ROOT / line.split()[0]
        if source.is_dir():
            shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path)
    [variables] = instructions("ENV")
    [command] = instructions("CMD")
    port = free_port()
    environment = {
        **dict(pair.split("=", 1) for pair in variables.split()),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOST": "127.0.0.1",
        "PLUGIN_PORT": str(port),
        "PLUGIN_WORKER_ID": "worker-1",
        "PLUGIN_AUTHENTICATION_TOKEN": "token-of-the-test",
        "PLUGIN_VERSION": "4.2.0",
        "GOOGLE_CLOUD_PROJECT": "my-project",
        "GOOGLE_CLOUD_REGION": "europe-west1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(
        json.loads(command), cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _answers(url), within_s=60)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/v1/status", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.mark.once
def test_its_entry_point_serves_the_plugin_on_the_port_that_the_platform_names(plugin: str) -> None:
    assert requests.get(f"{plugin}/v1/metadata", timeout=5).json()["plugin_version"] == "4.2.0"
    refused = requests.post(f"{plugin}/v1/user_segment_update", data=b"", timeout=5)
    assert (refused.status_code, refused.json()) == (500, {"error": "Missing request body"})


def test_every_variable_that_it_sets_is_one_that_is_read() -> None:
    [variables] = instructions("ENV")
    names = {pair.partition("=")[0] for pair in variables.split()}
    known = set(re.findall(r'"([A-Z_]+)"', (ROOT / "relay/configuration.py").read_text()))
    assert names - known <= {"PLUGIN_PORT", "WORKERS"}, "read by the entry point and by functions-framework"
