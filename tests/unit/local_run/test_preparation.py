"""What is checked and made before a local run starts."""

from __future__ import annotations

import hashlib
import hmac
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.configuration import LOCAL_SECRETS, Configuration
from relay.connectors.live import live
from relay.connectors.publishing import Publishing
from relay.domain.clock import SystemClock
from relay.domain.errors import ConfigurationError
from relay.local_run import banner
from relay.local_run.embedded import EmbeddedStack
from relay.local_run.preparation import DOCUMENT, alone, check_address, check_ports, prepare
from relay.simulator.population import audiences


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[EmbeddedBackend]:
    backend = EmbeddedBackend.open(tmp_path, SystemClock())
    yield backend
    backend.close()


def at_port(port: int) -> Configuration:
    return Configuration(receiver_port=1, console_port=2, pangolin_port=port)


def base_url(backend: EmbeddedBackend) -> object:
    return live(backend.connectors, "pangolin").settings["base_url"]


def version(backend: EmbeddedBackend) -> int:
    return backend.connectors.state("pangolin").live


def test_a_second_local_run_on_the_same_state_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    state = tmp_path / "not made yet"
    with alone(state):
        with pytest.raises(ConfigurationError, match=r"Another 'make run' works on the state"), alone(state):
            pass
        with alone(tmp_path / "another"):
            pass
    with alone(state):
        pass


def test_a_new_state_gets_the_local_secrets_and_the_connector(backend: EmbeddedBackend) -> None:
    prepared = prepare(at_port(8082), backend)

    assert {name: backend.secrets.get(name) for name in LOCAL_SECRETS} == {n: (v,) for n, v in LOCAL_SECRETS.items()}
    assert live(backend.connectors, "pangolin").inbound.hmac_secret == "pangolin-hmac"
    assert prepared.is_local
    assert backend.connectors.versions("pangolin")[-1].text == DOCUMENT.read_text()
    inbound = backend.inbound.read()
    assert inbound
    assert inbound.connectors[0].hmac_secrets == (LOCAL_SECRETS["pangolin-hmac"],)


def test_the_connector_delivers_to_where_pangolin_is(backend: EmbeddedBackend) -> None:
    prepare(at_port(9999), backend)

    assert base_url(backend) == "http://127.0.0.1:9999"


def test_the_connector_of_a_local_run_points_to_nothing_that_does_not_run(backend: EmbeddedBackend) -> None:
    prepare(at_port(8082), backend)

    assert [state.name for state in backend.connectors.states()] == ["pangolin"]


def test_a_second_run_changes_nothing(backend: EmbeddedBackend) -> None:
    prepare(at_port(8082), backend)

    prepared = prepare(at_port(8082), backend)

    assert version(backend) == 1
    assert prepared.notes == ("connector pangolin: version 1, as it was",)


def test_what_the_operator_changed_is_kept(backend: EmbeddedBackend) -> None:
    prepare(at_port(8082), backend)
    publishing = Publishing(backend, describe, "tester")
    publishing.rotate_secret("pangolin-hmac", "canary-own")
    changed = DOCUMENT.read_text().replace("title: Pangolin, the test platform", "title: Mine")
    publishing.apply(changed)

    prepared = prepare(at_port(9999), backend)

    assert live(backend.connectors, "pangolin").title == "Mine"
    assert base_url(backend) == "http://127.0.0.1:9999"
    assert prepared.hmac_secret == "canary-own"
    assert not prepared.is_local
    assert "canary-own" not in banner.text(at_port(9999), prepared, audiences(1)[0], EmbeddedStack.remarks)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "relay.example.com", "::"])  # noqa: S104
def test_another_address_than_this_machines_own_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match="leave HOST out"):
        check_address(Configuration(host=host))


def test_a_port_in_use_is_named_with_its_variable() -> None:
    with socket.socket() as listener, socket.socket() as free:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        free.bind(("127.0.0.1", 0))
        port, other = listener.getsockname()[1], free.getsockname()[1]
        free.close()
        with pytest.raises(ConfigurationError, match=f"Port {port} is in use. Choose another one with CONSOLE_PORT="):
            check_ports(Configuration(receiver_port=other, console_port=port))


def test_two_processes_cannot_share_a_port() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConfigurationError, match=f"RECEIVER_PORT and PANGOLIN_PORT are both {port}"):
        check_ports(Configuration(receiver_port=port, console_port=_another(port), pangolin_port=port))


def _another(port: int) -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
    return found if found != port else _another(port)


def test_the_printed_command_is_signed_for_its_body(backend: EmbeddedBackend) -> None:
    prepared = prepare(at_port(8082), backend)

    words = shlex.split(banner.curl(at_port(8082), prepared, audiences(1)[0]))

    body = words[words.index("--data-raw") + 1].encode()
    signature = hmac.new(b"local-hmac-secret", body, hashlib.sha1).hexdigest()
    assert f"X-HMAC: {signature}" in words
    assert words[words.index("-u") + 1] == "mapp:local:password"
    assert words[-1] == "http://127.0.0.1:1/pangolin?type=ADD_TO_AUDIENCE"
