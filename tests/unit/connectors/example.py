"""The partner that these tests configure connectors for: a description with one of everything, and a document for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.contract import Description, Field, Operation
from relay.backends.interfaces import Backend
from relay.connectors.document import expand
from relay.domain.audience import HoldReason, HoldRequest
from relay.domain.connector import BatchLimits, Connector
from relay.domain.message import Message, Mutation
from tests.clock import TurnedClock

ID = Field("id", "User", required=True)

ACME = Description(
    name="acme",
    title="Acme",
    summary="An ad platform.",
    settings=(
        Field("base_url", "Address", type="url", required=True),
        Field("account_id", "Account"),
        Field("region", "Region", type="choice", choices=("eu", "us"), default="eu"),
        Field("share", "Share", type="number"),
        Field("dry", "Dry run", type="boolean", default=False),
        Field("tags", "Tags", type="list"),
    ),
    secrets=(Field("token", "API token", required=True), Field("proxy", "Proxy password")),
    operations=(
        Operation("create_audience", "Create", "create", ("created",)),
        Operation("add", "Add", "set", ("joined",), effect="add", key_fields=("id",), fields=(ID, Field("note", "Note")),
                  max_items=100),
        Operation("remove", "Remove", "set", ("left",), effect="remove", key_fields=("id",), fields=(ID,), max_items=100),
        Operation("track", "Track", "event", ("joined", "left"),
                  fields=(ID, Field("value", "Value", type="number", default=1), Field("kind", "Kind", choices=("a", "b")))),
    ),
    required_triggers=("created", "joined", "left"),
    limits=BatchLimits(max_items=100, max_bytes=1024 * 1024),
)  # fmt: skip

DOCUMENT = """\
name: acme-eu
adapter: acme
inbound: {hmac_secret: acme-hmac, basic_auth: acme-basic}
settings: {base_url: "https://api.acme.example/v1"}
secrets: {token: acme-token}
actions:
  - {name: Create, trigger: created, operation: create_audience}
  - {name: Add, trigger: joined, operation: add, mapping: {id: user.id}, consent: [display_ads]}
  - {name: Remove, trigger: left, operation: remove, mapping: {id: user.id}}
"""


def describe(name: str, settings: Mapping[str, Any] | None = None, /) -> Description | None:
    return ACME if name == "acme" else None


def expanded(text: str = DOCUMENT) -> tuple[Connector, ...]:
    return expand(text, describe=describe)


def hold(backend: Backend, clock: TurnedClock, reason: HoldReason) -> None:
    """One batch of the audience `a1` waits for this reason: for an hour, or until an operator says so."""
    message = Message(1, "change", "acme-eu", "a1", "r1", clock.now(), mutations=(Mutation(0, user={"id": "u"}),))
    turn = backend.audiences.begin_turn("acme-eu", "a1", position=1, message_id="m1")
    backend.audiences.join(turn, message, HoldRequest(reason, None if reason == "paused" else clock.now() + 3600))
