"""Secrets in Secret Manager: what is stored there, what is remembered, and what happens to those who change them at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime

import grpc
import pytest
from google.cloud.secretmanager_v1 import Secret, SecretManagerServiceClient, SecretVersion
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceGrpcTransport

from relay.backends.google.channels import Channels
from relay.backends.google.secret_versions import SecretVersions
from relay.backends.google.secrets import DOWN_FOR_S, KEPT_S, SETTLING_S, GoogleSecrets
from relay.configuration import Configuration
from relay.domain.clock import SystemClock
from relay.domain.errors import ConfigurationError, NotFound, StoreUnavailable
from relay.local_run.secret_manager import SecretManagerServer
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING

PARENT = "projects/p"


class Place:
    """A Secret Manager of one's own, which can be down, and clients of it as different processes have them."""

    def __init__(self) -> None:
        self._server = SecretManagerServer()
        self.clock = TurnedClock()
        self.configuration = Configuration(google_cloud_project="p", secret_manager_emulator=self._server.address)
        self._channel = grpc.insecure_channel(self._server.address)
        self.client = SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=self._channel))

    def secrets(self) -> GoogleSecrets:
        return GoogleSecrets(Channels(self.configuration), self.configuration, self.clock)

    def down(self) -> None:
        self._server.close()

    def standing(self, secret: str) -> list[tuple[int, str]]:
        """Number and value of each version that can still be read."""
        versions = SecretVersions(Channels(self.configuration), self.configuration)
        found = [versions.read(secret, number) for number in versions.standing(secret)]
        return [(version.number, version.payload.decode()) for version in found if version]

    def make(self, secret: str) -> None:
        """By other means than ours."""
        self.client.create_secret(request={"parent": PARENT, "secret_id": secret, "secret": {"replication": {"automatic": {}}}})

    def add(self, secret: str, data: bytes) -> None:
        """By other means than ours."""
        self.client.add_secret_version(request={"parent": f"{PARENT}/secrets/{secret}", "payload": {"data": data}})

    def close(self) -> None:
        self._channel.close()
        self._server.close()


@pytest.fixture
def there() -> Iterator[Place]:
    place = Place()
    yield place
    place.close()


@pytest.fixture
def secrets(there: Place) -> GoogleSecrets:
    return there.secrets()


# --- what is stored -------------------------------------------------------------------------------------------------


def test_the_current_value_is_the_latest_version_and_the_previous_one_has_an_alias(secrets: GoogleSecrets, there: Place) -> None:
    secrets.set("pangolin-hmac", "one")
    for value in ("two", "three"):
        secrets.rotate("pangolin-hmac", value)
    assert there.standing("diy-relay-pangolin-hmac") == [(2, "two"), (3, "three")]
    stored = there.client.get_secret(name=f"{PARENT}/secrets/diy-relay-pangolin-hmac")
    assert dict(stored.version_aliases) == {"previous": 2}


@pytest.mark.parametrize("end", ["set", "retire"])
def test_forgotten_values_are_destroyed(secrets: GoogleSecrets, there: Place, end: str) -> None:
    secrets.set("s", "one")
    secrets.rotate("s", "two")
    if end == "set":
        secrets.set("s", "three")
        assert there.standing("diy-relay-s") == [(3, "three")]
    else:
        secrets.retire("s")
        assert there.standing("diy-relay-s") == [(2, "two")]
    assert "previous" not in there.client.get_secret(name=f"{PARENT}/secrets/diy-relay-s").version_aliases


@pytest.mark.parametrize("name", ["a.b", "a-b_c", "dot", "0", "a..b", "inbound", "inbound.", "x" * 245])
def test_any_name_has_an_id_of_its_own(secrets: GoogleSecrets, name: str) -> None:
    names = {name, name.replace(".", "-"), name.replace(".", "")}
    for each in names:
        secrets.set(each, f"value of {each}")
    assert [info.name for info in secrets.all()] == sorted(names)


def test_a_name_that_is_too_long_for_an_id_is_refused(secrets: GoogleSecrets) -> None:
    with pytest.raises(ConfigurationError, match="too long"):
        secrets.get(".".replace(".", "a") + "." * 90)


def test_a_value_that_is_too_large_is_refused(secrets: GoogleSecrets) -> None:
    with pytest.raises(ConfigurationError, match=r"'s' has 65,537 bytes"):
        secrets.set("s", "x" * 65_537)
    assert secrets.get("s") == ()


