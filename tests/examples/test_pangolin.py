"""Pangolin, described as an HTTP API: the example delivers to the platform itself, as it is but for the address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from relay.pangolin.server import InThread
from tests.examples.installation import Installation, users

AUDIENCE, NAME = "a5940e473cea659.1", "Spring newsletter"


class RealPangolin:
    """The platform itself, and what its own API says of it."""

    def __init__(self, server: InThread) -> None:
        self.server = server

    def api(self, method: str, path: str, **body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.server.token}"}
        return requests.request(method, self.server.url + path, json=body or None, headers=headers, timeout=10).json()

    def audiences(self) -> list[tuple[str, str]]:
        return [(one["name"], one["reference"]) for one in self.api("GET", "/api/audiences")["audiences"]]

    def members(self) -> set[str]:
        [audience] = self.api("GET", "/api/audiences")["audiences"]
        return {user["id"] for user in self.api("GET", f"/api/audiences/{audience['id']}/users")["users"]}


@pytest.fixture
def pangolin(tmp_path: Path) -> Iterator[RealPangolin]:
    with InThread(tmp_path / "pangolin.db") as server:
        yield RealPangolin(server)


@pytest.fixture
def connector(installation: Installation, pangolin: RealPangolin) -> str:
    settings = {"base_url": pangolin.server.url}
    return installation.apply("pangolin-over-http", settings, {"pangolin-token": pangolin.server.token})


def test_pangolin_gets_its_audience_and_its_members_and_a_bad_user_costs_nobody_else(
    installation: Installation, pangolin: RealPangolin, connector: str
) -> None:
    installation.diy("audiences", "create", connector, AUDIENCE, "--name", NAME)
    pangolin.api("PUT", "/api/faults", reject_users=["u-2"])

    installation.joined(connector, AUDIENCE, *users("u-1", "u-2", "u-3", "u" * 600))
    installation.left(connector, AUDIENCE, *users("u-3"))

    assert pangolin.audiences() == [(NAME, f"{connector}/{AUDIENCE}")]
    assert pangolin.members() == {"u-1"}
    assert installation.rejections() == {
        "u-2": ("user_rejected", "Pangolin does not accept this user."),
        "u" * 600: ("invalid_id", "Pangolin cannot use this user's ID. It is empty or too long."),
    }
    assert installation.waiting() == []


def test_a_user_whom_pangolin_refuses_without_a_name_is_found_among_many(
    installation: Installation, pangolin: RealPangolin, connector: str
) -> None:
    pangolin.api("PUT", "/api/faults", poison_users=["u-37"])
    everyone = [f"u-{number}" for number in range(100)]

    installation.joined(connector, AUDIENCE, *users(*everyone))

    assert pangolin.members() == set(everyone) - {"u-37"}
    [(user, (_, hint))] = installation.rejections().items()
    assert user == "u-37"
    assert hint == "Pangolin refuses every call with this user. Correct the user's ID at its source (status 400)."
    assert installation.waiting() == []


def test_pangolins_token_is_checked_and_its_audiences_are_described_and_offered(
    installation: Installation, pangolin: RealPangolin, connector: str
) -> None:
    assert "accepts" in installation.diy("connectors", "check", connector)
    made = installation.json("audiences", "create", connector, AUDIENCE, "--name", NAME)
    described = installation.json("audiences", "describe", connector, AUDIENCE)
    assert NAME in str(described)
    offered = installation.json("connectors", "options", connector, "audience")
    assert NAME in str(offered)
    assert made["partner_id"] in str(offered)
