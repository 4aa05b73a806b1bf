"""`diy` on the google back end: what it cannot know, it says where to find."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from relay.backends import open_backend
from relay.cli import main
from relay.configuration import read
from relay.console.health_reading import health_page
from relay.domain.clock import SystemClock
from tests.emulators import Emulators, place

NOWHERE = {"BACKEND": "google", "GOOGLE_CLOUD_PROJECT": "nowhere", "K_SERVICE": None, "USER": "the-operator"}


def diy(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(main, list(arguments), env={**NOWHERE, **variables})


def test_the_depth_of_the_queue_is_in_cloud_monitoring_and_null_for_scripts() -> None:
    said = diy("queue")
    assert said.exit_code == 0
    assert "subscription/oldest_unacked_message_age" in said.stdout
    assert json.loads(diy("queue", "--json").stdout) is None


def test_there_is_no_worker_to_start() -> None:
    result = diy("worker", "--quiet")
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert "calls the function deliver, which is the worker" in line


@pytest.mark.parametrize("command", ["status", "worker"])
def test_without_a_project_a_command_ends_with_one_clear_line(command: str) -> None:
    result = diy(command, GOOGLE_CLOUD_PROJECT="")
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert "GOOGLE_CLOUD_PROJECT" in line


def test_status_and_console_say_where_to_look_for_what_the_queue_does_not_tell(emulators: Emulators) -> None:
    variables = place(emulators)
    status = diy("status", "--quiet", **variables)
    assert status.exit_code == 0, status.output
    assert "queue: Pub/Sub does not tell how much waits. Cloud Monitoring does" in status.stdout
    assert json.loads(diy("status", "--json", **variables).stdout)["queue"] is None

    backend = open_backend(read(variables))
    try:
        page = health_page(backend, read(variables), SystemClock().now())
    finally:
        backend.close()
    assert page.queue is None
    assert "Cloud Monitoring" in page.elsewhere