def test_secrets_of_others_in_the_project_are_not_listed(secrets: GoogleSecrets, there: Place) -> None:
    secrets.set("ours", "value")
    for other in ("theirs", "x-diy-relay-y", "diy-relay-UPPER", "diy-relay-inbound"):
        there.make(other)
        there.add(other, b"v")
    assert [info.name for info in secrets.all()] == ["ours"]


def test_a_secret_without_a_version_is_not_set(secrets: GoogleSecrets, there: Place) -> None:
    there.make("diy-relay-s")
    assert secrets.get("s") == ()
    assert secrets.all() == []
    with pytest.raises(NotFound):
        secrets.rotate("s", "value")
    secrets.set("s", "value")
    assert secrets.get("s") == ("value",)


def test_a_version_added_by_other_means_is_the_current_value_and_dated_by_itself(secrets: GoogleSecrets, there: Place) -> None:
    secrets.set("s", "one")
    assert secrets.all()[0].changed_at == BEGINNING
    there.add("diy-relay-s", b"two")
    [info] = secrets.all()
    assert abs(info.changed_at - datetime.now().timestamp()) < 3_600
    assert not info.has_previous
    there.clock.advance(KEPT_S)
    assert secrets.get("s") == ("two",)


def test_a_value_that_is_no_text_is_refused_without_being_shown(secrets: GoogleSecrets, there: Place) -> None:
    secrets.set("s", "one")
    there.add("diy-relay-s", b"canary\xff")
    with pytest.raises(ConfigurationError) as refused:
        there.secrets().get("s")
    assert "canary" not in f"{refused.value} {refused.value.__cause__}"


def test_a_previous_value_that_was_destroyed_is_none(secrets: GoogleSecrets, there: Place) -> None:
    secrets.set("s", "one")
    secrets.rotate("s", "two")
    there.client.destroy_secret_version(name=f"{PARENT}/secrets/diy-relay-s/versions/1")
    assert there.secrets().get("s") == ("two",)


# --- rotating -------------------------------------------------------------------------------------------------------


class Watched(SecretVersions):
    """Looks, after each change on its way, at what somebody else would accept right then."""

    def __init__(self, there: Place) -> None:
        super().__init__(Channels(there.configuration), there.configuration)
        self._there = there
        self.accepted: list[tuple[str, ...]] = []

    def add(self, secret: str, payload: bytes) -> int:
        number = super().add(secret, payload)
        self.accepted.append(self._there.secrets().get("s"))
        return number

    def change(self, secret: object) -> bool:
        changed = super().change(secret)  # type: ignore[arg-type]
        self.accepted.append(self._there.secrets().get("s"))
        return changed


def test_at_no_moment_of_a_rotation_is_the_current_value_refused(secrets: GoogleSecrets, there: Place) -> None:
    secrets.set("s", "one")
    secrets.rotate("s", "two")
    watched = Watched(there)
    secrets._versions = watched
    secrets.rotate("s", "three")
    assert len(watched.accepted) >= 3
    assert all("two" in accepted for accepted in watched.accepted)
    assert watched.accepted[-1] == ("three", "two")


