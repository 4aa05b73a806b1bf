"""The inbound document as a mounted file, and in Secret Manager."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from relay.backends.google.channels import Channels
from relay.backends.google.inbound import MOST_BYTES, GoogleInbound
from relay.backends.google.secret_versions import MOST_BYTES as SERVICE_TAKES
from relay.backends.google.secret_versions import SecretVersions
from relay.backends.google.secrets import GoogleSecrets
from relay.backends.records import INBOUND
from relay.configuration import Configuration
from relay.domain.clock import SystemClock
from relay.domain.connector import Inbound, InboundConnector, InboundDocument
from relay.domain.errors import ConfigurationError, StoreUnavailable
from relay.domain.message import UnknownVersion
from relay.local_run.secret_manager import SecretManagerServer, running

ROOT = Path(__file__).parents[3]


def document(*hmac_secrets: str, version: int = 1) -> InboundDocument:
    inbound = InboundConnector(name="pangolin", inbound=Inbound(hmac_secret="pangolin-hmac"), hmac_secrets=hmac_secrets)
    return InboundDocument(version=version, connectors=(inbound,), default="pangolin")


# --- mounted --------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "inbound.json"


@pytest.fixture
def mounted(file: Path) -> GoogleInbound:
    configuration = Configuration(inbound_file=str(file))
    return GoogleInbound(Channels(configuration), configuration)


def test_a_mounted_document_is_read_as_it_was_written(mounted: GoogleInbound, file: Path) -> None:
    for written in (document("one"), document("two", "one")):
        file.write_bytes(INBOUND.write(written))
        assert mounted.read() == written


def test_a_change_of_the_mounted_content_is_seen_and_nothing_else_is_one(mounted: GoogleInbound, file: Path) -> None:
    seen = []
    for secret in ("one", "two", "six"):
        file.write_bytes(INBOUND.write(document(secret)))
        seen.append(mounted.changed())
    assert all(before != after for before, after in pairwise(seen))
    file.unlink()
    file.write_bytes(INBOUND.write(document("six")))
    assert mounted.changed() == seen[-1]


def test_a_mount_that_fails_is_no_missing_document(mounted: GoogleInbound, file: Path) -> None:
    with pytest.raises(StoreUnavailable, match="INBOUND_FILE"):
        mounted.read()
    with pytest.raises(StoreUnavailable, match="INBOUND_FILE"):
        mounted.changed()
    file.mkdir()
    with pytest.raises(StoreUnavailable, match="INBOUND_FILE"):
        mounted.read()


def test_a_mounted_document_is_not_written(mounted: GoogleInbound, file: Path) -> None:
    with pytest.raises(ConfigurationError, match="INBOUND_FILE"):
        mounted.write(document("one"))
    assert not file.exists()


def test_a_damaged_document_is_no_document(mounted: GoogleInbound, file: Path) -> None:
    file.write_bytes(INBOUND.write(document("one", version=99)))
    with pytest.raises(UnknownVersion):
        mounted.read()
    file.write_bytes(b'{"version": 1')
    with pytest.raises(msgspec.DecodeError):
        mounted.read()


def test_reading_the_file_takes_nothing_of_googles(file: Path) -> None:
    file.write_bytes(INBOUND.write(document("one")))
    program = (
        "import sys\n"
        "from relay.configuration import Configuration\n"
        "from relay.backends.google.channels import Channels\n"
        "from relay.backends.google.inbound import GoogleInbound\n"
        f"configuration = Configuration(inbound_file={str(file)!r})\n"
        "inbound = GoogleInbound(Channels(configuration), configuration)\n"
        "assert inbound.changed() and inbound.read()\n"
        "print([name for name in sys.modules if name.startswith('google.')])\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [name for name in eval(ran.stdout) if name != "google.cloud"] == []  # noqa: S307 - what was printed above


def test_the_receiver_reads_a_mounted_document_before_the_first_request_and_before_the_server_forks(file: Path) -> None:
    file.write_bytes(INBOUND.write(document("one")))
    program = (
        "import asyncio, os, threading\n"
        "from relay.functions import receiving\n"
        "receiving.load_ahead()\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        f"os.unlink({str(file)!r})\n"
        "if not os.fork():\n"
        "    print(asyncio.run(receiving._view().connector('pangolin')).hmac_keys, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    place = {"BACKEND": "google", "GOOGLE_CLOUD_PROJECT": "p", "INBOUND_FILE": str(file), "PATH": os.environ["PATH"]}
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=place, capture_output=True, text=True, check=True)
    assert ran.stdout == "(b'one',)\n"


# --- in Secret Manager ----------------------------------------------------------------------------------------------


@pytest.fixture
def configuration() -> Iterator[Configuration]:
    with running() as address:
        yield Configuration(google_cloud_project="p", secret_manager_emulator=address)


@pytest.fixture
def inbound(configuration: Configuration) -> GoogleInbound:
    return GoogleInbound(Channels(configuration), configuration)


def test_what_was_never_written_is_none(inbound: GoogleInbound) -> None:
    assert inbound.read() is None
    assert inbound.changed() is None


def test_the_value_before_is_kept_and_older_ones_are_destroyed(inbound: GoogleInbound, configuration: Configuration) -> None:
    for secret in ("one", "two", "three", "four"):
        inbound.write(document(secret))
    versions = SecretVersions(Channels(configuration), configuration)
    assert versions.standing("diy-relay-inbound") == [3, 4]
    before = versions.read("diy-relay-inbound", 3)
    assert before is not None
    assert INBOUND.read(before.payload) == document("three")
    assert inbound.read() == document("four")


def test_a_document_that_secret_manager_cannot_take_is_refused_with_a_way_out(inbound: GoogleInbound) -> None:
    assert MOST_BYTES == SERVICE_TAKES
    inbound.write(document("one"))
    room = MOST_BYTES - len(INBOUND.write(document("")))
    largest = document("x" * room)
    inbound.write(largest)
    with pytest.raises(ConfigurationError, match=r"65,537 bytes; Secret Manager takes 65,536.*retire"):
        inbound.write(document("x" * (room + 1)))
    assert inbound.read() == largest


def test_a_secret_called_inbound_is_not_the_inbound_document(inbound: GoogleInbound, configuration: Configuration) -> None:
    secrets = GoogleSecrets(Channels(configuration), configuration, SystemClock())
    inbound.write(document("one"))
    assert secrets.get("inbound") == ()
    assert secrets.all() == []
    secrets.set("inbound", "value")
    assert inbound.read() == document("one")
    assert [info.name for info in secrets.all()] == ["inbound"]
    secrets.delete("inbound")
    assert inbound.read() == document("one")


def test_while_secret_manager_is_down_it_is_unavailable(configuration: Configuration) -> None:
    server = SecretManagerServer()
    gone = msgspec.structs.replace(configuration, secret_manager_emulator=server.address)
    server.close()
    inbound = GoogleInbound(Channels(gone), gone)
    with pytest.raises(StoreUnavailable, match="Secret Manager could not be reached"):
        inbound.read()
