"""Cloud Storage on this machine, for local runs and tests: buckets over the part of the JSON API that we use.

It keeps everything in memory and serves 127.0.0.1 alone. What it answers has the form of
https://cloud.google.com/storage/docs/json_api/v1.
"""

from __future__ import annotations

import email
import email.policy
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from relay.domain.errors import ConfigurationError
from relay.local_run.kept_objects import KeptObjects, Refused

_OBJECTS = "/storage/v1/b/"
_UPLOADS = "/upload/storage/v1/b/"
_NOTICED_WITHIN_S = 0.05
"""That it is to end."""

_Work = Callable[[str, dict[str, str]], tuple[str, bytes]]
"""Path and query → type of content, empty for none, and content."""


class _About(msgspec.Struct, rename="camel"):
    name: str = ""
    custom_time: str | None = None


class StorageServer:
    """Serves its buckets while it is open."""

    def __init__(self, port: int = 0) -> None:
        """port: 0 for a free one. Raises `ConfigurationError` if it cannot be had."""
        self._buckets: dict[str, KeptObjects] = {}
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self._bucket))
        except OSError as error:
            raise ConfigurationError(f"Port {port} cannot be used by the Cloud Storage stand-in.") from error
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        serve = partial(self._server.serve_forever, poll_interval=_NOTICED_WITHIN_S)
        threading.Thread(target=serve, name="cloud-storage", daemon=True).start()

    def make(self, bucket: str) -> KeptObjects:
        """A bucket, empty at first."""
        return self._buckets.setdefault(bucket, KeptObjects(bucket, lambda: datetime.now(UTC)))

    def close(self) -> None:
        """Serves nobody any more."""
        self._server.shutdown()
        self._server.server_close()

    def _bucket(self, name: str) -> KeptObjects:
        try:
            return self._buckets[name]
        except KeyError:
            raise Refused(404, "The specified bucket does not exist.") from None


def _handler(bucket_of: Callable[[str], KeptObjects]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer(self._read)

        def do_POST(self) -> None:
            self._answer(self._upload)

        def do_DELETE(self) -> None:
            self._answer(self._delete)

        def _read(self, path: str, query: dict[str, str]) -> tuple[str, bytes]:
            bucket, name = _place(path, _OBJECTS)
            if not name:
                listing = bucket_of(bucket).list(
                    prefix=query.get("prefix", ""),
                    start=query.get("startOffset", ""),
                    size=int(query.get("maxResults", "0")),
                    token=query.get("pageToken", ""),
                )
                return _json(listing)
            shown, content = bucket_of(bucket).get(name, generation=query.get("generation", ""))
            return ("application/octet-stream", content) if query.get("alt") == "media" else _json(shown)

        def _upload(self, path: str, query: dict[str, str]) -> tuple[str, bytes]:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if query.get("uploadType") != "multipart":
                raise Refused(400, "This stand-in takes uploads of uploadType multipart alone.")
            about, content = _parts(self.headers.get("Content-Type", ""), body)
            name = about.name or query.get("name", "")
            if not name:
                raise Refused(400, "Required parameter: name")
            bucket, _ = _place(path, _UPLOADS)
            generation = query.get("ifGenerationMatch", "")
            return _json(bucket_of(bucket).put(name, content, if_generation=generation, custom_time=about.custom_time))

        def _delete(self, path: str, query: dict[str, str]) -> tuple[str, bytes]:
            bucket, name = _place(path, _OBJECTS)
            bucket_of(bucket).delete(name, if_generation=query.get("ifGenerationMatch", ""))
            return "", b""

        def _answer(self, work: _Work) -> None:
            where = urlsplit(self.path)
            status = 200
            try:
                kind, content = work(where.path, dict(parse_qsl(where.query, keep_blank_values=True)))
                status = 200 if kind else 204
            except Refused as refused:
                status = refused.status
                kind, content = _json({"error": {"code": status, "message": refused.sentence}})
            self.send_response(status)
            if kind:
                self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _place(path: str, beginning: str) -> tuple[str, str]:
    """The bucket and the object that a path names; no object: the bucket's list."""
    if not path.startswith(beginning):
        raise Refused(404, "Not Found")
    bucket, _, rest = path.removeprefix(beginning).partition("/")
    what, _, name = rest.partition("/")
    if what != "o":
        raise Refused(404, "Not Found")
    return unquote(bucket), unquote(name)


def _parts(content_type: str, body: bytes) -> tuple[_About, bytes]:
    """What an upload says of the object, and its content (https://www.rfc-editor.org/rfc/rfc2387)."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    whole = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    parts = list(whole.iter_parts())
    if len(parts) != 2:
        raise Refused(400, "Malformed multipart body.")
    marker = f"--{whole.get_boundary()}".encode()
    # The content is taken from the bytes themselves: the parser of mails changes the ends of lines.
    _, _, rest = body.split(marker, 2)
    content = rest.partition(b"\r\n\r\n")[2].rpartition(b"\r\n" + marker)[0]
    return msgspec.json.decode(parts[0].get_content(), type=_About), content


def _json(value: object) -> tuple[str, bytes]:
    return "application/json; charset=UTF-8", msgspec.json.encode(value)
