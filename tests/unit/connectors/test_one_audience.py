"""Settings with which every audience is one and the same at the partner: the document may send only one of them there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from adapters.contract import Description
from relay.connectors.document import expand
from relay.domain.errors import DocumentError
from tests.unit.connectors.example import ACME

DOCUMENT = """
name: acme-eu
adapter: acme
inbound: {{hmac_secret: acme-hmac}}
settings: {{base_url: "https://api.acme.example/v1", account_id: "{account}"}}
secrets: {{token: acme-token}}
actions:
  - {{name: Create, trigger: created, operation: create_audience}}
  - {{name: Add, trigger: joined, operation: add, mapping: {{id: user.id}}{add}}}
  - {{name: Remove, trigger: left, operation: remove, mapping: {{id: user.id}}{remove}}}
  - {{name: Track, trigger: joined, operation: track, mapping: {{id: user.id}}}}
"""
FIXED, OF_THE_AUDIENCE = "everybody", "*"


def describe(name: str, settings: Mapping[str, Any] | None = None, /) -> Description | None:
    """A partner whose audiences are one unless the setting says otherwise."""
    if name != "acme":
        return None
    return replace(ACME, one_audience=settings is not None and settings.get("account_id") != OF_THE_AUDIENCE)


def problems(*, add: str = "", remove: str = "", account: str = FIXED) -> list[tuple[str, str]]:
    try:
        expand(DOCUMENT.format(account=account, add=add, remove=remove), describe=describe)
    except DocumentError as error:
        return error.problems
    return []


def test_every_enabled_set_action_needs_to_be_limited_to_an_audience() -> None:
    found = problems()
    assert [path for path, _ in found] == ["actions[1].audiences", "actions[2].audiences"]
    assert all("undo each other's removals" in sentence for _, sentence in found)


@pytest.mark.parametrize("audiences", ["[Buyers, Sellers]", "['Buy*']", "['Buyer?']"])
def test_one_that_may_be_several_is_none(audiences: str) -> None:
    limited = f", audiences: {audiences}"
    assert [path for path, _ in problems(add=limited, remove=limited)] == ["actions[1].audiences", "actions[2].audiences"]


def test_all_are_limited_to_the_same_one() -> None:
    assert problems(add=", audiences: [Buyers]", remove=", audiences: [Buyers, Buyers]") == []
    ((path, sentence),) = problems(add=", audiences: [Buyers]", remove=", audiences: [Sellers]")
    assert path == "actions[2].audiences"
    assert "'Buyers'" in sentence


def test_actions_that_are_disabled_do_not_count() -> None:
    assert problems(add=", enabled: false", remove=", audiences: [Buyers]") == []


def test_settings_that_depend_on_the_audience_need_no_limit() -> None:
    assert problems(account=OF_THE_AUDIENCE) == []
