"""Cloud Storage as far as it is used: the objects of one bucket, listed, read as a stream, replaced and deleted.

By its JSON API (https://cloud.google.com/storage/docs/json_api/v1), so that no further client library is needed. What that takes
is imported when it is first used.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast
from urllib.parse import quote

import msgspec

from relay.backends.google.failures import NO_BUCKET
from relay.configuration import Configuration
from relay.domain.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    import requests
    from requests.adapters import HTTPAdapter

    from relay.backends.google.channels import Channels

SERVICE = "Cloud Storage"

_HOST = "https://storage.googleapis.com"
_TIMEOUT_S = (5.0, 30.0)
_PAGE = 1_000
_LISTED = "items(name,generation,size,timeCreated,customTime),nextPageToken"

_TRIES = 4
_PAUSE_S = 0.2
_PASSING = (429, 500, 502, 503, 504)
"""Answers after which the same call can succeed (https://cloud.google.com/storage/docs/retry-strategy)."""

class Stored(msgspec.Struct, frozen=True, rename="camel"):
    """An object. generation: which content it is; another one has another number. custom_time: the moment that a rewritten object
    keeps, by which it grows old."""

    name: str
    generation: str
    time_created: str
    size: str = "0"
    custom_time: str | None = None

    @property
    def bytes(self) -> int:
        """How large it is."""
        return int(self.size)

    @property
    def born(self) -> str:
        """When its content was first written, as Cloud Storage writes a moment."""
        return self.custom_time or self.time_created


class _Page(msgspec.Struct, rename="camel"):
    items: tuple[Stored, ...] = ()
    next_page_token: str = ""


class Gone(Exception):
    """The object is not there any more, or has another content."""


_page = msgspec.json.Decoder(_Page)
_stored = msgspec.json.Decoder(Stored)


class Bucket:
    """The journal's bucket. Not shared by threads.

    All of it raises `StoreUnavailable` for what passes by itself, and `ConfigurationError` for what needs somebody: no bucket, no
    right to it.
    """

    def __init__(self, channels: Channels, configuration: Configuration) -> None:
        if not configuration.journal_bucket:
            raise ConfigurationError(NO_BUCKET)
        self._name = configuration.journal_bucket
        emulator = configuration.storage_emulator
        self._root = f"http://{emulator.removeprefix('http://')}" if emulator else _HOST
        self._channels = channels
        self._session: requests.Session | None = None

    def list(self, prefix: str, *, from_name: str) -> Iterator[Stored]:
        """The objects whose names begin so and are not before `from_name`, in the order of their names."""
        token = ""
        while True:
            query = {"prefix": prefix, "startOffset": from_name, "maxResults": str(_PAGE), "fields": _LISTED}
            if token:
                query["pageToken"] = token
            answer = self._call("GET", self._objects, params=query)
            page = _page.decode(answer.content)
            yield from page.items
            token = page.next_page_token
            if not token:
                return

    def look(self, name: str) -> Stored:
        """The object as it is now. Raises `Gone` where there is none."""
        return _stored.decode(self._call("GET", self._object(name), object_may_be_gone=True).content)

    @contextmanager
    def read(self, stored: Stored) -> Iterator[BinaryIO]:
        """Its content, as a stream. Raises `Gone` where it has another one by now."""
        query = {"alt": "media", "generation": stored.generation}
        answer = self._call("GET", self._object(stored.name), params=query, object_may_be_gone=True, stream=True)
        try:
            with _transfer():
                yield cast(BinaryIO, answer.raw)
        finally:
            answer.close()

    def replace(self, stored: Stored, content: bytes) -> None:
        """Another content in place of this one, which grows old with it. Raises `Gone` where somebody else changed it."""
        about = {"name": stored.name, "contentType": "application/octet-stream", "customTime": stored.born}
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
        middle = f"\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n"
        body = b"".join(
            (head.encode(), msgspec.json.encode(about), middle.encode(), content, f"\r\n--{boundary}--\r\n".encode())
        )
        self._call(
            "POST",
            f"{self._root}/upload/storage/v1/b/{quote(self._name, safe='')}/o",
            params={"uploadType": "multipart", "ifGenerationMatch": stored.generation},
            headers={"Content-Type": f"multipart/related; boundary={boundary}"},
            body=body,
            object_may_be_gone=True,
        )

    def delete(self, stored: Stored) -> None:
        """Deletes this content. Raises `Gone` where somebody else changed it."""
        query = {"ifGenerationMatch": stored.generation}
        self._call("DELETE", self._object(stored.name), params=query, object_may_be_gone=True)

    def close(self) -> None:
        """Closes its connections; a later use opens them again."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    @property
    def _objects(self) -> str:
        return f"{self._root}/storage/v1/b/{quote(self._name, safe='')}/o"

    def _object(self, name: str) -> str:
        return f"{self._objects}/{quote(name, safe='')}"

    def _call(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        object_may_be_gone: bool = False,
        stream: bool = False,
    ) -> requests.Response:
        # Identity: what is stored is what comes, and its length is known.
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        with _transfer():
            answer = self._opened().request(
                method, url, params=params, headers=sent, data=body, stream=stream, timeout=_TIMEOUT_S
            )
        if answer.ok:
            return answer
        with answer:
            if object_may_be_gone and answer.status_code in (404, 412):
                raise Gone
            raise _trouble(answer.status_code, self._name)

    def _opened(self) -> requests.Session:
        if self._session is None:
            self._session = self._channels.http(anonymous=self._root != _HOST)
            self._session.mount(self._root, _patient())
        return self._session


def _patient() -> HTTPAdapter:
    """Reads are tried again: of thousands of calls some fail in passing. Whoever writes looks first what became of it."""
    from requests.adapters import HTTPAdapter
    from urllib3 import Retry

    retry = Retry(
        total=_TRIES - 1, backoff_factor=_PAUSE_S, status_forcelist=_PASSING, allowed_methods=("GET",), raise_on_status=False
    )
    return HTTPAdapter(max_retries=retry)


def broken_off(error: Exception) -> bool:
    """Whether this is trouble on the way to the service, and not with what it sent."""
    # Here, not at the top: every worker has a journal, and few ever read it.
    import requests
    import urllib3.exceptions

    return isinstance(error, (requests.RequestException, urllib3.exceptions.HTTPError, OSError))


@contextmanager
def _transfer() -> Iterator[None]:
    """Turns errors on the way within the block into `StoreUnavailable`."""
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except GoogleAuthError as error:
        raise StoreUnavailable(f"{SERVICE} refused: this process has no valid credentials of Google Cloud.") from error
    except Exception as error:
        if not broken_off(error):
            raise
        raise StoreUnavailable(f"{SERVICE} could not be reached, or did not answer in time.") from error


def _trouble(status: int, bucket: str) -> StoreUnavailable | ConfigurationError:
    if status == 404:
        return ConfigurationError(
            f"{SERVICE} has no bucket {bucket!r} (JOURNAL_BUCKET): was deploy/deploy.sh run to its end for this project?"
        )
    if status in (401, 403):
        return ConfigurationError(
            f"{SERVICE} refused: this account lacks a role on the bucket {bucket!r} (see deploy/README.md, Roles)."
        )
    if status == 429 or status >= 500:
        return StoreUnavailable(f"{SERVICE} is overloaded or in trouble (HTTP {status}).")
    return StoreUnavailable(f"{SERVICE} could not carry out an operation (HTTP {status}).")
