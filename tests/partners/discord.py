"""A small Discord: one server with members and roles, and a bot that may give some of them.

https://docs.discord.com/developers/resources/guild, https://docs.discord.com/developers/topics/rate-limits
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from relay.domain.clock import Clock
from tests.partners.serving import Answer, Call, Serving

TOKEN = "MTk4NjIy.the-token-of-the-bot"
GUILD = "197038439483310086"
PAUSE_S = 0.65

_API = "/api/v10"
_ROLES = f"{_API}/guilds/{GUILD}/roles"
_MEMBER_ROLE = re.compile(rf"{_API}/guilds/(?P<guild>[^/]+)/members/(?P<user>[^/]+)/roles/(?P<role>[^/]+)")
_ONE_ROLE = re.compile(rf"{_ROLES}/(?P<role>[0-9]+)")
_SNOWFLAKE = re.compile(r"[0-9]{17,20}")


class SmallDiscord(Serving):
    """members  user ID → the IDs of the roles that the member has
    roles       ID → the role
    too_high    roles that stand above the bot's own
    waited      after each 429, the seconds until the next change was asked for
    clock       by which these are told
    """

    def __init__(self, clock: Clock, members: set[str], *, limited_every: int = 3) -> None:
        """limited_every: every so many changes of a member are answered 429."""
        super().__init__()
        self.members: dict[str, set[str]] = {user: set() for user in members}
        self.roles: dict[str, dict[str, Any]] = {}
        self.too_high: set[str] = set()
        self.waited: list[float] = []
        self.limited = 0
        self._clock = clock
        self._every = limited_every
        self._changes = 0
        self._limited_at: float | None = None
        self.add_role("@everyone", "1071698660929")

    def add_role(self, name: str, permissions: str) -> str:
        """Somebody makes a role by hand, or the bot by a call. Its ID."""
        role = str(int(GUILD) + len(self.roles))
        position = len(self.roles)
        self.roles[role] = {"id": role, "name": name, "permissions": permissions, "position": position, "mentionable": False}
        return role

    def having(self, role: str) -> set[str]:
        """The members with this role."""
        return {user for user, roles in self.members.items() if role in roles}

    def answer(self, call: Call) -> Answer:
        """What Discord says."""
        if not call.headers.get("user-agent", "").startswith("DiscordBot ("):
            return Answer(403, b"<html>error code: 1010</html>", {"Content-Type": "text/html"})
        if call.headers.get("authorization") != f"Bot {TOKEN}":
            return _refused(401, 0, "401: Unauthorized")
        changed = _MEMBER_ROLE.fullmatch(call.path)
        if changed and call.method in ("PUT", "DELETE"):
            return self._limit() or self._change(call, changed)
        one = _ONE_ROLE.fullmatch(call.path)
        if one and call.method == "GET":
            return Answer(200, self.roles[one["role"]]) if one["role"] in self.roles else _refused(404, 10011, "Unknown Role")
        if call.path.startswith(f"{_API}/guilds/") and not call.path.startswith(f"{_API}/guilds/{GUILD}/"):
            return _refused(404, 10004, "Unknown Guild")
        match call.line.removeprefix(call.method + " " + _API):
            case "/users/@me" if call.method == "GET":
                return Answer(200, {"id": "1", "username": "the bot", "bot": True})
            case "/users/@me/guilds" if call.method == "GET":
                return Answer(200, _guilds(call.query))
        if call.path == _ROLES and call.method == "GET":
            return Answer(200, list(self.roles.values()))
        if call.path == _ROLES and call.method == "POST":
            return self._make(call.json)
        return _refused(404, 0, "404: Not Found")

    def _make(self, asked: Any) -> Answer:
        known = asked if isinstance(asked, dict) else {}
        if not 1 <= len(known.get("name", "")) <= 100 or not isinstance(known.get("permissions"), str):
            return _refused(400, 50035, "Invalid Form Body")
        return Answer(200, self.roles[self.add_role(known["name"], known["permissions"])])

    def _limit(self) -> Answer | None:
        """429, and nothing else until the moment that it names."""
        now, early = self._clock.now(), False
        if self._limited_at is not None:
            self.waited.append(now - self._limited_at)
            early = self.waited[-1] < PAUSE_S - 0.001  # of a moment in seconds since the epoch, less than that is lost
            self._limited_at = None
        self._changes += 1
        if not early and self._changes % self._every:
            return None
        self.limited += 1
        self._limited_at = now
        headers = {"Retry-After": str(math.ceil(PAUSE_S)), "X-RateLimit-Scope": "user"}
        return Answer(429, {"message": "You are being rate limited.", "retry_after": PAUSE_S, "global": False}, headers)

    def _change(self, call: Call, named: re.Match[str]) -> Answer:
        if call.content or (call.method == "PUT" and call.headers.get("content-length") != "0"):
            return _refused(400, 50109, "The request body contains invalid JSON.")
        if not _SNOWFLAKE.fullmatch(named["user"]) or not _SNOWFLAKE.fullmatch(named["role"]):
            return _refused(400, 50035, "Invalid Form Body")
        if named["guild"] != GUILD:
            return _refused(404, 10004, "Unknown Guild")
        if named["role"] not in self.roles:
            return _refused(404, 10011, "Unknown Role")
        if named["role"] in self.too_high:
            return _refused(403, 50013, "Missing Permissions")
        roles = self.members.get(named["user"])
        if roles is None:
            return _refused(404, 10007, "Unknown Member")
        (roles.add if call.method == "PUT" else roles.discard)(named["role"])
        return Answer(204)


def _guilds(query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Page by page, by the ID of the last one."""
    guilds = [{"id": GUILD, "name": "Our customers"}, {"id": str(int(GUILD) + 1000), "name": "Our team"}]
    return [one for one in guilds if int(one["id"]) > int(query.get("after", 0))][: int(query.get("limit", 200))]


def _refused(status: int, code: int, message: str) -> Answer:
    return Answer(status, {"message": message, "code": code})
