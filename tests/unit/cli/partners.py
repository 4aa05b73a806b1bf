"""Partners other than Pangolin: real HTTP servers with prepared answers, and documents as somebody would write them for these."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.partners import serving
from tests.partners.serving import Answer, Serving
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


class PreparedPartner(Serving):
    """Answers 200 with what is prepared for a method and path (`GET /me`; `*` at the end: whatever follows), and `refusal` to any
    other credentials. `trouble`: statuses to answer the next calls with."""

    def __init__(self, authorization: str, answers: Mapping[str, Any], refusal: tuple[int, Any]) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.trouble: list[int] = []
        self._authorization = authorization
        self._answers = answers
        self._refusal = refusal

    def answer(self, call: serving.Call) -> Answer:
        self.calls.append(Call(call.method, call.path, call.json))
        if self.trouble:
            return Answer(self.trouble.pop(0), {})
        if call.headers.get("authorization") != self._authorization:
            return Answer(*self._refusal)
        for prepared, body in self._answers.items():
            if call.line == prepared or (prepared.endswith("*") and call.line.startswith(prepared[:-1])):
                return Answer(200, body)
        return Answer(404, {})


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


def write(diy: Diy, document: str, *, url: str = NOBODY_LISTENS, more: str = "") -> str:
    """Path of a file with this document."""
    text = document.format(url=url) + more
    file = Path(diy.directory) / f"{text.split()[1]}.yaml"
    file.write_text(text)
    return str(file)
