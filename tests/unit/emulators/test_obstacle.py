"""Whether the emulators can run here is found out without the network, and an obstacle is named with its way out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from relay.local_run import emulators
from relay.local_run.emulators import FIRESTORE, PUBSUB

WORKS = "exit 0"
FAILS = "exit 1"


class Machine:
    """Programs on the path, and a Google Cloud CLI that is installed with all that is needed."""

    def __init__(self, directory: Path) -> None:
        self.bin = directory / "bin"
        self.sdk = directory / "sdk"
        for made in (self.bin, self.sdk / "bin", self.sdk / ".install"):
            made.mkdir(parents=True)
        self.program(self.sdk / "bin" / "gcloud", FAILS)
        (self.bin / "gcloud").symlink_to(self.sdk / "bin" / "gcloud")
        self.program(self.bin / "java", WORKS)
        for component in ("beta", "pubsub-emulator", "cloud-firestore-emulator"):
            self.manifest(component).touch()

    def program(self, path: Path, text: str) -> None:
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def manifest(self, component: str) -> Path:
        return self.sdk / ".install" / f"{component}.manifest"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setenv("PATH", str(made.bin))
    return made


def test_with_the_cli_its_components_and_java_there_is_none(machine: Machine) -> None:
    assert emulators.obstacle() == ""


def test_without_the_cli_it_says_where_to_get_it(machine: Machine) -> None:
    (machine.bin / "gcloud").unlink()
    assert "https://cloud.google.com/sdk/docs/install" in emulators.obstacle()


@pytest.mark.parametrize("component", ["beta", "pubsub-emulator", "cloud-firestore-emulator"])
def test_a_missing_component_is_named_with_the_command_that_installs_it(machine: Machine, component: str) -> None:
    machine.manifest(component).unlink()
    assert f"gcloud components install {component}" in emulators.obstacle()


def test_java_must_run_and_not_merely_be_there(machine: Machine) -> None:
    machine.program(machine.bin / "java", FAILS)
    assert "Java" in emulators.obstacle()
    (machine.bin / "java").unlink()
    assert "Java" in emulators.obstacle()


def test_a_wrapper_of_the_cli_is_asked_where_it_is_installed(machine: Machine) -> None:
    machine.program(machine.bin / "gcloud", f"echo {machine.sdk}")
    assert emulators.obstacle() == ""
    machine.program(machine.bin / "gcloud", FAILS)
    assert "where the Google Cloud CLI is installed" in emulators.obstacle()


def test_an_emulator_is_started_on_one_port_of_this_machine() -> None:
    gcloud = shutil.which("gcloud") or "gcloud"
    assert PUBSUB.command(9001) == [gcloud, "beta", "emulators", "pubsub", "start", "--host-port=127.0.0.1:9001"]
    assert FIRESTORE.command(9002) == [gcloud, "emulators", "firestore", "start", "--host-port=127.0.0.1:9002"]


def test_free_ports_are_different_and_nothing_listens_there() -> None:
    ports = emulators.free_ports(20)
    assert len(set(ports)) == 20
    assert not any(emulators.listens(port)() for port in ports)


def test_what_answers_and_what_only_listens_are_told_apart() -> None:
    from relay.local_run import secret_manager

    with secret_manager.running() as address:
        port = int(address.rpartition(":")[2])
        assert (emulators.listens(port)(), emulators.answers(port)()) == (True, False)
    assert not emulators.listens(port)()
