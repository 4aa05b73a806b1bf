"""Secrets in Secret Manager: what is stored there, what is remembered, and what happens to those who change them at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import grpc
import msgspec
import pytest
from google.api_core.exceptions import PermissionDenied
from google.cloud.secretmanager_v1 import Secret, SecretManagerServiceClient, SecretVersion
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceGrpcTransport

from relay.backends.google.channels import Channels
from relay.backends.google.secret_versions import SecretVersions
from relay.backends.google.secrets import DOWN_FOR_S, KEPT_S, SETTLING_S, UNUSABLE_FOR_S, GoogleSecrets
from relay.configuration import Configuration
from relay.connectors.completeness import missing
from relay.connectors.document import expand
from relay.domain.clock import SystemClock
from relay.domain.errors import ConfigurationError, NotFound, StoreUnavailable
from relay.local_run.secret_manager import SecretManagerServer
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING
from tests.unit.connectors.example import ACME, DOCUMENT, describe

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


# --- Secret Manager answers, and does not give the value -------------------------------------------------------------


def disable(there: Place, number: int) -> None:
    there.client.disable_secret_version(name=f"{PARENT}/secrets/diy-relay-s/versions/{number}")


@pytest.mark.parametrize("end", ["disable_secret_version", "destroy_secret_version"])
def test_a_disabled_latest_version_looked_like_a_secret_manager_that_is_down(
    secrets: GoogleSecrets, there: Place, end: str
) -> None:
    secrets.set("s", "one")
    getattr(there.client, end)(name=f"{PARENT}/secrets/diy-relay-s/versions/1")
    with pytest.raises(ConfigurationError, match=r"'diy-relay-s' in Secret Manager is disabled or destroyed"):
        there.secrets().get("s")


class Refusing(SecretVersions):
    """As a service account without a role meets it; counts how often it was asked."""

    asked = 0

    @property
    def _client(self) -> Any:
        self.asked += 1
        return self

    def access_secret_version(self, **_: object) -> None:
        raise PermissionDenied("secretmanager.versions.access denied for canary")  # type: ignore[no-untyped-call]


def test_a_missing_role_for_one_secret_looked_like_a_secret_manager_that_is_down(
    secrets: GoogleSecrets, there: Place
) -> None:
    secrets._versions = Refusing(Channels(there.configuration), there.configuration)
    with pytest.raises(ConfigurationError, match=r"does not let this process read the secret 'diy-relay-s'") as refused:
        secrets.get("s")
    assert "canary" not in str(refused.value)


def test_a_secret_that_is_not_given_is_not_asked_for_with_every_message(secrets: GoogleSecrets, there: Place) -> None:
    refusing = secrets._versions = Refusing(Channels(there.configuration), there.configuration)
    for _ in range(5):
        with pytest.raises(ConfigurationError):
            secrets.get("s")
    assert refusing.asked == 1
    there.clock.advance(UNUSABLE_FOR_S)
    with pytest.raises(ConfigurationError):
        secrets.get("s")
    assert refusing.asked == 2


def test_a_value_that_was_known_is_not_used_once_its_version_was_disabled(secrets: GoogleSecrets, there: Place) -> None:
    there.secrets().set("s", "one")
    assert secrets.get("s") == ("one",)
    disable(there, 1)
    there.clock.advance(KEPT_S)
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            secrets.get("s")
    there.client.enable_secret_version(name=f"{PARENT}/secrets/diy-relay-s/versions/1")
    there.clock.advance(UNUSABLE_FOR_S)
    assert secrets.get("s") == ("one",)


@pytest.mark.parametrize("change", ["rotate", "retire"])
def test_a_disabled_value_is_neither_rotated_nor_retired_and_a_new_one_can_be_set(
    secrets: GoogleSecrets, there: Place, change: str
) -> None:
    there.secrets().set("s", "one")
    disable(there, 1)
    with pytest.raises(ConfigurationError, match="disabled or destroyed"):
        secrets.rotate("s", "two") if change == "rotate" else secrets.retire("s")
    secrets.set("s", "two")
    assert secrets.get("s") == there.secrets().get("s") == ("two",)


def test_a_version_that_we_destroyed_and_that_is_still_the_latest_somewhere_does_not_take_our_own_value_away(
    secrets: GoogleSecrets, there: Place
) -> None:
    class DestroyedBehind(SecretVersions):
        def read(self, secret: str, number: int | None = None):  # type: ignore[no-untyped-def]
            if number is None:
                raise ConfigurationError("The latest version is destroyed.")
            return super().read(secret, number)

    secrets.set("s", "one")
    secrets.set("s", "two")
    secrets._versions = DestroyedBehind(Channels(there.configuration), there.configuration)
    there.clock.advance(KEPT_S)
    assert secrets.get("s") == ("two",)
    there.clock.advance(SETTLING_S)
    with pytest.raises(ConfigurationError):
        secrets.get("s")


def test_while_secret_manager_is_down_a_secret_that_was_not_given_is_not_given(secrets: GoogleSecrets, there: Place) -> None:
    there.secrets().set("s", "one")
    disable(there, 1)
    with pytest.raises(ConfigurationError):
        secrets.get("s")
    there.down()
    there.clock.advance(KEPT_S)
    with pytest.raises(ConfigurationError):
        secrets.get("s")


def test_a_connector_with_a_disabled_secret_is_incomplete_and_says_why(secrets: GoogleSecrets, there: Place) -> None:
    [connector] = expand(DOCUMENT, describe=describe)
    for name in ("acme-hmac", "acme-token"):
        there.secrets().set(name, "one")
    there.secrets().set("acme-basic", "dmp:pass")
    assert missing(connector, ACME, secrets) == []
    there.client.disable_secret_version(name=f"{PARENT}/secrets/diy-relay-acme-token/versions/1")
    there.clock.advance(KEPT_S)
    [sentence] = missing(connector, ACME, secrets)
    assert "'diy-relay-acme-token' in Secret Manager is disabled" in sentence


# --- where it is kept -------------------------------------------------------------------------------------------------


def test_a_new_secret_is_kept_in_the_region_of_the_functions_alone(there: Place) -> None:
    configuration = msgspec.structs.replace(there.configuration, google_cloud_region="europe-west1")
    GoogleSecrets(Channels(configuration), configuration, there.clock).set("s", "one")
    kept = there.client.get_secret(name=f"{PARENT}/secrets/diy-relay-s").replication
    assert [replica.location for replica in kept.user_managed.replicas] == ["europe-west1"]


def test_without_a_region_google_chooses_where_a_new_secret_is_kept(secrets: GoogleSecrets, there: Place) -> None:
    secrets.set("s", "one")
    assert "automatic" in there.client.get_secret(name=f"{PARENT}/secrets/diy-relay-s").replication


def test_a_value_in_use_is_not_asked_for_again_and_again(secrets: GoogleSecrets, there: Place) -> None:
    secrets.set("s", "one")
    there.client.destroy_secret_version(name=f"{PARENT}/secrets/diy-relay-s/versions/1")
    assert there.client.get_secret_version(name=f"{PARENT}/secrets/diy-relay-s/versions/1").state == SecretVersion.State.DESTROYED
    assert secrets.get("s") == ("one",)
