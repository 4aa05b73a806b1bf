"""An authorization server (RFC 6749, RFC 7636) and the API behind it, over real HTTP: as strict as the strictest partner.

Clients must authenticate, codes and refresh tokens are good for one use, and one that is used again ends all that came of it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

CLIENT_ID = "the-client"
CLIENT_SECRET = "the-client's secret/+=: 1"
FIRST_REFRESH = "refresh-by-hand"


class Asked(NamedTuple):
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


class Reply(NamedTuple):
    """An answer to give in place of the right one."""

    status: int
    body: Any
    headers: Mapping[str, str] = MappingProxyType({})


class AuthorizationServer:
    """`client_secret` None: a public client. `single_use`: of refresh tokens. `replies`: given first, in order, by the token
    endpoint. `denies`: what the consent page sends back as an error. `slow_s`: how long the token endpoint takes."""

    def __init__(self, *, client_secret: str | None = CLIENT_SECRET, single_use: bool = True, good_for_s: float = 3_600) -> None:
        self.client_secret = client_secret
        self.single_use = single_use
        self.good_for_s = good_for_s
        self.replies: deque[Reply] = deque()
        self.asked: list[Asked] = []
        self.called: list[Asked] = []
        self.consents: list[dict[str, str]] = []
        self.denies = ""
        self.slow_s = 0.0
        self.reused = 0
        self._lock = threading.Lock()
        self._issued = 0
        self._refresh = {FIRST_REFRESH}
        self._used: set[str] = set()
        self._codes: dict[str, dict[str, str]] = {}
        self._access: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.token_url = f"{self.url}/token"
        self.authorize_url = f"{self.url}/authorize"
        self.api_url = f"{self.url}/api"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def revoke(self, access: str) -> None:
        """The API no longer takes this one."""
        self._access.discard(access)

    # endpoints

    def token(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
            scripted = self.replies.popleft() if self.replies else None
        time.sleep(self.slow_s)
        if scripted is not None:
            return scripted
        if asked.headers.get("content-type") != "application/x-www-form-urlencoded":
            return Reply(415, {"error": "invalid_request"})
        with self._lock:
            if not self._knows(asked):
                return Reply(401, {"error": "invalid_client"})
            return self._grant(asked.form)

    def api(self, asked: Asked) -> Reply:
        self.called.append(asked)
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        return Reply(200, {"ok": True}) if token in self._access else Reply(401, {"error": "invalid_token"})

    def authorize(self, query: dict[str, str]) -> str | None:
        """Where the browser is sent back to; None: an error page."""
        wanted = {"response_type": "code", "client_id": CLIENT_ID, "code_challenge_method": "S256"}
        whole = all(query.get(name) for name in ("state", "redirect_uri", "code_challenge"))
        if not whole or any(query.get(name) != value for name, value in wanted.items()):
            return None
        self.consents.append(query)
        if self.denies:
            answer = {"error": self.denies, "error_description": "a-partners-words"}
        else:
            code = f"code-{len(self.consents)}"
            self._codes[code] = query
            answer = {"code": code}
        return f"{query['redirect_uri']}?{urlencode({**answer, 'state': query['state']})}"

    def _knows(self, asked: Asked) -> bool:
        scheme, _, coded = asked.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            return base64.b64decode(coded).decode("latin-1") == f"{CLIENT_ID}:{self.client_secret}"
        if self.client_secret is None:
            return asked.form.get("client_id") == CLIENT_ID and "client_secret" not in asked.form
        return (asked.form.get("client_id"), asked.form.get("client_secret")) == (CLIENT_ID, self.client_secret)

    def _grant(self, form: dict[str, str]) -> Reply:
        match form.get("grant_type"):
            case "client_credentials":
                return self._issue(refresh=False)
            case "refresh_token":
                return self._renew(form.get("refresh_token", ""))
            case "authorization_code":
                consent = self._codes.pop(form.get("code", ""), None)
                challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=")
                if consent is None or consent["redirect_uri"] != form.get("redirect_uri"):
                    return Reply(400, {"error": "invalid_grant"})
                if consent["code_challenge"] != challenge.decode():
                    return Reply(400, {"error": "invalid_grant"})
                return self._issue(refresh=True)
            case _:
                return Reply(400, {"error": "unsupported_grant_type"})

    def _renew(self, refresh: str) -> Reply:
        if refresh in self._used:
            self.reused += 1
            self._refresh.clear()
        if refresh not in self._refresh:
            return Reply(400, {"error": "invalid_grant", "error_description": "a-partners-words"})
        if self.single_use:
            self._refresh.discard(refresh)
            self._used.add(refresh)
        return self._issue(refresh=self.single_use)

    def _issue(self, *, refresh: bool) -> Reply:
        self._issued += 1
        access = f"access-{self._issued}"
        self._access.add(access)
        body: dict[str, Any] = {"access_token": access, "token_type": "bearer", "expires_in": self.good_for_s}
        if refresh:
            body["refresh_token"] = f"refresh-{self._issued}"
            self._refresh.add(body["refresh_token"])
        return Reply(200, body)


@contextmanager
def authorization_server(**options: Any) -> Iterator[AuthorizationServer]:
    server = AuthorizationServer(**options)
    try:
        yield server
    finally:
        server.close()


def _handler(server: AuthorizationServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query, keep_blank_values=True)
            if path == "/authorize":
                place = server.authorize({name: values[-1] for name, values in query.items()})
                self._answer(Reply(302, "", {"Location": place}) if place else Reply(400, "What is this?"))
            else:
                self._answer(server.api(self._asked()))

        def do_POST(self) -> None:
            asked = self._asked()
            self._answer(server.token(asked) if asked.path == "/token" else server.api(asked))

        def _asked(self) -> Asked:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return Asked(unquote(urlsplit(self.path).path), {name.lower(): value for name, value in self.headers.items()}, body)

        def _answer(self, reply: Reply) -> None:
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    return Handler
