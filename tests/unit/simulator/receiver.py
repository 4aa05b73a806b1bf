"""A receiver over real HTTP that checks what the DMP's page asks for, on its own account, and remembers what it accepted."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

SECRET = "a-secret"
BASIC = "someone:pass:word"


class Received:
    """What came in, and how it is answered.

    troubles: the next uploads get these statuses; None breaks the connection without an answer. hold_up_s: before each upload.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.url = ""
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.arrived_at: list[float] = []
        self.members: dict[str, set[str]] = {}
        self.most_in_hand = 0
        self.in_hand = 0
        self.troubles: list[int | None] = []
        self.hold_up_s = 0.0
        self.answer_id = ""
        self.trusting = False


@contextmanager
def receiver() -> Iterator[Received]:
    """Listens on a free loopback port while the context lasts."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(200 if self._knows_password() else 401)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if not received.trusting and not (self._knows_password() and self._signed(body)):
                return self._answer(401, {"error": "The signature is wrong."})
            kind = parse_qs(urlsplit(self.path).query)["type"][0]
            if kind == "VALIDATE":
                return self._answer(200)
            document = json.loads(body)
            if kind == "CREATE_AUDIENCE":
                with received.lock:
                    received.requests.append((kind, document))
                return self._answer(200, {"id": received.answer_id} if received.answer_id else None)
            return self._upload(kind, document)

        def _upload(self, kind: str, document: dict[str, Any]) -> None:
            with received.lock:
                received.arrived_at.append(time.monotonic())
                received.requests.append((kind, document))
                received.in_hand += 1
                received.most_in_hand = max(received.most_in_hand, received.in_hand)
                trouble = received.troubles.pop(0) if received.troubles else 200
            time.sleep(received.hold_up_s)
            with received.lock:
                received.in_hand -= 1
                if trouble == 200:
                    for mutation in document["Mutations"]:
                        members = received.members.setdefault(mutation["Audience"], set())
                        (members.add if kind == "ADD_TO_AUDIENCE" else members.discard)(mutation["User"])
            if trouble is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self._answer(trouble, {"error": "Come back later."} if trouble != 200 else None)

        def _knows_password(self) -> bool:
            return self.headers.get("Authorization") == "Basic " + base64.b64encode(BASIC.encode()).decode()

        def _signed(self, body: bytes) -> bool:
            return self.headers.get("X-HMAC") == hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()

        def _answer(self, status: int, document: dict[str, Any] | None = None) -> None:
            content = json.dumps(document).encode() if document else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    received.url = f"http://127.0.0.1:{server.server_port}/pangolin"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
