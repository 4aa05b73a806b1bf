"""Connectors as data: what the feeds' function asks of them, without adapters and partners."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from relay.domain import errors
from relay.domain.errors import NotFound, UsedOtherwise
from relay.domain.feed import FeedRow, Offered, OfferedSetting, Use
from relay.domain.message import Message

OFFERED = Offered(
    name="pangolin",
    title="Pangolin",
    audience_id="own",
    settings=(
        OfferedSetting("region", "Region", choices=("eu", "us")),
        OfferedSetting("list", "List", dynamic=True),
    ),
    columns={"add": ("external_id", "kind"), "remove": ("external_id",)},
)
OTHER = Offered(name="zebra", title="Zebra", audience_id="own", columns={"add": ("external_id",), "remove": ("external_id",)})


class Pipes:
    """`Destination` from data.

    accepts   prefixes of canonical names that the mappings accept
    raises    method → what it raises
    delay_s   method → how long it takes
    used_by   feed whose use of the audience is another one
    """

    def __init__(self) -> None:
        self.offers: dict[str, Offered] = {each.name: each for each in (OFFERED, OTHER)}
        self.accepts: tuple[str, ...] = ("id", "email", "account.", "agent.", "idfa", "gaid")
        self.raises: dict[str, Exception] = {}
        self.delay_s: dict[str, float] = {}
        self.choices: dict[str, list[tuple[str, str]]] = {"list": [("l1", "First list")]}
        self.tokens: dict[tuple[str, str], str] = {}
        self.refresh_token = "refresh-token-of-the-partner"
        self.keyless = False
        self.used_by = ""
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._lock = threading.Lock()

    def offer(self, **fields: Any) -> None:
        """Changes the default connector."""
        self.offers["pangolin"] = msgspec.structs.replace(self.offers["pangolin"], **fields)

    def called(self, method: str) -> list[tuple[Any, ...]]:
        return [given for name, given in self.calls if name == method]

    def connectors(self) -> list[Offered]:
        self._begin("connectors")
        return list(self.offers.values())

    def offered(self, connector: str) -> Offered:
        self._begin("offered", connector)
        if connector not in self.offers:
            raise NotFound(f"There is no connector {connector}.")
        return self.offers[connector]

    def check(self, connector: str, use: Use) -> None:
        self._begin("check", connector, use)

    def key_of(self, connector: str, audience: str) -> str | None:
        self._begin("key_of", connector, audience)
        return None if self.keyless else audience

    def agree(self, connector: str, audience: str, use: Use) -> None:
        self._begin("agree", connector, audience, use)

    def rows(self, connector: str, use: Use, message: Message, *, handed_out: bool = False) -> list[dict[str, FeedRow]]:
        self._begin("rows", connector, use, message)
        action = {"joined": "add", "left": "remove"}
        found = []
        for mutation in message.mutations:
            name, value = next(iter(mutation.user.items()))
            row = FeedRow({"external_id": value, "kind": name}, {"external_id": value, "kind": name})
            found.append({action[mutation.direction]: row} if name.startswith(self.accepts) else {})
        return found

    def create(
        self, connector: str, audience: str, use: Use, *, name: str, request_id: str, instead_of: str = ""
    ) -> None:
        self._begin("create", connector, audience, use, name)
        if self.used_by not in ("", use.feed, instead_of):
            raise UsedOtherwise(f"The feed {self.used_by} sends this segment otherwise.", feed=self.used_by)
        self.used_by = use.feed

    def require_ready(self, connector: str, audience: str, use: Use) -> None:
        self._begin("require_ready", connector, audience)

    def look_at(self, connector: str, audience: str) -> Mapping[str, Any]:
        self._begin("look_at", connector, audience)
        return {"received": {"joined": 3}, "stored": {"status": "ready"}, "partner": {"members": 2}}

    def options(self, connector: str, use: Use, field: str) -> list[tuple[str, str]]:
        self._begin("options", connector, use, field)
        return self.choices.get(field, [])

    def check_credentials(self, connector: str, use: Use, given: Mapping[str, str]) -> None:
        self._begin("check_credentials", connector, use, dict(given))

    def login_address(self, connector: str, *, redirect_uri: str, state: str, verifier: str) -> str:
        self._begin("login_address", connector, redirect_uri, state, verifier)
        return f"https://partner.example/authorize?client_id=c&state={state}"

    def connect(self, connector: str, login: str, *, code: str, redirect_uri: str, verifier: str) -> str:
        self._begin("connect", connector, login, code, redirect_uri, verifier)
        self.tokens[connector, login] = self.refresh_token
        return self.refresh_token

    def adopt(self, connector: str, login: str, refresh_token: str) -> None:
        self._begin("adopt", connector, login)
        self.tokens.setdefault((connector, login), refresh_token)

    def is_connected(self, connector: str, login: str) -> bool:
        self._begin("is_connected", connector, login)
        return (connector, login) in self.tokens

    def disconnect(self, login: str) -> None:
        self._begin("disconnect", login)
        self.tokens = {key: token for key, token in self.tokens.items() if key[1] != login}

    def _begin(self, method: str, *given: Any) -> None:
        with self._lock:
            self.calls.append((method, given))
        time.sleep(self.delay_s.get(method, 0.0))
        if method in self.raises:
            raise self.raises[method]


def error_named(name: str, sentence: str = "", **more: Any) -> Exception:
    """An error of ours, as a case names it."""
    kind: Callable[..., Exception] = {"ValueError": ValueError}.get(name) or getattr(errors, name)
    if name == "DocumentError":
        return kind([("adapter.settings.region", sentence)])
    return kind(sentence, **more)
