"""The stand-in for Secret Manager means what the service means, as seen through the official client.

https://cloud.google.com/secret-manager/docs/reference/rpc/google.cloud.secretmanager.v1
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core.exceptions import (
    AlreadyExists,
    FailedPrecondition,
    GoogleAPICallError,
    InvalidArgument,
    MethodNotImplemented,
    NotFound,
)
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceGrpcTransport
from google.cloud.secretmanager_v1.types import Secret, SecretVersion

from relay.domain.errors import ConfigurationError
from relay.local_run import crc32c, secret_manager
from relay.local_run.secret_manager import SecretManagerServer

ROOT = Path(__file__).parents[3]
PROJECT = "projects/some-project"
SECRET = f"{PROJECT}/secrets/key"
State = SecretVersion.State


@contextmanager
def client_of(address: str) -> Iterator[SecretManagerServiceClient]:
    channel = grpc.insecure_channel(address)
    yield SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))
    channel.close()


@pytest.fixture
def client() -> Iterator[SecretManagerServiceClient]:
    with secret_manager.running() as address, client_of(address) as opened:
        yield opened


def create(client: SecretManagerServiceClient, name: str = "key", **fields: Any) -> Secret:
    secret = {"replication": {"automatic": {}}, **fields}
    return client.create_secret(request={"parent": PROJECT, "secret_id": name, "secret": secret})


def add(client: SecretManagerServiceClient, value: bytes, name: str = SECRET) -> SecretVersion:
    return client.add_secret_version(request={"parent": name, "payload": {"data": value}})


def value(client: SecretManagerServiceClient, which: str = "latest") -> bytes:
    return client.access_secret_version(request={"name": f"{SECRET}/versions/{which}"}).payload.data


def set_aliases(client: SecretManagerServiceClient, aliases: dict[str, int], etag: str = "") -> Secret:
    secret = {"name": SECRET, "version_aliases": aliases, "etag": etag}
    return client.update_secret(request={"secret": secret, "update_mask": {"paths": ["version_aliases"]}})


# secrets
def test_a_name_in_an_answer_holds_the_projects_number_and_either_way_of_naming_it_finds_the_secret(
    client: SecretManagerServiceClient,
) -> None:
    made = create(client)
    number = made.name.split("/")[1]
    assert number.isdecimal()
    assert made.name == f"projects/{number}/secrets/key"
    assert client.get_secret(name=made.name) == client.get_secret(name=SECRET) == made


def test_a_secret_exists_once(client: SecretManagerServiceClient) -> None:
    create(client)
    with pytest.raises(AlreadyExists):
        create(client)


@pytest.mark.parametrize("name", ["", "a.b", "a/b", "ä", "x" * 256])
def test_the_id_of_a_secret_is_made_of_letters_digits_hyphens_and_underscores(
    client: SecretManagerServiceClient, name: str
) -> None:
    with pytest.raises(InvalidArgument):
        create(client, name)


def test_a_secret_needs_a_replication_policy(client: SecretManagerServiceClient) -> None:
    with pytest.raises(InvalidArgument):
        client.create_secret(request={"parent": PROJECT, "secret_id": "key", "secret": {}})


@pytest.mark.parametrize("name", ["some-project/secrets/key", "projects/p", "projects/p/secrets/a/b", f"{SECRET}/versions/1"])
def test_what_is_no_name_of_a_secret_is_invalid(client: SecretManagerServiceClient, name: str) -> None:
    with pytest.raises(InvalidArgument):
        client.get_secret(name=name)


def test_secrets_are_listed_newest_first_by_project_page_and_part_of_their_name(client: SecretManagerServiceClient) -> None:
    for name in ("relay-a", "relay-b", "other", "relay-c"):
        create(client, name)
    client.create_secret(
        request={"parent": "projects/another", "secret_id": "relay-d", "secret": {"replication": {"automatic": {}}}}
    )
    listed = client.list_secrets(request={"parent": PROJECT, "page_size": 2, "filter": "name:relay-"})
    assert [secret.name.rpartition("/")[2] for secret in listed] == ["relay-c", "relay-b", "relay-a"]
    page = next(client.list_secrets(request={"parent": PROJECT, "page_size": 2}).pages)
    assert (len(page.secrets), page.total_size, bool(page.next_page_token)) == (2, 4, True)


def test_a_filter_that_it_does_not_know_is_refused_and_not_passed_over(client: SecretManagerServiceClient) -> None:
    with pytest.raises(MethodNotImplemented):
        list(client.list_secrets(request={"parent": PROJECT, "filter": "labels.a=b"}))


def test_a_deleted_secret_is_gone_with_its_versions(client: SecretManagerServiceClient) -> None:
    create(client)
    add(client, b"one")
    client.delete_secret(name=SECRET)
    with pytest.raises(NotFound):
        value(client)
    create(client)
    assert add(client, b"two").name.endswith("/versions/1")


def test_an_update_changes_the_fields_of_its_mask_alone(client: SecretManagerServiceClient) -> None:
    create(client, labels={"kept": "yes"}, annotations={"old": "1"})
    secret = {"name": SECRET, "labels": {"kept": "no"}, "annotations": {"new": "2"}}
    updated = client.update_secret(request={"secret": secret, "update_mask": {"paths": ["annotations"]}})
    assert (dict(updated.labels), dict(updated.annotations)) == ({"kept": "yes"}, {"new": "2"})


@pytest.mark.parametrize("paths", [[], ["replication"], ["name"], ["version_aliases", "create_time"]])
def test_an_update_names_fields_and_only_such_as_can_be_changed(client: SecretManagerServiceClient, paths: list[str]) -> None:
    create(client)
    with pytest.raises(InvalidArgument):
        client.update_secret(request={"secret": {"name": SECRET}, "update_mask": {"paths": paths}})


def test_an_etag_that_is_not_the_stored_one_fails_and_none_proceeds(client: SecretManagerServiceClient) -> None:
    first = create(client)
    add(client, b"one")
    changed = set_aliases(client, {"a": 1}, first.etag)
    assert changed.etag != first.etag
    with pytest.raises(FailedPrecondition):
        set_aliases(client, {"b": 1}, first.etag)
    with pytest.raises(FailedPrecondition):
        client.delete_secret(request={"name": SECRET, "etag": first.etag})
    assert dict(set_aliases(client, {"c": 1}).version_aliases) == {"c": 1}


def test_the_etag_of_a_version_is_its_own_and_changes_even_with_nothing_else(client: SecretManagerServiceClient) -> None:
    secret = create(client)
    version = add(client, b"one")
    name = f"{SECRET}/versions/1"
    again = client.enable_secret_version(request={"name": name, "etag": version.etag})
    assert (again.state, again.etag == version.etag) == (State.ENABLED, False)
    assert client.get_secret(name=SECRET).etag == secret.etag
    with pytest.raises(FailedPrecondition):
        client.disable_secret_version(request={"name": name, "etag": version.etag})


# versions
def test_latest_is_the_newest_version_whatever_its_state(client: SecretManagerServiceClient) -> None:
    create(client)
    add(client, b"one")
    add(client, b"two")
    assert (value(client), value(client, "1"), value(client, "2")) == (b"two", b"one", b"two")
    client.disable_secret_version(name=f"{SECRET}/versions/2")
    with pytest.raises(FailedPrecondition, match="DISABLED"):
        value(client)
    client.enable_secret_version(name=f"{SECRET}/versions/2")
    assert value(client) == b"two"


def test_a_secret_without_versions_has_no_latest(client: SecretManagerServiceClient) -> None:
    create(client)
    with pytest.raises(NotFound):
        value(client)


@pytest.mark.parametrize("which", ["0", "2", "unknown"])
def test_a_version_that_was_never_made_is_not_found(client: SecretManagerServiceClient, which: str) -> None:
    create(client)
    add(client, b"one")
    with pytest.raises(NotFound):
        value(client, which)


def test_a_destroyed_version_has_no_payload_and_stays_so(client: SecretManagerServiceClient) -> None:
    create(client)
    add(client, b"one")
    name = f"{SECRET}/versions/1"
    destroyed = client.destroy_secret_version(name=name)
    assert destroyed.state == State.DESTROYED
    assert destroyed.destroy_time
    changes: list[Callable[..., Any]] = [
        client.enable_secret_version, client.disable_secret_version, client.destroy_secret_version, client.access_secret_version,
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(FailedPrecondition, match="DESTROYED"):
            change(name=name)
    assert client.get_secret_version(name=name).state == State.DESTROYED
    assert add(client, b"two").name.endswith("/versions/2")


def test_versions_are_listed_newest_first_and_by_state(client: SecretManagerServiceClient) -> None:
    create(client)
    for number in range(3):
        add(client, b"%d" % number)
    client.destroy_secret_version(name=f"{SECRET}/versions/1")
    client.disable_secret_version(name=f"{SECRET}/versions/2")

    def numbers(text: str = "") -> list[str]:
        return [v.name.rpartition("/")[2] for v in client.list_secret_versions(request={"parent": SECRET, "filter": text})]

    assert (numbers(), numbers("state:ENABLED"), numbers("state:DISABLED")) == (["3", "2", "1"], ["3"], ["2"])


def test_a_payload_has_between_1_and_65536_bytes(client: SecretManagerServiceClient) -> None:
    create(client)
    add(client, b"x" * 65_536)
    for bad in (b"", b"x" * 65_537):
        with pytest.raises(InvalidArgument):
            add(client, bad)


def test_a_payload_comes_with_its_checksum_and_is_refused_where_it_does_not_fit(client: SecretManagerServiceClient) -> None:
    create(client)
    good = {"data": b"123456789", "data_crc32c": 0xE3069283}
    assert client.add_secret_version(request={"parent": SECRET, "payload": good}).client_specified_payload_checksum
    assert client.access_secret_version(name=f"{SECRET}/versions/latest").payload.data_crc32c == 0xE3069283
    with pytest.raises(InvalidArgument):
        client.add_secret_version(request={"parent": SECRET, "payload": {**good, "data": b"123456780"}})


def test_the_checksum_is_crc_32c() -> None:
    # The check value of https://reveng.sourceforge.io/crc-catalogue/all.htm#crc.cat.crc-32-iscsi
    assert (crc32c.of(b"123456789"), crc32c.of(b"")) == (0xE3069283, 0)


# aliases
def test_an_alias_stays_with_its_version_while_newer_ones_are_added(client: SecretManagerServiceClient) -> None:
    create(client)
    add(client, b"one")
    set_aliases(client, {"previous": 1})
    add(client, b"two")
    assert (value(client), value(client, "previous")) == (b"two", b"one")
    assert client.get_secret_version(name=f"{SECRET}/versions/previous").name.endswith("/versions/1")
    set_aliases(client, {})
    with pytest.raises(NotFound):
        value(client, "previous")


@pytest.mark.parametrize("aliases", [{"a": 2}, {"a": 0}, {"latest": 1}, {"NEW": 1}, {"1a": 1}, {"a.b": 1}, {"a" * 64: 1}])
def test_an_alias_is_a_word_of_its_own_and_names_a_version_that_was_made(
    client: SecretManagerServiceClient, aliases: dict[str, int]
) -> None:
    create(client)
    add(client, b"one")
    with pytest.raises(InvalidArgument):
        set_aliases(client, aliases)


def test_a_secret_has_at_most_50_aliases(client: SecretManagerServiceClient) -> None:
    create(client)
    add(client, b"one")
    set_aliases(client, {f"a{number}": 1 for number in range(50)})
    with pytest.raises(InvalidArgument):
        set_aliases(client, {f"a{number}": 1 for number in range(51)})


@pytest.mark.parametrize("which", ["latest", "previous"])
def test_only_reading_takes_an_alias(client: SecretManagerServiceClient, which: str) -> None:
    create(client)
    add(client, b"one")
    set_aliases(client, {"previous": 1})
    with pytest.raises(InvalidArgument):
        client.destroy_secret_version(name=f"{SECRET}/versions/{which}")
    assert value(client, which) == b"one"


# the server
def test_what_it_answers_is_a_copy(client: SecretManagerServiceClient) -> None:
    made = create(client, labels={"a": "1"})
    made.labels["a"] = "2"
    assert dict(client.get_secret(name=SECRET).labels) == {"a": "1"}


def test_each_one_is_empty_at_first() -> None:
    for _ in range(2):
        with secret_manager.running() as address, client_of(address) as client:
            create(client)


def test_a_port_is_had_by_one_server_alone() -> None:
    server = SecretManagerServer()
    try:
        with pytest.raises(ConfigurationError, match="Port"):
            SecretManagerServer(int(server.address.rpartition(":")[2]))
    finally:
        server.close()


def test_a_call_that_it_does_not_know_is_unimplemented(client: SecretManagerServiceClient) -> None:
    with pytest.raises(GoogleAPICallError) as caught:
        client.get_iam_policy(request={"resource": SECRET})
    assert caught.value.grpc_status_code == grpc.StatusCode.UNIMPLEMENTED


def test_as_a_process_it_says_where_it_listens_writes_no_payload_and_ends_when_told() -> None:
    with secret_manager.running() as occupied:
        port = occupied.rpartition(":")[2]
        command = [sys.executable, "-m", "relay.local_run.secret_manager", "--port", port]
        refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (refused.returncode, port in refused.stderr) == (1, True)
    process = subprocess.Popen(
        [sys.executable, "-m", "relay.local_run.secret_manager", "--port", "0"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith(secret_manager.SIGN)
        with client_of(said.split()[-1]) as client:
            create(client)
            add(client, b"a-payload-to-look-for")
            assert value(client) == b"a-payload-to-look-for"
        process.terminate()
        rest, _ = process.communicate(timeout=30)
        assert (process.returncode, "a-payload-to-look-for" in rest) == (0, False)
    finally:
        process.kill()
        process.wait()
