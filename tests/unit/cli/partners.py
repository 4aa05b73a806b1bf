"""Partners other than Pangolin: real HTTP servers with prepared answers, and documents as somebody would write them for these."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from tests.unit.cli.conftest import NOBODY_LISTENS, Diy

ROKT = """\
name: rokt
adapter: rokt
inbound: {{hmac_secret: rokt-hmac}}
settings: {{account_id: "12345", base_url: "{url}", allow_private_network: true}}
secrets: {{client_id: rokt-client-id, client_secret: rokt-client-secret}}
actions:
  - {{name: Include, trigger: joined, operation: add, mapping: {{email_sha256: user.email}}}}
  - {{name: Exclude, trigger: left, operation: remove, mapping: {{email_sha256: user.email}}}}
"""

META = """\
name: meta
adapter: meta
inbound: {{hmac_secret: meta-hmac}}
settings: {{account_id: "4711", base_url: "{url}", allow_private_network: true}}
secrets: {{access_token: meta-access-token}}
actions:
  - {{name: Create, trigger: created, operation: create_audience}}
  - {{name: Add, trigger: joined, operation: add, mapping: {{email: user.email}}}}
  - {{name: Remove, trigger: left, operation: remove, mapping: {{email: user.email}}}}
"""

HTTP = """\
name: acme
adapter: http
inbound: {{hmac_secret: acme-hmac}}
settings:
  base_url: "{url}"
  allow_private_network: true
  auth: {{type: api_key, query: api_key}}
  operations:
    add:
      effect: add
      fields: {{email: }}
      request: {{method: POST, path: "/lists/{{{{ audience.partner_id }}}}/members", query: {{dry: "1"}}, body: "{{{{ rows }}}}"}}
secrets: {{api_key: acme-key}}
actions:
  - {{name: Add, trigger: joined, operation: add, mapping: {{email: user.email}}}}
"""


ACCOUNT = "4711"
TOKEN = "the-token-at-meta"
CLIENT_ID, CLIENT_SECRET = "rpub-1", "rsec-1"


class Call(NamedTuple):
    """One that the partner got."""

    method: str
    path: str
    body: Any


class PreparedPartner:
    """Answers 200 with what is prepared for a method and path (`GET /me`; `*` at the end: whatever follows), and `refusal` to any
    other credentials. `trouble`: statuses to answer the next calls with."""

    def __init__(self, authorization: str, answers: Mapping[str, Any], refusal: tuple[int, Any]) -> None:
        self.calls: list[Call] = []
        self.trouble: list[int] = []
        self._authorization = authorization
        self._answers = answers
        self._refusal = refusal
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def answer(self, call: Call, authorization: str | None) -> tuple[int, Any]:
        self.calls.append(call)
        if self.trouble:
            return self.trouble.pop(0), {}
        if authorization != self._authorization:
            return self._refusal
        line = f"{call.method} {call.path}"
        for prepared, body in self._answers.items():
            if line == prepared or (prepared.endswith("*") and line.startswith(prepared[:-1])):
                return 200, body
        return 404, {}


def a_meta() -> PreparedPartner:
    """Knows one ad account, with three audiences."""
    version = "/v25.0"
    audiences = [{"id": str(number), "name": f"Audience {number}"} for number in (7000, 7001, 7002)]
    answers = {
        f"GET {version}/me": {"id": "1"},
        f"GET {version}/me/adaccounts": {"data": [{"id": f"act_{ACCOUNT}", "account_id": ACCOUNT, "name": "Ours"}]},
        f"GET {version}/act_{ACCOUNT}/customaudiences": {"data": audiences},
    }
    return PreparedPartner(f"Bearer {TOKEN}", answers, (400, {"error": {"type": "OAuthException", "code": 190}}))


def a_rokt() -> PreparedPartner:
    """Takes every call of version 2."""
    basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    return PreparedPartner(f"Basic {basic}", {"POST /v3/*": {}}, (401, {}))


def _handler(partner: PreparedPartner) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = json.loads(self.rfile.read(length)) if length else None
            call = Call(self.command, urlsplit(self.path).path, sent)
            status, body = partner.answer(call, self.headers.get("Authorization"))
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_any

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler


def write(diy: Diy, document: str, *, url: str = NOBODY_LISTENS, more: str = "") -> str:
    """Path of a file with this document."""
    text = document.format(url=url) + more
    file = Path(diy.directory) / f"{text.split()[1]}.yaml"
    file.write_text(text)
    return str(file)
