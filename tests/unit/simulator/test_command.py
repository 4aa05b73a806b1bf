"""`diy simulate`, as a script meets it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli import main
from tests.unit.simulator.receiver import BASIC, SECRET, Received, receiver


@pytest.fixture
def received() -> Iterator[Received]:
    with receiver() as received:
        yield received


@pytest.fixture
def elsewhere(received: Received) -> Received:
    """An address that leads to this machine, and does not look like it."""
    received.url = received.url.replace("127.0.0.1", "0.0.0.0")  # noqa: S104
    return received


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SIMULATE_HMAC_SECRET", "SIMULATE_BASIC", "HOST", "RECEIVER_PORT", "PUBLIC_URL", "K_SERVICE", "BACKEND"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_PROXY", "0.0.0.0")  # noqa: S104


def diy(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(main, ["simulate", *words], env=environment, prog_name="diy")


OWN = {"SIMULATE_HMAC_SECRET": SECRET, "SIMULATE_BASIC": BASIC}
SHORT = ("--rate", "50", "--duration", "0.2s", "--users", "2000", "--seed", "1")
"""More users than ten requests hold, so that none has to wait for a user who is under way: ten on a busy machine, too."""


def test_traffic_to_this_machine_ends_with_a_summary(received: Received) -> None:
    result = diy(received.url, *SHORT, **OWN)

    assert result.exit_code == 0, result.output
    assert "13 requests in" in result.output
    assert "limit 1000 ms: kept" in result.output
    assert result.output.rstrip().endswith("passed")


def test_the_result_as_json_is_one_document(received: Received) -> None:
    result = diy(received.url, *SHORT, "--json", **OWN)

    traffic = json.loads(result.stdout)["traffic"]
    assert traffic["passed"] is True
    assert traffic["uploads"]["requests"] == 10
    assert traffic["seed"] == 1


def test_an_answer_other_than_200_is_shown_and_ends_with_1(received: Received) -> None:
    received.troubles = [503, 503]

    result = diy(received.url, *SHORT, **OWN)

    assert result.exit_code == 1
    assert "answered 503: Come back later." in result.output
    assert result.output.rstrip().endswith("FAILED")


def test_where_nothing_listens_one_line_says_what_to_do() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    result = diy(RECEIVER_PORT=str(port))

    assert result.exit_code == 1
    assert f"http://127.0.0.1:{port}/pangolin" in result.output
    assert "make run" in result.output
    assert len(result.output.splitlines()) == 1


def test_wrong_secrets_are_said_before_any_traffic(received: Received) -> None:
    result = diy(received.url, *SHORT)

    assert result.exit_code == 1
    assert "does not accept these secrets" in result.output
    assert received.requests == []


def test_elsewhere_only_the_signature_is_tried(elsewhere: Received) -> None:
    result = diy(elsewhere.url, **OWN)

    assert result.exit_code == 1
    assert "FAILED  The connection is encrypted: the address begins with http://" in result.output
    assert "ok      A wrong signature is refused" in result.output
    assert "ok      A missing signature is refused" in result.output
    assert "ok      A wrong Basic password is refused" in result.output
    assert elsewhere.requests == []


def test_elsewhere_a_receiver_that_trusts_everybody_fails(elsewhere: Received) -> None:
    elsewhere.trusting = True

    result = diy(elsewhere.url, "--send", **OWN)

    assert result.exit_code == 1
    assert "FAILED  A wrong signature is refused: answered 200, where 401 is right" in result.output
    assert "Nothing was sent" in result.output
    assert elsewhere.requests == []


@pytest.fixture
def encrypted(monkeypatch: pytest.MonkeyPatch, elsewhere: Received) -> Received:
    """As far as the check can tell."""
    monkeypatch.setattr("relay.simulator.check.is_loopback", lambda _: True)
    return elsewhere


def test_sending_elsewhere_marks_its_audience_and_leaves_no_user(encrypted: Received) -> None:
    result = diy(encrypted.url, "--send", *SHORT, **OWN)

    assert result.exit_code == 0, result.output
    [announced] = [document for kind, document in encrypted.requests if kind == "CREATE_AUDIENCE"]
    assert announced["Name"] == "DIY Relay test – may be deleted"
    users = {mutation["User"] for _, document in encrypted.requests[1:] for mutation in document["Mutations"]}
    assert users <= {f"diy-relay-test-user-{number}" for number in range(1, 11)}
    assert encrypted.members == {announced["Audience"]: set()}


def test_users_that_could_not_be_removed_are_said(encrypted: Received, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.simulator.marked._PAUSE_S", 0)
    encrypted.troubles = [200, 503, 503, 503]

    result = diy(encrypted.url, "--send", "--rate", "1", "--duration", "1s", **OWN)

    assert result.exit_code == 1
    assert "The test users could not be removed (answered 503: Come back later.)" in result.output


def test_elsewhere_the_local_secrets_are_never_used(elsewhere: Received) -> None:
    result = diy(elsewhere.url)

    assert result.exit_code == 2
    assert "SIMULATE_HMAC_SECRET" in result.output


def test_secrets_are_read_from_a_file_that_only_its_owner_reads(received: Received, tmp_path: Path) -> None:
    file = tmp_path / "secrets.yaml"
    file.write_text(f"hmac_secret: {SECRET}\nbasic: '{BASIC}'\n")
    file.chmod(0o600)

    assert diy(received.url, *SHORT, "--secrets-file", str(file)).exit_code == 0

    file.chmod(0o640)
    result = diy(received.url, *SHORT, "--secrets-file", str(file))
    assert result.exit_code == 2
    assert f"chmod 600 {file}" in result.output


@pytest.mark.parametrize("content", ["", "hmac: x", "hmac_secret: [1]", "{", "hmac_secret: canary\nother: 1"])
def test_a_secrets_file_that_is_something_else_is_refused_without_being_quoted(tmp_path: Path, content: str) -> None:
    file = tmp_path / "secrets.yaml"
    file.write_text(content)
    file.chmod(0o600)

    result = diy("--secrets-file", str(file))

    assert result.exit_code == 2
    assert "must hold two lines" in result.output
    assert "canary" not in result.output


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("relay.example.com", "is no address"),
        ("https://user:canary@relay.example.com/x", "holds credentials"),
        ("https://relay.example.com/x?type=VALIDATE", "must end with its path"),
    ],
)
def test_a_malformed_address_is_refused(url: str, says: str) -> None:
    result = diy(url)

    assert result.exit_code == 2
    assert says in result.output
    assert "canary" not in result.output
