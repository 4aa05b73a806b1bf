"""The function `create` as the receiver meets it on Google: behind TLS, and with a metadata server that gives tokens for it."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from handlers.creation import code_of, sentence_of, status_of

Answer = tuple[int, bytes]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Who asked is gone, as callers that are killed are."""


class Function:
    """A server in the place of the function: keeps what it was asked, and answers what it is told to. `headers`: what else its
    answers have. `connections`: how many it has had."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answer: Callable[[bytes], Answer] = lambda _body: (200, b'{"partner_id": "partner-1"}')
        self.asked: list[tuple[dict[str, str], bytes]] = []
        self.headers: dict[str, str] = {}
        self.connections = 0
        function = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                function.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                function.asked.append(({key.lower(): value for key, value in self.headers.items()}, body))
                status, content = function.answer(body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                if status in (301, 302, 307):
                    self.send_header("Location", f"http://127.0.0.1:{function.port}/elsewhere")
                self.send_header("Content-Length", str(len(content)))
                for header in function.headers.items():
                    self.send_header(*header)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def fails_with(self, trouble: Exception) -> None:
        """As `relay.functions.create` answers it."""
        body = msgspec.json.encode({"error": sentence_of(trouble), "code": code_of(trouble)})
        self.answer = lambda _body: (status_of(trouble), body)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Metadata:
    """Google's metadata server as far as identity tokens are concerned
    (https://cloud.google.com/run/docs/securing/service-identity#identity_tokens)."""

    def __init__(self) -> None:
        self.valid_s = 3_600.0
        self.tokens: list[str] = []
        self.paths: list[str] = []
        metadata = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                metadata.paths.append(self.path)
                content = metadata.answer(self.path).encode()
                self.send_response(200)
                self.send_header("Metadata-Flavor", "Google")
                self.send_header("Content-Type", "application/json" if content.startswith(b"{") else "text/html")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> str:
        if "/identity" in path:
            claims = {"exp": int(time.time() + self.valid_s), "number": len(self.tokens)}
            parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)] + [b"unsigned"]
            self.tokens.append(".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts))
            return self.tokens[-1]
        return '{"email": "diy@p.iam.gserviceaccount.com", "scopes": [], "aliases": ["default"]}' if "recursive" in path else ""

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def secure_function(directory: Path) -> Iterator[tuple[Function, Path]]:
    """One that speaks TLS, and the file with the certificate by which it is known."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "create")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    known, private = directory / "known.pem", directory / "private.pem"
    known.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(known, private)
    function = Function(context)
    try:
        yield function, known
    finally:
        function.close()
