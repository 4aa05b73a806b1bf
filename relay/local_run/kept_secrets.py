"""What Secret Manager keeps, and its rules, in memory: Google has no emulator of it. `relay.local_run.secret_manager` serves it.

The requests, answers and their meaning are those of https://cloud.google.com/secret-manager/docs/reference/rpc/google.cloud.secretmanager.v1,
in as far as global secrets without expiry, rotation and delayed destruction are concerned. Like the service it answers with names
that hold the project's number, whatever a request named the project by.

Where the documentation names no error code, the strictest guess stands: an alias of a version that was never made is
INVALID_ARGUMENT, and a destroyed version can be neither enabled, disabled nor destroyed (FAILED_PRECONDITION).
"""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import grpc
from google.cloud.secretmanager_v1 import types
from google.protobuf import timestamp_pb2

from relay.local_run import crc32c

MAX_PAYLOAD_BYTES = 65_536
"""https://cloud.google.com/secret-manager/quotas#content_limits"""

MAX_ALIASES = 50
_SECRET_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_FORBIDDEN_ALIASES = frozenset({"latest", "NEW"})
_CHANGEABLE = frozenset({"labels", "annotations", "version_aliases"})
_FILTERED_FOR = re.compile(r"[A-Za-z0-9_-]+")
_LARGEST_PAGE = 25_000

State = types.SecretVersion.State
Code = grpc.StatusCode

T = TypeVar("T")
M = TypeVar("M", types.Secret, types.SecretVersion)


