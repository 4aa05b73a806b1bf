"""A gateway as the platform runs one, over real HTTP: answers what it was given, to whoever has the worker's credentials."""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORKER_ID = "worker-7"
TOKEN = "token-of-the-worker"

FEED = "/v1/audience_segment_external_feeds/1000"
TECHNICAL = "/v1/configuration/technical_name=diy-relay"
CREDENTIALS = "/v1/feed_destinations/55/credentials"
REALMS = "/v1/datamarts/1/user_agent_identifier_realm_selections"


def properties(**values: Any) -> list[dict[str, Any]]:
    return [{"technical_name": name, "property_type": "STRING", "value": {"value": value}} for name, value in values.items()]


def feed(**fields: Any) -> dict[str, Any]:
    known = {"id": "1000", "plugin_id": "22", "organisation_id": "33", "group_id": "g", "artifact_id": "a", "version_id": "66"}
    return {**known, **fields}


class Gateway:
    """answers: path → the body, or a tuple of status and body; what is missing is a 404. delay_s: before each answer."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.delay_s = 0.0
        self.asked: list[tuple[str, str]] = []
        self.received: list[tuple[str, Any]] = []
        self.connections: set[int] = set()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.reset()

    def reset(self) -> None:
        self.answers = {
            FEED: {"status": "ok", "data": feed()},
            f"{FEED}/properties": {"status": "ok", "count": 0, "data": []},
            f"{FEED}/audience_segment": {"status": "ok", "data": {"id": "100", "name": "Winter shoppers"}},
        }
        self.delay_s = 0.0
        self.asked = []
        self.received = []
        self.connections = set()

    def set_properties(self, **values: Any) -> None:
        self.answers[f"{FEED}/properties"] = {"status": "ok", "data": properties(**values)}

    def set_feed(self, **fields: Any) -> None:
        self.answers[FEED] = {"status": "ok", "data": feed(**fields)}

    def count(self, path: str) -> int:
        return sum(asked == path for _, asked in self.asked)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    def answer(self, method: str, path: str, authorization: str, body: bytes) -> tuple[int, bytes]:
        with self._lock:
            self.asked.append((method, path))
            if body:
                self.received.append((path, json.loads(body)))
        time.sleep(self.delay_s)
        if authorization != "Basic " + base64.b64encode(f"{WORKER_ID}:{TOKEN}".encode()).decode():
            return 401, b'{"status":"error"}'
        found = self.answers.get(f"{method} {path}", self.answers.get(path))
        if found is None:
            return 404, b'{"status":"error","error":"Not found"}'
        status, content = found if isinstance(found, tuple) else (200, found)
        if isinstance(content, bytes):
            return status, content
        return status, (content if isinstance(content, str) else json.dumps(content)).encode()


def _handler(gateway: Gateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            gateway.connections.add(self.client_address[1])
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = gateway.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if 300 <= status < 400:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _any

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
