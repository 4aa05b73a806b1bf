"""The platform's gateway, small: it answers from a case what a feed is, to whoever has the worker's credentials."""

from __future__ import annotations

import base64
import hmac
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

import msgspec

from relay.domain.errors import ConfigurationError
from relay.simulator.mediarithmics.case_file import Case, Feed

HOST = "127.0.0.1"

_FEED = r"/v1/audience_segment_external_feeds/(?P<feed>[^/]+)"
_ROUTES: tuple[tuple[str, str, re.Pattern[str]], ...] = (
    ("feed", "GET", re.compile(_FEED)),
    ("properties", "GET", re.compile(_FEED + "/properties")),
    ("segment", "GET", re.compile(_FEED + "/audience_segment")),
    ("configuration", "GET", re.compile(r"/v1/configuration/technical_name=(?P<name>[^/]+)")),
    ("realms", "GET", re.compile(r"/v1/datamarts/(?P<datamart>[^/]+)/user_agent_identifier_realm_selections")),
    ("credentials", "GET", re.compile(r"/v1/feed_destinations/(?P<destination>[^/]+)/credentials")),
    ("new credentials", "POST", re.compile(r"/v1/feed_destinations/(?P<destination>[^/]+)/credentials")),
)


class Gateway:
    """On one port of this machine while the context lasts; port 0 takes a free one.

    calls    how often each resource was asked for: `feed`, `properties`, `segment`, `configuration`, `realms`, `credentials`,
             `new credentials`; `refused` for wrong credentials, `unknown` for anything else
    slow_s   seconds before each answer
    failing  the status of each answer; 0: as it should be
    """

    def __init__(self, case: Case, worker_id: str, token: str, *, port: int = 0) -> None:
        self.calls: Counter[str] = Counter()
        self.slow_s = 0.0
        self.failing = 0
        self._lock = threading.Lock()
        self._case = case
        self._feeds = {feed.id: feed for feed in case.feeds}
        self._destinations = dict(case.destinations)
        self._allowed = b"Basic " + base64.b64encode(f"{worker_id}:{token}".encode())
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Where it listens, once it does."""
        return self._port

    @property
    def url(self) -> str:
        """Its address, without a final slash."""
        return f"http://{HOST}:{self._port}"

    @property
    def destinations(self) -> dict[str, dict[str, Any]]:
        """Feed destination → its credentials, as they are by now."""
        with self._lock:
            return dict(self._destinations)

    def put(self, feed: Feed) -> None:
        """The feed is there from now on, in place of one with its ID."""
        with self._lock:
            self._feeds[feed.id] = feed

    def start(self) -> None:
        """Raises `ConfigurationError` where the port cannot be had."""
        try:
            server = _Server((HOST, self._port), _handler(self._answer))
        except OSError as error:
            raise ConfigurationError(
                f"The simulated gateway cannot listen on port {self._port} ({error.strerror}). Another one may be running; end "
                "it, or choose another port with GATEWAY_PORT, here and for the feeds' function."
            ) from None
        self._port = server.server_address[1]
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="gateway", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when the port is free again. Does nothing where it does not run."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server.break_connections()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _answer(self, method: str, path: str, authorization: str, body: bytes) -> tuple[int, bytes]:
        """The status and the JSON of one call."""
        if self.slow_s:
            time.sleep(self.slow_s)
        if not hmac.compare_digest(authorization.encode(), self._allowed):
            return self._said("refused", 401, "Wrong worker or token.")
        if self.failing:
            return self._said("failed", self.failing, "The gateway was told to fail.")
        for name, allowed, pattern in _ROUTES:
            if allowed == method and (found := pattern.fullmatch(path)) is not None:
                self._count(name)
                with self._lock:
                    return self._resource(name, {key: unquote(value) for key, value in found.groupdict().items()}, body)
        return self._said("unknown", 404, "There is no such address.")

    def _resource(self, name: str, asked: dict[str, str], body: bytes) -> tuple[int, bytes]:
        match name:
            case "feed" | "properties" | "segment":
                feed = self._feeds.get(asked["feed"])
                return _missing("feed") if feed is None else _of_feed(name, feed)
            case "configuration":
                content = self._case.configuration.get(asked["name"])
                return _missing("configuration") if content is None else (200, msgspec.json.encode(content))
            case "realms":
                return _listed(self._case.realms.get(asked["datamart"], []))
            case "credentials":
                credentials = self._destinations.get(asked["destination"])
                return _missing("credentials") if credentials is None else _data(credentials)
        return self._keep(asked["destination"], body)

    def _keep(self, destination: str, body: bytes) -> tuple[int, bytes]:
        try:
            given = msgspec.json.decode(body)
        except msgspec.DecodeError:
            given = None
        fields = given if isinstance(given, dict) else {}
        if not isinstance(fields.get("scheme"), str) or not isinstance(fields.get("credentials"), dict):
            return 400, _problem("These are no credentials: {scheme, credentials}.")
        self._destinations[destination] = {"scheme": fields["scheme"], "credentials": fields["credentials"]}
        return _data(self._destinations[destination])

    def _said(self, counted: str, status: int, text: str) -> tuple[int, bytes]:
        self._count(counted)
        return status, _problem(text)

    def _count(self, name: str) -> None:
        with self._lock:
            self.calls[name] += 1


def _of_feed(name: str, feed: Feed) -> tuple[int, bytes]:
    if name == "feed":
        return _data(feed.resource)
    if name == "segment":
        return _data(feed.segment)
    return _listed([_property(each, value) for each, value in feed.properties.items()])


def _property(name: str, value: Any) -> dict[str, Any]:
    return {
        "technical_name": name, "value": value, "property_type": "STRING", "origin": "PLUGIN", "writable": True,
        "deletable": False,
    }  # fmt: skip


def _data(value: Any) -> tuple[int, bytes]:
    return 200, msgspec.json.encode({"status": "ok", "data": value})


def _listed(values: list[Any]) -> tuple[int, bytes]:
    return 200, msgspec.json.encode({"status": "ok", "count": len(values), "data": values})


def _missing(what: str) -> tuple[int, bytes]:
    return 404, _problem(f"There is no such {what}.")


def _problem(text: str) -> bytes:
    return msgspec.json.encode({"status": "error", "error": text})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        self.open: set[socket.socket] = set()
        super().__init__(*arguments)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: whoever asked has gone in the middle of it."""

    def break_connections(self) -> None:
        """Those that clients keep open would be answered even after the end."""
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def _handler(answer: Callable[[str, str, str, bytes], tuple[int, bytes]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        server: _Server

        def setup(self) -> None:
            super().setup()
            self.server.open.add(self.connection)

        def finish(self) -> None:
            self.server.open.discard(self.connection)
            super().finish()

        def do_GET(self) -> None:
            length = self.headers.get("Content-Length", "0")
            body = self.rfile.read(int(length) if length.isdigit() else 0)
            status, content = answer(self.command, self.path, self.headers.get("Authorization", ""), body)
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:  # whoever asked has gone
                self.close_connection = True

        do_POST = do_GET

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing: addresses name feeds."""

    return Handler
