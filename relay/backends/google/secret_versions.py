"""Secret Manager as far as it is used: secrets by their IDs, whose versions are never changed, only added and destroyed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from relay.backends.google.failures import readable
from relay.configuration import Configuration
from relay.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from google.cloud.secretmanager_v1 import Secret, SecretManagerServiceClient

    from relay.backends.google.channels import Channels

SERVICE = "Secret Manager"

MOST_BYTES = 65_536
"""Of one value (https://cloud.google.com/secret-manager/quotas#content_limits)."""

LONGEST_ID = 255

_TIMEOUT_S = 5.0
_PAGE = 1_000


class Version(NamedTuple):
    """One version of a secret with its value."""

    number: int
    payload: bytes


class SecretVersions:
    """The calls, each with a time-out and tried once: who cannot go on without says so, and is asked to try again. All of them
    raise `StoreUnavailable`, and those that read one secret `ConfigurationError` where Secret Manager answers and somebody has to
    do something about the secret. Google's client is imported by the first one."""

    def __init__(self, channels: Channels, configuration: Configuration) -> None:
        self._channels = channels
        self._project = f"projects/{configuration.google_cloud_project}"
        self._region = configuration.google_cloud_region

    def read(self, secret: str, number: int | None = None) -> Version | None:
        """The version of that number, else the latest one. None if there is no such secret or version, or, of a given number, if
        it was destroyed or switched off; where it is the latest one that was, `ConfigurationError`."""
        from google.api_core.exceptions import FailedPrecondition, NotFound

        with readable(SERVICE), _permitted(secret):
            try:
                answer = self._client.access_secret_version(name=f"{self._name(secret)}/versions/{number or 'latest'}", **_once())
            except NotFound:
                return None
            except FailedPrecondition:
                if number is None:
                    raise ConfigurationError(
                        f"The latest version of the secret {secret!r} in {SERVICE} is disabled or destroyed: enable it, or set "
                        "the secret anew."
                    ) from None
                return None
        return Version(_number(answer.name), answer.payload.data)

    def describe(self, secret: str) -> Secret | None:
        """What is known of it beside its values; None if there is no such secret."""
        from google.api_core.exceptions import NotFound

        with readable(SERVICE), _permitted(secret):
            try:
                return self._client.get_secret(name=self._name(secret), **_once())
            except NotFound:
                return None

    def latest_made_at(self, secret: str) -> tuple[int, float] | None:
        """Number of the latest version, and when it was made, in seconds since the epoch; None if there is none."""
        from google.api_core.exceptions import NotFound

        with readable(SERVICE):
            try:
                version = self._client.get_secret_version(name=f"{self._name(secret)}/versions/latest", **_once())
            except NotFound:
                return None
        made_at: Any = version.create_time
        return _number(version.name), made_at.timestamp()

    def all(self, prefix: str) -> list[tuple[str, Secret]]:
        """The secrets whose IDs begin so, with what follows the prefix."""
        with readable(SERVICE):
            asked = {"parent": self._project, "filter": f"name:{prefix}", "page_size": _PAGE}
            found = list(self._client.list_secrets(request=asked, **_once()))
        named = ((secret.name.rpartition("/")[2], secret) for secret in found)
        # The service looks for the text anywhere in the ID.
        return [(secret_id.removeprefix(prefix), secret) for secret_id, secret in named if secret_id.startswith(prefix)]

    def add(self, secret: str, payload: bytes) -> int:
        """Adds a version, which is the latest one from now on; makes the secret if need be, kept in the region of the functions
        alone where that is configured. Returns its number."""
        from google.api_core.exceptions import AlreadyExists, NotFound

        with readable(SERVICE):
            with suppress(NotFound):
                return self._add(secret, payload)
            asked = {"parent": self._project, "secret_id": secret, "secret": {"replication": self._replication()}}
            with suppress(AlreadyExists):  # made by somebody else, just now
                self._client.create_secret(request=asked, **_once())
            return self._add(secret, payload)

    def change(self, secret: Secret) -> bool:
        """Stores its aliases and annotations, unless somebody else has changed it since it was described: then False."""
        from google.api_core.exceptions import Aborted, FailedPrecondition, NotFound

        with readable(SERVICE):
            asked = {"secret": secret, "update_mask": {"paths": ["version_aliases", "annotations"]}}
            try:
                self._client.update_secret(request=asked, **_once())
            except (Aborted, FailedPrecondition, NotFound):  # https://cloud.google.com/secret-manager/docs/etags
                return False
        return True

    def standing(self, secret: str) -> list[int]:
        """Numbers of its versions that were not destroyed, ascending."""
        from google.cloud.secretmanager_v1 import SecretVersion

        with readable(SERVICE):
            asked = {"parent": self._name(secret), "page_size": _PAGE}
            versions = list(self._client.list_secret_versions(request=asked, **_once()))
        return sorted(_number(version.name) for version in versions if version.state != SecretVersion.State.DESTROYED)

    def destroy_before(self, secret: str, number: int) -> None:
        """Destroys the values of all versions before that one."""
        from google.api_core.exceptions import FailedPrecondition, NotFound

        for older in self.standing(secret):
            if older < number:
                with readable(SERVICE), suppress(FailedPrecondition, NotFound):  # destroyed by somebody else, just now
                    self._client.destroy_secret_version(name=f"{self._name(secret)}/versions/{older}", **_once())

    def delete(self, secret: str) -> bool:
        """With all of its versions. False if there is no such secret."""
        from google.api_core.exceptions import NotFound

        with readable(SERVICE):
            try:
                self._client.delete_secret(name=self._name(secret), **_once())
            except NotFound:
                return False
        return True

    def _add(self, secret: str, payload: bytes) -> int:
        asked = {"parent": self._name(secret), "payload": {"data": payload}}
        added = self._client.add_secret_version(request=asked, **_once())
        return _number(added.name)

    def _replication(self) -> dict[str, Any]:
        # Cannot be changed afterwards (https://cloud.google.com/secret-manager/docs/choosing-replication).
        return {"user_managed": {"replicas": [{"location": self._region}]}} if self._region else {"automatic": {}}

    def _name(self, secret: str) -> str:
        return f"{self._project}/secrets/{secret}"

    @cached_property
    def _client(self) -> SecretManagerServiceClient:
        from google.cloud.secretmanager_v1 import SecretManagerServiceClient
        from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceGrpcTransport

        return SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=self._channels.secret_manager()))


@contextmanager
def _permitted(secret: str) -> Iterator[None]:
    """Trouble with this secret, and not with the service."""
    from google.api_core.exceptions import PermissionDenied

    try:
        yield
    except PermissionDenied:
        raise ConfigurationError(
            f"{SERVICE} does not let this process read the secret {secret!r}: its service account lacks a role (see "
            "deploy/README.md)."
        ) from None


def _once() -> dict[str, Any]:
    return {"timeout": _TIMEOUT_S, "retry": None}


def _number(version_name: str) -> int:
    return int(version_name.rpartition("/")[2])
