"""The platform's calls to the feeds' function: one for each route that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import requests

from relay.simulator.mediarithmics.case_file import Feed
from relay.simulator.sessions import Sessions

DELAY_HEADER = "x-mics-next-msg-delay"

_RETRY_MS = 1_000
"""Before a request is repeated whose answer does not say when."""


class PlatformAnswer(msgspec.Struct, frozen=True):
    """What came back. `code` 0: no answer.

    body      the answer's fields; empty where it is no JSON object
    delay_ms  after how long the platform may come again: the header's, else the field's; None where neither says so
    """

    code: int
    body: dict[str, Any] = {}
    delay_ms: float | None = None
    message: str = ""

    @property
    def status(self) -> str:
        """What it says of itself: ok, error, retry, OK, RETRY, ..."""
        return str(self.body.get("status", ""))

    @property
    def accepted(self) -> bool:
        """Whether the function did what it was asked."""
        return self.code == 200

    @property
    def wants_retry(self) -> bool:
        """Whether the same request is to be sent again. One without an answer can be: the same change twice is the same."""
        return self.status.lower() == "retry" or not self.code

    @property
    def retry_after_s(self) -> float:
        """In so many seconds."""
        return (_RETRY_MS if self.delay_ms is None else self.delay_ms) / 1000

    @property
    def data(self) -> list[dict[str, Any]]:
        """Deliveries that the platform is to make."""
        data = self.body.get("data")
        return data if isinstance(data, list) else []

    @property
    def stats(self) -> list[dict[str, Any]]:
        """One for each identifier that was taken, or refused for good."""
        stats = self.body.get("stats")
        return stats if isinstance(stats, list) else []

    @property
    def seen(self) -> str:
        """In words."""
        if not self.code:
            return f"not answered: {self.message}"
        said = f"answered {self.code}" + (f" ({self.status})" if self.status else "")
        return f"{said}: {self.message}" if self.message else said


class Platform:
    """Calls one feeds' function. Safe to use from several threads; each has its own connection.

    url     the function's address, without a final slash
    secret  what each request carries in X-Feed-Secret; empty: none
    """

    def __init__(self, url: str, secret: str = "", *, timeout_s: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Content-Type": "application/json", **({"X-Feed-Secret": secret} if secret else {})}
        self._timeout_s = timeout_s
        self._sessions = Sessions(trust_env=False)

    def status(self) -> PlatformAnswer:
        """Whether it is ready: 200."""
        return self.call("status", method="GET")

    def create(self, feed: Feed) -> PlatformAnswer:
        """The segment's audience is to exist at the partner."""
        return self.call("external_segment_creation", feed.place)

    def connect(self, feed: Feed) -> PlatformAnswer:
        """The audience is to take members."""
        return self.call("external_segment_connection", feed.place)

    def update(
        self,
        feed: Feed,
        identifiers: Sequence[dict[str, Any]],
        *,
        profiles: Sequence[dict[str, Any]] = (),
        **more: Any,
    ) -> PlatformAnswer:
        """One user joined or left. more: session_id, ts (milliseconds), operation, ..."""
        body = {**feed.place, "user_identifiers": list(identifiers), "user_profiles": list(profiles), **more}
        return self.call("user_segment_update", body)

    def batch_update(
        self, feed: Feed, contents: Sequence[Any], context: dict[str, Any] | None = None, **more: Any
    ) -> PlatformAnswer:
        """Sends what updates returned. context: beside the feed's place; more: ts (milliseconds), ..."""
        return self.call("batch_update", {"batch_content": list(contents), "context": {**feed.place, **(context or {})}, **more})

    def troubleshoot(self, feed: Feed, action: str = "FETCH_DESTINATION_AUDIENCE") -> PlatformAnswer:
        """What was received, stored and used."""
        return self.call("troubleshoot", {**feed.place, "action": action})

    def authentication_status(self, **asked: Any) -> PlatformAnswer:
        """Whether this user's access to the partner is there."""
        return self.call("authentication_status_queries", asked)

    def authentication(self, **asked: Any) -> PlatformAnswer:
        """Somebody allowed the access; `params` bring the code."""
        return self.call("authentication", asked)

    def logout(self, **asked: Any) -> PlatformAnswer:
        """The access is to be forgotten."""
        return self.call("logout", asked)

    def dynamic_property_values(self, **asked: Any) -> PlatformAnswer:
        """What the feed's properties can be."""
        return self.call("dynamic_property_values_queries", asked)

    def call(self, route: str, body: Any = None, *, method: str = "POST", **options: Any) -> PlatformAnswer:
        """One request to /v1/ROUTE. Never raises for the network."""
        content = {} if body is None else {"data": msgspec.json.encode(body)}
        try:
            response = self._sessions.mine().request(
                method,
                f"{self.url}/v1/{route}",
                **{"headers": self._headers, "timeout": self._timeout_s, "allow_redirects": False, **content, **options},
            )
        except requests.Timeout:
            return PlatformAnswer(0, message="No answer came in time.")
        except requests.RequestException:
            return PlatformAnswer(0, message="Nothing listens there, or the connection broke before an answer came.")
        return _read(response)

    def close(self) -> None:
        """Ends the connections."""
        self._sessions.close()


def _read(response: requests.Response) -> PlatformAnswer:
    try:
        content: Any = msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        content = None
    body = content if isinstance(content, dict) else {}
    said = body.get("message") or body.get("error") or ""
    return PlatformAnswer(
        response.status_code, body, _delay(response.headers.get(DELAY_HEADER), body.get("next_msg_delay_in_ms")), str(said)
    )


def _delay(*told: Any) -> float | None:
    for value in told:
        try:
            return max(0.0, float(value))
        except (TypeError, ValueError):
            continue
    return None