class Refused(Exception):
    """The service answers with this status code and sentence."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


@dataclass
class _Version:
    shown: types.SecretVersion
    data: bytes | None


@dataclass
class _Kept:
    shown: types.Secret
    versions: list[_Version] = field(default_factory=list)


class KeptSecrets:
    """The methods of `google.cloud.secretmanager.v1.SecretManagerService` by their names. Safe for several threads."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """now: aware of its time zone."""
        self._now = now
        self._lock = threading.Lock()
        self._secrets: dict[str, _Kept] = {}
        self._changes = 0

    # secrets
    def create_secret(self, request: types.CreateSecretRequest) -> types.Secret:
        with self._lock:
            name = f"{_project(request.parent)}/secrets/{request.secret_id}"
            if not _SECRET_ID.fullmatch(request.secret_id):
                raise Refused(Code.INVALID_ARGUMENT, "The secret ID must match [a-zA-Z0-9_-]{1,255}.")
            if types.Replication.pb(request.secret.replication).WhichOneof("replication") is None:
                raise Refused(Code.INVALID_ARGUMENT, "The secret has no replication policy.")
            if name in self._secrets:
                raise Refused(Code.ALREADY_EXISTS, f"Secret [{name}] already exists.")
            _check_aliases(request.secret.version_aliases, versions=0)
            shown = types.Secret(request.secret, name=name, create_time=self._time(), etag=self._etag())
            self._secrets[name] = _Kept(shown)
            return _copied(shown)

    def get_secret(self, request: types.GetSecretRequest) -> types.Secret:
        with self._lock:
            return _copied(self._secret(request.name).shown)

    def update_secret(self, request: types.UpdateSecretRequest) -> types.Secret:
        with self._lock:
            kept = self._secret(request.secret.name)
            paths = list(request.update_mask.paths)
            if not paths:
                raise Refused(Code.INVALID_ARGUMENT, "The update mask names no field.")
            fixed = sorted({path for path in paths if path.partition(".")[0] not in _CHANGEABLE})
            if fixed:
                raise Refused(Code.INVALID_ARGUMENT, f"These fields cannot be updated: {', '.join(fixed)}.")
            _check_etag(request.secret.etag, kept.shown.etag)
            _check_aliases(request.secret.version_aliases, versions=len(kept.versions))
            for path in {path.partition(".")[0] for path in paths}:
                setattr(kept.shown, path, dict(getattr(request.secret, path)))
            kept.shown.etag = self._etag()
            return _copied(kept.shown)

    def list_secrets(self, request: types.ListSecretsRequest) -> types.ListSecretsResponse:
        with self._lock:
            prefix = f"{_project(request.parent)}/secrets/"
            newest_first = [kept.shown for name, kept in reversed(self._secrets.items()) if name.startswith(prefix)]
            wanted = _filtered(newest_first, request.filter, {"name": lambda secret: secret.name.rpartition("/")[2]})
            page, token = _page(wanted, request.page_size, request.page_token)
            return types.ListSecretsResponse(
                secrets=page, next_page_token=token, total_size=0 if request.filter else len(wanted)
            )

    def delete_secret(self, request: types.DeleteSecretRequest) -> None:
        with self._lock:
            kept = self._secret(request.name)
            _check_etag(request.etag, kept.shown.etag)
            del self._secrets[kept.shown.name]

    # versions
    def add_secret_version(self, request: types.AddSecretVersionRequest) -> types.SecretVersion:
        with self._lock:
            kept = self._secret(request.parent)
            data, has_checksum = request.payload.data, "data_crc32c" in request.payload
            if not data:
                raise Refused(Code.INVALID_ARGUMENT, "Secret Payload cannot be empty.")
            if len(data) > MAX_PAYLOAD_BYTES:
                raise Refused(Code.INVALID_ARGUMENT, f"The payload has {len(data)} bytes, and may have {MAX_PAYLOAD_BYTES}.")
            if has_checksum and request.payload.data_crc32c != crc32c.of(data):
                raise Refused(Code.INVALID_ARGUMENT, "The payload does not fit its checksum.")
            shown = types.SecretVersion(
                name=f"{kept.shown.name}/versions/{len(kept.versions) + 1}",
                create_time=self._time(),
                state=State.ENABLED,
                etag=self._etag(),
                client_specified_payload_checksum=has_checksum,
            )
            kept.versions.append(_Version(shown, data))
            return _copied(shown)

    def access_secret_version(self, request: types.AccessSecretVersionRequest) -> types.AccessSecretVersionResponse:
        with self._lock:
            version = self._version(request.name)
            if version.data is None or version.shown.state != State.ENABLED:
                raise _in_state(version.shown)
            payload = types.SecretPayload(data=version.data, data_crc32c=crc32c.of(version.data))
            return types.AccessSecretVersionResponse(name=version.shown.name, payload=payload)

    def get_secret_version(self, request: types.GetSecretVersionRequest) -> types.SecretVersion:
        with self._lock:
            return _copied(self._version(request.name).shown)

    def list_secret_versions(self, request: types.ListSecretVersionsRequest) -> types.ListSecretVersionsResponse:
        with self._lock:
            newest_first = [version.shown for version in reversed(self._secret(request.parent).versions)]
            wanted = _filtered(newest_first, request.filter, {"state": lambda version: version.state.name})
            page, token = _page(wanted, request.page_size, request.page_token)
            return types.ListSecretVersionsResponse(
                versions=page, next_page_token=token, total_size=0 if request.filter else len(wanted)
            )

    def disable_secret_version(self, request: types.DisableSecretVersionRequest) -> types.SecretVersion:
        return self._enter(State.DISABLED, request.name, request.etag)

    def enable_secret_version(self, request: types.EnableSecretVersionRequest) -> types.SecretVersion:
        return self._enter(State.ENABLED, request.name, request.etag)

    def destroy_secret_version(self, request: types.DestroySecretVersionRequest) -> types.SecretVersion:
        return self._enter(State.DESTROYED, request.name, request.etag)

    def _enter(self, state: int, name: str, etag: str) -> types.SecretVersion:
        with self._lock:
            version = self._version(name, by_number_only=True)
            _check_etag(etag, version.shown.etag)
            if version.data is None:
                raise _in_state(version.shown)
            if state == State.DESTROYED:
                version.data = None
                version.shown.destroy_time = self._time()
            version.shown.state = State(state)
            version.shown.etag = self._etag()
            return _copied(version.shown)

    def _secret(self, name: str) -> _Kept:
        parent, secrets, secret_id = name.rpartition("/secrets/")
        if not secrets or "/" in secret_id:
            raise Refused(Code.INVALID_ARGUMENT, "The name must be that of a secret: projects/*/secrets/*.")
        numbered = f"{_project(parent)}/secrets/{secret_id}"
        if (kept := self._secrets.get(numbered)) is None:
            raise Refused(Code.NOT_FOUND, f"Secret [{numbered}] not found.")
        return kept

    def _version(self, name: str, *, by_number_only: bool = False) -> _Version:
        secret, versions, which = name.rpartition("/versions/")
        if not versions:
            raise Refused(Code.INVALID_ARGUMENT, "The name must be that of a version: projects/*/secrets/*/versions/*.")
        kept = self._secret(secret)
        if which.isdecimal():
            number = int(which)
        elif by_number_only:
            raise Refused(Code.INVALID_ARGUMENT, "Only reading takes an alias: name the version by its number.")
        elif which == "latest":
            number = len(kept.versions)
        else:
            number = kept.shown.version_aliases.get(which, 0)
        if not 0 < number <= len(kept.versions):
            raise Refused(Code.NOT_FOUND, f"Secret Version [{kept.shown.name}/versions/{which}] not found.")
        return kept.versions[number - 1]

    def _time(self) -> timestamp_pb2.Timestamp:
        time = timestamp_pb2.Timestamp()
        time.FromDatetime(self._now())
        return time

    def _etag(self) -> str:
        """A new one; the quotes are part of it (https://cloud.google.com/secret-manager/docs/etags)."""
        self._changes += 1
        return f'"{self._changes:x}"'


def _project(parent: str) -> str:
    """`projects/` and the number. A project that was named by its ID gets the same made-up number every time."""
    kind, _, project = parent.partition("/")
    if kind != "projects" or not project or "/" in project:
        raise Refused(Code.INVALID_ARGUMENT, "The parent must be a project: projects/*.")
    return f"projects/{project if project.isdecimal() else 100_000_000_000 + zlib.crc32(project.encode())}"


def _in_state(version: types.SecretVersion) -> Refused:
    return Refused(Code.FAILED_PRECONDITION, f"Secret Version [{version.name}] is in {version.state.name} state.")


def _check_etag(given: str, stored: str) -> None:
    """https://cloud.google.com/secret-manager/docs/etags: none proceeds, another one than the stored is FAILED_PRECONDITION."""
    if given and given != stored:
        raise Refused(Code.FAILED_PRECONDITION, "The etag provided does not match the current etag.")


def _check_aliases(aliases: Mapping[str, int], *, versions: int) -> None:
    """https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets#Secret, field versionAliases."""
    if len(aliases) > MAX_ALIASES:
        raise Refused(Code.INVALID_ARGUMENT, f"A secret can have {MAX_ALIASES} aliases.")
    for alias, number in aliases.items():
        if not _ALIAS.fullmatch(alias) or alias in _FORBIDDEN_ALIASES:
            raise Refused(Code.INVALID_ARGUMENT, f"{alias!r} cannot be an alias.")
        if not 0 < number <= versions:
            raise Refused(Code.INVALID_ARGUMENT, f"The alias {alias!r} is of version {number}, which does not exist.")


def _filtered(items: list[T], text: str, read: dict[str, Callable[[T], str]]) -> list[T]:
    """One `field:text` of https://cloud.google.com/secret-manager/docs/filtering, where the field contains the text."""
    if not text:
        return items
    name, colon, wanted = text.partition(":")
    if not colon or name not in read or not _FILTERED_FOR.fullmatch(wanted):
        raise Refused(Code.UNIMPLEMENTED, f"This stand-in filters by {' or '.join(read)} alone, as in {next(iter(read))}:text.")
    return [item for item in items if wanted.lower() in read[name](item).lower()]


def _page(items: list[T], size: int, token: str) -> tuple[list[T], str]:
    """The page that begins at the token, and the token of the next one."""
    if size < 0 or (token and not token.isdecimal()):
        raise Refused(Code.INVALID_ARGUMENT, "The page's size or token is invalid.")
    start = int(token or 0)
    end = start + min(size or _LARGEST_PAGE, _LARGEST_PAGE)
    return items[start:end], str(end) if end < len(items) else ""


def _copied(message: M) -> M:
    """What leaves the lock is nobody else's to change."""
    return type(message)(message)
