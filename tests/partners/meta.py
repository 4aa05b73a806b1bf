"""A small Meta: a real HTTP server that keeps custom audiences and complains the way the Marketing API is described."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tests.partners.serving import Answer, Call, Serving

ACCOUNT = "4711"
TOKEN = "system-user-token"

_HASH = re.compile(r"[0-9a-f]{64}")
_HASHED = {"EMAIL", "PHONE", "FN", "LN", "COUNTRY"}
_PLAIN = {"EXTERN_ID", "MADID"}


class SmallMeta(Serving):
    """`pages`: entries on a page of a list. `planned`: (status, body) to answer the next calls with, in order."""

    def __init__(self, *, pages: int = 2) -> None:
        super().__init__()
        self.audiences: dict[str, dict[str, Any]] = {}
        self.members: dict[str, set[tuple[tuple[str, str], ...]]] = {}
        self.accounts = [{"id": f"act_{ACCOUNT}", "account_id": ACCOUNT, "name": "Ours"}]
        self.received: dict[int, int] = {}
        self.planned: list[tuple[int, Any]] = []
        self.calls: list[tuple[str, str, Any]] = []
        self.pages = pages

    def answer(self, call: Call) -> Answer:
        self.calls.append((call.method, call.target, call.json))
        if self.planned:
            return Answer(*self.planned.pop(0))
        return Answer(*self._said(call, call.json))

    def _said(self, call: Call, body: Any) -> tuple[int, Any]:
        if call.headers.get("authorization") != f"Bearer {TOKEN}":
            return refusal(190)
        method, query = call.method, call.query
        match [method, *urlsplit(call.target).path.strip("/").split("/")[1:]]:
            case ["GET", "me"]:
                return 200, {"id": "1"}
            case ["GET", "me", "adaccounts"]:
                return 200, self._page(self.accounts, query)
            case ["GET", account, "customaudiences"] if account == f"act_{ACCOUNT}":
                return 200, self._page(list(self.audiences.values()), query)
            case ["POST", account, "customaudiences"] if account == f"act_{ACCOUNT}":
                return self._make(body)
            case ["DELETE", account, "usersofanyaudience"] if account == f"act_{ACCOUNT}":
                return self._change("DELETE", list(self.members), body)
            case ["GET", audience] if audience in self.audiences:
                return 200, self.audiences[audience]
            case ["POST" | "DELETE", audience, "users"] if audience in self.audiences:
                return self._change(method, [audience], body)
        return refusal(100, 33)

    def _page(self, entries: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
        start = int(query.get("after", "0"))
        shown = entries[start : start + self.pages]
        end = start + len(shown)
        more = {"next": "https://graph.example/next"} if end < len(entries) else {}
        return {"data": shown, "paging": {"cursors": {"before": str(start), "after": str(end)}, **more} if shown else {}}

    def _make(self, body: Any) -> tuple[int, Any]:
        if body["subtype"] != "CUSTOM" or body["customer_file_source"] != "BOTH_USER_AND_PARTNER_PROVIDED":
            return refusal(100)
        made = str(7_000 + len(self.audiences))
        self.audiences[made] = {
            "id": made,
            "name": body["name"],
            "description": body["description"],
            "operation_status": {"code": 200, "description": "Normal"},
            "approximate_count_lower_bound": 1000,
        }
        self.members[made] = set()
        return 200, {"id": made}

    def _change(self, method: str, audiences: list[str], body: Any) -> tuple[int, Any]:
        schema, data = body["payload"]["schema"], body["payload"]["data"]
        if not schema or not set(schema) <= _HASHED | _PLAIN or any(len(row) != len(schema) for row in data):
            return refusal(100)
        wrong = [[value for key, value in zip(schema, row, strict=True) if not fits(key, value)] for row in data]
        for row in (row for row, values in zip(data, wrong, strict=True) if not values):
            user = tuple((key, value) for key, value in zip(schema, row, strict=True) if value)
            for audience in audiences:
                if method == "POST":
                    self.members[audience].add(user)
                else:
                    self.members[audience].discard(user)
        session = body.get("session", {"session_id": 0, "batch_seq": 1, "last_batch_flag": True})
        if session["batch_seq"] != 1 or session["last_batch_flag"] is not True:
            return refusal(2650)
        number = session["session_id"]
        self.received[number] = self.received.get(number, 0) + len(data)
        return 200, {
            "audience_id": audiences[0],
            "session_id": number,
            "num_received": self.received[number],
            "num_invalid_entries": sum(1 for values in wrong if values),
            "invalid_entry_samples": [value for values in wrong for value in values],
        }


def refusal(code: int, subcode: int | None = None, **more: Any) -> tuple[int, dict[str, Any]]:
    """An error as Meta writes it, which repeats what it was sent."""
    said = {"message": "(#1) somebody@example.com", "type": "OAuthException", "code": code, "fbtrace_id": "A1"}
    return 400, {"error": {**said, **({"error_subcode": subcode} if subcode else {}), **more}}


def fits(key: str, value: str) -> bool:
    """Whether Meta could do anything with this value."""
    return value == "" or (key in _PLAIN and "!" not in value) or (key in _HASHED and _HASH.fullmatch(value) is not None)
