"""Whether Pangolin ended up with the members that the DMP meant, asked over its API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import requests

from relay.simulator.ledger import Ledger

_TIMEOUT_S = 10


class Arrival(msgspec.Struct, frozen=True):
    """members: those that are where they belong. differing: users who are missing, or there though they left."""

    audiences: int
    members: int
    differing: int


def not_asked(error: requests.RequestException) -> str:
    """Why Pangolin did not name its members."""
    if error.response is None:
        return f"Pangolin could not be asked for its members ({type(error).__name__})."
    return (
        f"Pangolin answered {error.response.status_code} when asked for its members. If its faults are still set, "
        "DELETE /api/faults on its address ends them."
    )


class Pangolin:
    """Its API, read-only."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"

    def members(self, reference: str) -> set[str]:
        """Users of the audience with our reference; none if there is no such audience. Raises `requests.RequestException`."""
        found = self._audience(reference)
        if found is None:
            return set()
        return {user["id"] for user in self._all(f"/api/audiences/{found['id']}/users", "users")}

    def name(self, reference: str) -> str:
        """How it shows the audience with our reference; empty if there is none. Raises `requests.RequestException`."""
        found = self._audience(reference)
        return str(found["name"]) if found else ""

    def _audience(self, reference: str) -> dict[str, Any] | None:
        audiences = self._all("/api/audiences", "audiences")
        return next((audience for audience in audiences if audience["reference"] == reference), None)

    def _all(self, path: str, list_name: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        after = None
        while True:
            answer = self._session.get(f"{self._url}{path}", params={"after": after} if after else {}, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            page = answer.json()
            items += page[list_name]
            after = page.get("next")
            if not after:
                return items


def compare(pangolin: Pangolin, connector: str, ledger: Ledger) -> Arrival:
    """Compares as far as the ledger can know: users of earlier runs are none of its business."""
    expected, gone = ledger.members, ledger.others
    members = differing = 0
    for audience in expected.keys() | gone.keys():
        there = pangolin.members(f"{connector}/{audience}")
        meant = expected.get(audience, set())
        members += len(meant & there)
        differing += len(meant - there) + len(gone.get(audience, set()) & there)
    return Arrival(len(expected.keys() | gone.keys()), members, differing)


def wait_for(pangolin: Pangolin, connector: str, ledger: Ledger, *, pause: Callable[[], bool]) -> Arrival:
    """Compares until nothing differs or `pause`, called in between, says that it is time to stop."""
    while True:
        arrival = compare(pangolin, connector, ledger)
        if not arrival.differing or pause():
            return arrival
