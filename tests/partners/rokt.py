"""A small ROKT: a real HTTP server that keeps lists and events the way ROKT's pages describe it, in both versions."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from tests.partners.serving import Answer, Call, Serving

ACCOUNT = "12345"
SECRETS = {"client_id": "rpub-1234-abcd", "client_secret": "rsec-5678-efgh", "audience_api_key": "key-for-audiences"}
TOKEN = "token-of-rokt"

_BASIC = "Basic " + base64.b64encode(f"{SECRETS['client_id']}:{SECRETS['client_secret']}".encode()).decode()
_MEMBERS = {"emails", "sha256s"}
_SHA256 = re.compile(r"[0-9a-f]{64}")


class SmallRokt(Serving):
    """`planned`: (status, body) to answer the next calls with, in order; a body that is bytes is sent as it is. `calls`: path,
    headers by their names in small letters, body."""

    def __init__(self) -> None:
        super().__init__()
        self.lists: dict[str, set[str]] = {}
        self.events: dict[str, dict[str, Any]] = {}
        self.keys: set[str] = set()
        self.planned: list[tuple[int, Any]] = []
        self.calls: list[tuple[str, dict[str, str], Any]] = []

    def answer(self, call: Call) -> Answer:
        """What ROKT says."""
        return Answer(*self._said(call.path, dict(call.headers), call.content.decode()))

    def _said(self, path: str, headers: dict[str, str], text: str) -> tuple[int, Any]:
        is_form = path == "/auth/oauth2/token"
        if headers.get("content-type") != ("application/x-www-form-urlencoded" if is_form else "application/json"):
            return 415, {}
        body: Any = text if is_form else json.loads(text)
        self.calls.append((path, headers, body))
        if self.planned:
            return self.planned.pop(0)
        credentials = headers.get("authorization")
        match path:
            case "/auth/oauth2/token":
                allowed = credentials == _BASIC and body == "grant_type=client_credentials"
                return (200, {"access_token": TOKEN, "expires_in": 3600}) if allowed else (401, {"error": "invalid_client"})
            case "/v3/auth-check":
                return (200, {}) if credentials == _BASIC and body == {"accountId": ACCOUNT} else (401, {})
            case "/v3/import/suppression":
                known = credentials == _BASIC and body.pop("accountId", None) == ACCOUNT
                return self._change(body) if known else (401, {})
            case "/api/1.0/import/suppression":
                return self._change(body) if credentials == SECRETS["audience_api_key"] else (401, {})
            case "/v2/events":
                return self._take(headers, body) if credentials == _BASIC else (401, {})
            case "/v1/events":
                if credentials != f"Bearer {TOKEN}":
                    return 401, {}
                if (key := headers["idempotency-key"]) in self.keys:
                    return 409, {"data": {"message": "Idempotency token has been seen before."}}
                self.keys.add(key)
                return self._take(headers, body)
        return 404, {}

    def _change(self, body: dict[str, Any]) -> tuple[int, Any]:
        given = _MEMBERS & set(body)
        if len(given) != 1 or body["action"] not in ("include", "exclude") or set(body) - _MEMBERS - {"action", "list"}:
            return 400, {}
        kind = given.pop()
        if not isinstance(body[kind], list) or (kind == "sha256s" and not all(map(_SHA256.fullmatch, body[kind]))):
            return 400, {}
        members = self.lists.setdefault(body.get("list", "AdvertiserDatabase"), set())
        change = members.update if body["action"] == "include" else members.difference_update
        change(body[kind])
        return 201, {}

    def _take(self, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        asked = (headers.get("rokt-version"), headers.get("charset"), headers.get("content-type"))
        if asked != ("2020-05-21", "utf-8", "application/json") or body["accountId"] != ACCOUNT or len(body["events"]) > 100:
            return 400, {"data": {"code": "RequestValidationError"}}
        for event in body["events"]:
            self.events[event["clientEventId"]] = event
        return 200, {"data": {"unprocessedRecords": []}}
