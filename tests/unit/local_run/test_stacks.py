"""What each form of a local run starts, and with which variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.configuration import LOCAL_PLUGIN, Configuration, environment, read, refuse_open_feeds, with_local_feeds
from relay.domain.errors import ConfigurationError
from relay.local_run import banner
from relay.local_run.embedded import EmbeddedStack
from relay.local_run.google import GoogleStack
from relay.local_run.preparation import Prepared, check_address, check_ports
from relay.local_run.stack import Process, Stack
from relay.simulator.dmp import DmpAudience

PREPARED = Prepared((), "an-hmac-secret", "dmp:pass:word")


def configured(state: Path, **more: object) -> Configuration:
    return Configuration(state_dir=state, receiver_port=21001, console_port=21002, pangolin_port=21003, **more)  # type: ignore[arg-type]


@pytest.fixture(params=[EmbeddedStack, GoogleStack])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Stack:
    made: Stack = request.param(configured(tmp_path))
    return made


def processes(stack: Stack) -> dict[str, Process]:
    return {process.name: process for process in (*stack.foundation(), *stack.processes(PREPARED))}


def test_the_variables_of_a_process_say_what_the_configuration_says(tmp_path: Path) -> None:
    given = configured(
        tmp_path, backend="google", host="::1", traffic=False, public_url="http://x", console_password="own", topic="own",
        google_cloud_project="project", google_cloud_region="europe-west1", firestore_database="own", ack_deadline_s=45.0,
        secret_prefix="own-", inbound_file="/inbound", create_url="http://127.0.0.1:1/", pubsub_emulator="127.0.0.1:2",
        firestore_emulator="127.0.0.1:3", secret_manager_emulator="127.0.0.1:4", user="ada", simulate_hmac_secret="s",
        simulate_basic="b:c", feed_port=21004, feed_access="secret", feed_secret="a-secret-of-the-feeds", gateway_host="h",
        gateway_port=5, plugin_worker_id="w", plugin_authentication_token="t", plugin_version="1",
    )  # fmt: skip

    assert read(environment(given)) == given


def test_an_emulator_named_in_the_shell_is_not_what_the_processes_of_an_embedded_run_see(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:5")
    stack = EmbeddedStack(configured(tmp_path))

    assert all(not process.environment["PUBSUB_EMULATOR_HOST"] for process in processes(stack).values())


def test_the_embedded_run_has_a_worker_and_the_google_run_has_the_functions_and_what_they_use(tmp_path: Path) -> None:
    assert list(processes(EmbeddedStack(configured(tmp_path)))) == ["pangolin", "worker", "receiver", "console"]
    assert list(processes(GoogleStack(configured(tmp_path)))) == [
        "pubsub", "firestore", "secrets", "journal", "pangolin", "create", "deliver", "tick", "receiver", "console",
    ]  # fmt: skip


def test_receiver_console_and_pangolin_are_where_the_configuration_says(stack: Stack) -> None:
    found = processes(stack)

    for name, port in {"receiver": "21001", "console": "21002"}.items():
        assert found[name].command[-2:] == ("--port", port)
    assert found["pangolin"].environment["PANGOLIN_PORT"] == "21003"


def test_no_process_of_a_google_run_can_reach_a_project_of_the_operator(tmp_path: Path) -> None:
    stack = GoogleStack(configured(tmp_path, google_cloud_project="the-operators", inbound_file="/mounted"))

    for process in processes(stack).values():
        seen = read(process.environment)
        assert seen.google_cloud_project == "diy-relay-local"
        assert all(
            address.startswith("127.0.0.1:")
            for address in (seen.pubsub_emulator, seen.firestore_emulator, seen.secret_manager_emulator)
        )
        assert seen.inbound_file == ""


def test_ports_that_are_chosen_are_nobody_elses(tmp_path: Path) -> None:
    places = [address.rstrip("/").rpartition(":")[2] for _, address, _ in GoogleStack(configured(tmp_path)).remarks.places]

    assert len({*places, "21001", "21002", "21003"}) == len(places) + 3


def test_deliver_has_more_requests_in_hand_than_the_machine_would_give_it(tmp_path: Path) -> None:
    found = processes(GoogleStack(configured(tmp_path)))

    assert (found["deliver"].environment["THREADS"], found["create"].environment["THREADS"]) == ("16", "8")


def test_the_banner_of_a_google_run_says_where_everything_is_and_how_to_operate_it(tmp_path: Path) -> None:
    stack = GoogleStack(configured(tmp_path))

    said = banner.text(stack.configuration, PREPARED, DmpAudience("a.1", "A"), stack.remarks)

    assert "calls it every minute" in said
    assert f"PUBSUB_EMULATOR_HOST={stack.configuration.pubsub_emulator} " in said
    assert "the relay's state is in the emulators and is gone then" in said


@pytest.mark.parametrize("seconds", [9.0, 601.0])
def test_an_acknowledgement_deadline_that_pubsub_would_refuse_is_refused(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.local_run.emulators.obstacle", lambda: "")
    with pytest.raises(ConfigurationError, match="Pub/Sub takes 10 to 600 seconds"):
        GoogleStack(configured(tmp_path, ack_deadline_s=seconds)).check()


def test_where_the_emulators_cannot_run_it_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"BACKEND=google cannot run on this machine\. The Google Cloud CLI"):
        GoogleStack(configured(tmp_path)).check()


def test_a_local_run_is_not_for_cloud_run() -> None:
    with pytest.raises(ConfigurationError, match="K_SERVICE"):
        check_address(Configuration(backend="google", on_cloud_run=True))


def test_feeds_are_served_where_they_have_a_port_and_ask_the_simulated_gateway(tmp_path: Path) -> None:
    given = with_local_feeds(configured(tmp_path, feed_port=21004))
    for stack in (EmbeddedStack(given), GoogleStack(given)):
        feeds = processes(stack)["external_feed"]
        assert feeds.command[-4:] == ("--target", "external_feed", "--port", "21004")
        seen = read(feeds.environment)
        assert seen.gateway_url == "http://127.0.0.1:21005"
        assert (seen.plugin_worker_id, seen.plugin_authentication_token) == LOCAL_PLUGIN
        refuse_open_feeds(seen)


def test_without_a_port_for_feeds_nothing_is_said_of_them(tmp_path: Path) -> None:
    audience = DmpAudience("a.1", "A")
    without, having = configured(tmp_path), with_local_feeds(configured(tmp_path, feed_port=21004, gateway_port=21009))
    remarks = EmbeddedStack(without).remarks
    assert "mediarithmics" not in banner.text(without, PREPARED, audience, remarks)
    shown = banner.text(having, PREPARED, audience, remarks)
    assert "\nFEED_PORT=21004 GATEWAY_PORT=21009 PANGOLIN_PORT=21003 .venv/bin/diy simulate --source mediarithmics\n" in shown


def test_a_gateway_that_would_take_another_s_port_is_refused(tmp_path: Path) -> None:
    given = with_local_feeds(configured(tmp_path, feed_port=21000))
    with pytest.raises(ConfigurationError, match="RECEIVER_PORT and GATEWAY_PORT are both 21001"):
        check_ports(given)
