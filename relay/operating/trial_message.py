"""A user who is tried out, as a message."""

from __future__ import annotations

import uuid

from relay.domain.connector import Connector
from relay.domain.message import VERSION, Message, Mutation

TEST_AUDIENCE = "diy-relay-test"
"""The DMP's ID of the audience that a test through the queue makes."""

TEST_AUDIENCE_NAME = "DIY Relay test - may be deleted"
TEST_USER = "diy-relay-test-user"


def trial_message(connector: Connector, audience: str, mutation: Mutation, now: float) -> Message:
    """The one mutation, under a request ID that is known for a test's."""
    return Message(
        version=VERSION,
        kind="change",
        connector=connector.name,
        audience=audience,
        request_id=f"test-{uuid.uuid4().hex}",
        received_at=now,
        mutations=(mutation,),
    )
