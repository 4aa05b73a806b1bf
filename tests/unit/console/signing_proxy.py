"""What Identity-Aware Proxy does: it signs who was let in, and publishes its keys."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import google.auth.jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.auth.crypt import es256

AUDIENCE = "/projects/1/locations/europe-west1/services/diy-relay-console"


class Proxy:
    """Has keys, publishes their public halves over HTTP, and signs."""

    def __init__(self) -> None:
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.published: list[str] = []
        self.asked = 0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.new_key("k1")

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/public_key"

    def new_key(self, name: str, *, published: bool = True) -> None:
        self.keys[name] = ec.generate_private_key(ec.SECP256R1())
        if published:
            self.published.append(name)

    def assertion(self, key: str = "k1", **claims: Any) -> str:
        now = int(time.time())
        told = {"iss": "https://cloud.google.com/iap", "aud": AUDIENCE, "email": "op@example.org", "iat": now, "exp": now + 600}
        signer = es256.ES256Signer(self.keys[key], key_id=key)
        encoder: Any = google.auth.jwt
        return str(encoder.encode(signer, {**told, **claims}).decode())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy.asked += 1
                body = json.dumps({name: _public(proxy.keys[name]) for name in proxy.published}).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _public(key: ec.EllipticCurvePrivateKey) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(encoding, form).decode()