def test_of_rotations_at_the_same_time_the_last_two_values_are_accepted(there: Place) -> None:
    there.secrets().set("s", "zero")
    values = [f"value-{number}" for number in range(5)]
    clients = [GoogleSecrets(Channels(there.configuration), there.configuration, SystemClock()) for _ in values]
    threads = [threading.Thread(target=client.rotate, args=("s", value)) for client, value in zip(clients, values, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    by_number = dict(there.standing("diy-relay-s"))
    assert there.secrets().get("s") == (by_number[6], by_number[5])
    assert {by_number[6], by_number[5]} <= set(values)


def test_a_rotation_that_was_cut_short_is_repeated_without_loss(secrets: GoogleSecrets, there: Place) -> None:
    class Cut(SecretVersions):
        def standing(self, secret: str) -> list[int]:
            raise StoreUnavailable("gone")

    secrets.set("s", "one")
    whole, secrets._versions = secrets._versions, Cut(Channels(there.configuration), there.configuration)
    with pytest.raises(StoreUnavailable):
        secrets.rotate("s", "two")
    secrets._versions = whole
    assert there.secrets().get("s") == secrets.get("s") == ("two", "one")
    secrets.rotate("s", "two")
    assert secrets.get("s") == ("two", "one")


# --- what is remembered ---------------------------------------------------------------------------------------------


def test_a_change_made_here_is_seen_at_once(secrets: GoogleSecrets) -> None:
    assert secrets.get("s") == ()
    secrets.set("s", "one")
    assert secrets.get("s") == ("one",)
    secrets.rotate("s", "two")
    assert secrets.get("s") == ("two", "one")
    secrets.retire("s")
    assert secrets.get("s") == ("two",)
    secrets.delete("s")
    assert secrets.get("s") == ()


def test_a_change_made_elsewhere_is_seen_after_a_minute_at_most(secrets: GoogleSecrets, there: Place) -> None:
    elsewhere = there.secrets()
    changes: list[tuple[Callable[[], None], tuple[str, ...]]] = [
        (lambda: elsewhere.set("s", "one"), ("one",)),
        (lambda: elsewhere.rotate("s", "two"), ("two", "one")),
        (lambda: elsewhere.retire("s"), ("two",)),
        (lambda: elsewhere.delete("s"), ()),
        (lambda: elsewhere.set("s", "again"), ("again",)),
    ]
    before: tuple[str, ...] = ()
    for change, after in changes:
        assert secrets.get("s") == before
        change()
        there.clock.advance(KEPT_S - 1)
        assert secrets.get("s") == before
        there.clock.advance(1)
        assert secrets.get("s") == after
        before = after


def test_what_others_do_to_a_secret_that_was_changed_here_is_seen_too(secrets: GoogleSecrets, there: Place) -> None:
    secrets.set("s", "one")
    secrets.rotate("s", "two")
    there.secrets().delete("s")
    there.secrets().set("s", "again")
    there.clock.advance(KEPT_S)
    assert secrets.get("s") == ("again",)


def test_a_look_that_began_before_a_change_made_here_does_not_undo_it(secrets: GoogleSecrets, there: Place) -> None:
    whole = secrets._versions

    class Meanwhile(SecretVersions):
        def describe(self, secret: str) -> Secret | None:
            secrets._versions = whole
            secrets.set("s", "two")
            return super().describe(secret)

    secrets.set("s", "one")
    there.clock.advance(KEPT_S)
    secrets._versions = Meanwhile(Channels(there.configuration), there.configuration)
    secrets.get("s")
    assert secrets.get("s") == ("two",)


class Behind(SecretVersions):
    """As Secret Manager may be for some minutes: the version before is still the latest."""

    def read(self, secret: str, number: int | None = None):  # type: ignore[no-untyped-def]
        return super().read(secret, number or 1)


def test_an_answer_that_is_behind_our_own_change_is_not_believed_for_a_while(secrets: GoogleSecrets, there: Place) -> None:
    secrets.set("s", "one")
    secrets.rotate("s", "two")
    secrets._versions = Behind(Channels(there.configuration), there.configuration)
    there.clock.advance(KEPT_S)
    assert secrets.get("s") == ("two", "one")
    there.clock.advance(SETTLING_S)
    assert secrets.get("s") == ("one",)


def test_while_secret_manager_is_down_the_last_good_value_is_used_and_it_is_said_once(
    secrets: GoogleSecrets, there: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    secrets.set("s", "one")
    secrets.set("t", "two")
    there.down()
    for _ in range(3):
        there.clock.advance(KEPT_S + DOWN_FOR_S)
        assert (secrets.get("s"), secrets.get("t")) == (("one",), ("two",))
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines] == ["secrets_unreachable"]
    with pytest.raises(StoreUnavailable, match="Secret Manager could not be reached"):
        secrets.get("never-read-before")
    with pytest.raises(StoreUnavailable):
        secrets.set("s", "three")


def test_after_secret_manager_was_down_it_is_asked_again(
    secrets: GoogleSecrets, there: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    class Down(SecretVersions):
        def read(self, secret: str, number: int | None = None):  # type: ignore[no-untyped-def]
            raise StoreUnavailable("gone")

    secrets.set("s", "one")
    there.secrets().rotate("s", "two")
    whole, secrets._versions = secrets._versions, Down(Channels(there.configuration), there.configuration)
    there.clock.advance(KEPT_S)
    assert secrets.get("s") == ("one",)
    secrets._versions = whole
    assert secrets.get("s") == ("one",)
    there.clock.advance(DOWN_FOR_S)
    assert secrets.get("s") == ("two", "one")
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines] == ["secrets_unreachable", "secrets_reachable_again"]


def test_a_value_in_use_is_not_asked_for_again_and_again(secrets: GoogleSecrets, there: Place) -> None:
    secrets.set("s", "one")
    there.client.destroy_secret_version(name=f"{PARENT}/secrets/diy-relay-s/versions/1")
    assert there.client.get_secret_version(name=f"{PARENT}/secrets/diy-relay-s/versions/1").state == SecretVersion.State.DESTROYED
    assert secrets.get("s") == ("one",)
