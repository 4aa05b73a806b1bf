"""`diy simulate --source mediarithmics`, as a script meets it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from relay.cli import main
from relay.configuration import LOCAL_PLUGIN
from tests.unit.simulator.feed_function import FeedFunction, feed_function

ROOT = Path(__file__).parents[3]
SHORT = ("--rate", "100", "--duration", "0.1s", "--users", "20", "--seed", "1", "--audiences", "1", "--no-compare")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def gateway_port() -> int:
    return free_port()


@pytest.fixture
def function(gateway_port: int) -> Iterator[FeedFunction]:
    """One that asks the gateway on the right port as the right worker."""
    with feed_function() as function:
        function.gateway = f"http://127.0.0.1:{gateway_port}"
        yield function


def diy(*words: str, **environment: str) -> Result:
    clean = dict.fromkeys(("HOST", "FEED_PORT", "FEED_SECRET", "GATEWAY_PORT", "PLUGIN_WORKER_ID", "K_SERVICE", "BACKEND"))
    return CliRunner().invoke(
        main, ["simulate", "--source", "mediarithmics", *words], env={**clean, **environment}, prog_name="diy"
    )


def place(function: FeedFunction, gateway_port: int) -> dict[str, str]:
    return {"FEED_PORT": function.url.rpartition(":")[2], "GATEWAY_PORT": str(gateway_port)}


def test_traffic_ends_with_a_summary(function: FeedFunction, gateway_port: int) -> None:
    result = diy(*SHORT, "--delivery", "batch", **place(function, gateway_port), FEED_SECRET="a-secret-of-the-feeds")
    assert result.exit_code == 1, "this function takes what it is sent for the delivery 'queued'"
    function.delivery = "batch"
    result = diy(*SHORT, "--delivery", "batch", **place(function, gateway_port), FEED_SECRET="a-secret-of-the-feeds")
    assert result.exit_code == 0, result.output
    assert "delivery batch" in result.output
    assert "the function asked the gateway for: feed " in result.output
    assert result.output.rstrip().endswith("passed")
    assert {headers["X-Feed-Secret"] for headers in function.headers} == {"a-secret-of-the-feeds"}


def test_the_result_as_json_is_one_document(function: FeedFunction, gateway_port: int) -> None:
    result = diy(*SHORT, "--json", **place(function, gateway_port))
    shown = json.loads(result.stdout)
    assert (shown["passed"], shown["arrived"], shown["traffic"]["delivery"]) == (True, None, "queued")


def test_assembled_files_are_written_where_they_are_wanted(function: FeedFunction, gateway_port: int, tmp_path: Path) -> None:
    function.delivery = "file"
    result = diy(*SHORT, "--delivery", "file", "--files", str(tmp_path / "out"), **place(function, gateway_port))
    assert result.exit_code == 0, result.output
    assert len((tmp_path / "out" / "mics.1.2004_Add.csv").read_bytes().splitlines()) == 10


def test_members_that_pangolin_cannot_be_asked_for_are_a_failure(function: FeedFunction, gateway_port: int) -> None:
    result = diy(*SHORT, "--compare", **place(function, gateway_port), PANGOLIN_PORT=str(free_port()))
    assert result.exit_code == 1
    assert "Pangolin could not be asked for its members" in result.output
    assert result.output.rstrip().endswith("FAILED")


@pytest.mark.parametrize("option", [["--send"], ["--batch", "5"], ["--secrets-file", "x"]])
def test_an_option_of_the_other_source_is_refused(option: list[str]) -> None:
    result = diy(*option)
    assert result.exit_code == 2
    assert f"{option[0]} is for --source mapp" in result.output


@pytest.mark.parametrize("option", [["--delivery", "queued"], ["--serve-gateway"], ["--files", "x"], ["--no-compare"]])
def test_an_option_of_this_source_is_refused_with_the_other(option: list[str]) -> None:
    result = CliRunner().invoke(main, ["simulate", *option], prog_name="diy")
    assert result.exit_code == 2
    assert f"{option[0]} is for --source mediarithmics" in result.output


def only_line(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    [line] = result.output.strip().splitlines()
    return line


def test_it_needs_to_know_where_the_function_is() -> None:
    assert "FEED_PORT" in only_line(diy(), 2)
    assert "on this machine only" in only_line(diy("http://relay.example.com"), 2)
    assert "GATEWAY_PORT" in only_line(diy("http://127.0.0.1:9"), 2)


def test_a_function_that_does_not_run_is_said_with_the_command_that_starts_it() -> None:
    port = free_port()
    assert f"FEED_PORT={port} make run" in only_line(diy(*SHORT, FEED_PORT=str(port)), 1)


def test_a_gateway_s_port_that_is_taken_is_said(function: FeedFunction, gateway_port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", gateway_port))
        other.listen()
        assert f"port {gateway_port}" in only_line(diy(*SHORT, **place(function, gateway_port)), 2)


def test_a_function_that_asks_another_gateway_is_said(function: FeedFunction, gateway_port: int) -> None:
    function.gateway = f"http://127.0.0.1:{free_port()}"
    line = only_line(diy(*SHORT, **place(function, gateway_port)), 1)
    assert f"GATEWAY_PORT={gateway_port}" in line


def test_a_function_that_asks_as_another_worker_is_said(function: FeedFunction, gateway_port: int) -> None:
    function.credentials = ("another", "token")
    assert "as another worker" in only_line(diy(*SHORT, **place(function, gateway_port)), 1)


@pytest.mark.parametrize(
    ("status", "said"),
    [(503, "PLUGIN_WORKER_ID"), (401, "FEED_SECRET"), (403, "FEED_SECRET"), (404, "is not the function external_feed")],
)
def test_a_function_that_is_not_ready_is_said(function: FeedFunction, gateway_port: int, status: int, said: str) -> None:
    function.troubles["status"] = [(status, {}, {})]
    assert said in only_line(diy(*SHORT, **place(function, gateway_port)), 1)


@pytest.mark.parametrize("ignored", [False, True], ids=["in front", "in the background of a shell"])
def test_the_gateway_can_be_served_alone(gateway_port: int, ignored: bool) -> None:
    command = [sys.executable, "-u", "-m", "relay.cli", "simulate", "--source", "mediarithmics", "--serve-gateway"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "GATEWAY_PORT": str(gateway_port)}
    if ignored:
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().startswith(f"gateway: http://127.0.0.1:{gateway_port}")
            url = f"http://127.0.0.1:{gateway_port}/v1/audience_segment_external_feeds/1001"
            assert requests.get(url, auth=LOCAL_PLUGIN, timeout=5).json()["data"]["id"] == "1001"
        finally:
            process.send_signal(signal.SIGINT)
            try:
                assert process.wait(10) == 0
            finally:
                process.kill()
        rest = process.stdout.read()
    assert "curl -i" in rest
    assert "asked for: {'feed': 1}" in rest
