"""What the suite needs of each adapter: a partner to call, sample data, and ways to provoke it.

A new adapter joins by adding a harness of its own to `HARNESSES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import requests

from adapters.client import RequestsClient
from adapters.contract import Adapter, HttpAnswer, HttpRequest, Row
from adapters.registry import describe, open_adapter
from relay.domain.clock import SystemClock
from relay.domain.connector import Connector, Inbound, Limits, Timeouts
from relay.pangolin.server import InThread


class NoTokens:
    """For adapters that use none."""

    def get(self, name: str, obtain: Callable[[str], tuple[str, float, str]], *, not_token: str = "") -> str:
        raise AssertionError("this adapter needs no tokens")


class Recording:
    """Passes calls on and keeps what was sent."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._client = RequestsClient(timeouts, SystemClock())
        self.sent: list[HttpRequest] = []
        self.credential_headers: list[tuple[str, ...]] = []

    def send(self, request: HttpRequest, *, auth: Mapping[str, str]) -> HttpAnswer:
        self.sent.append(request)
        self.credential_headers.append(tuple(auth))
        return self._client.send(request, auth=auth)


class Harness(Protocol):
    """One adapter with its partner. `name` as in the registry. `secrets` and `row` hold values that are recognised in texts."""

    name: str
    secrets: dict[str, str]
    missing_audience: str

    def settings(self) -> dict[str, Any]: ...

    def row(self, number: int) -> Row: ...

    def members(self, partner_id: str) -> set[int]:
        """Numbers of the rows whose users the partner has in this audience."""
        ...

    # what the partner does from now on
    def mend(self) -> None:
        """All is well."""
        ...

    def reject(self, row: Row) -> None:
        """Refuses this row, and says which it is."""
        ...

    def poison(self, row: Row) -> None:
        """Refuses calls with this row, without saying which it is."""
        ...

    def too_many(self, retry_after: str | None) -> None: ...

    def trouble(self, status: int, retry_after: str | None = None) -> None: ...

    def html(self) -> None:
        """Answers every call with a page and status 200."""
        ...

    def hang(self) -> None: ...

    def unauthorized(self) -> None: ...


def open_for(harness: Harness, client: Recording, *, secrets: dict[str, str] | None = None) -> Adapter:
    """The harness's adapter, as a worker opens it."""
    description = describe(harness.name)
    assert description is not None
    connector = Connector(
        name="tested",
        document="tested",
        document_version=1,
        adapter=harness.name,
        inbound=Inbound(hmac_secret="x"),
        actions=(),
        limits=Limits(batch=description.limits),
        settings=harness.settings(),
    )
    given = harness.secrets if secrets is None else secrets
    return open_adapter(connector, given, clock=SystemClock(), tokens=NoTokens(), client=client)


class PangolinHarness:
    """Pangolin itself, in a thread."""

    name = "pangolin"
    missing_audience = "pg_nowhere"

    def __init__(self, server: InThread) -> None:
        self._server = server
        self.secrets = {"token": server.token}
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {server.token}"

    def settings(self) -> dict[str, Any]:
        return {"base_url": self._server.url}

    def row(self, number: int) -> Row:
        return Row({"id": f"canary-user-{number}"}, event_id=f"request/{number}", at=1_800_000_000.0)

    def members(self, partner_id: str) -> set[int]:
        listed = self._session.get(f"{self._server.url}/api/audiences/{partner_id}/users?limit=10000", timeout=30).json()
        return {int(user["id"].rpartition("-")[2]) for user in listed["users"]}

    def mend(self) -> None:
        self._session.delete(f"{self._server.url}/api/faults", timeout=30)

    def reject(self, row: Row) -> None:
        self._break(reject_users=[row.values["id"]])

    def poison(self, row: Row) -> None:
        self._break(poison_users=[row.values["id"]])

    def too_many(self, retry_after: str | None) -> None:
        self._break(status=429, retry_after=retry_after)

    def trouble(self, status: int, retry_after: str | None = None) -> None:
        self._break(status=status, retry_after=retry_after)

    def html(self) -> None:
        self._break(html=True)

    def hang(self) -> None:
        self._break(hang=True)

    def unauthorized(self) -> None:
        self._break(unauthorized=True)

    def _break(self, **faults: Any) -> None:
        answer = self._session.put(f"{self._server.url}/api/faults", json=faults, timeout=30)
        assert answer.status_code == 200, answer.text


@contextmanager
def pangolin(state: Path) -> Iterator[Harness]:
    """A harness around a Pangolin of its own."""
    with InThread(state / "pangolin.db", token="canary-secret-token") as server:
        yield PangolinHarness(server)


HARNESSES = {"pangolin": pangolin}
