"""The adapter for Pangolin, opened for a Pangolin at some address."""

from __future__ import annotations

from adapters.contract import Adapter
from adapters.registry import describe, open_adapter
from relay.domain.clock import SystemClock
from relay.domain.connector import Connector, Inbound, Limits, Timeouts
from tests.contract.adapters.harness import NoTokens

AMPLE = Timeouts(connect_s=20, answer_s=20, batch_answer_s=20)


def opened(url: str, token: str) -> Adapter:
    """As a worker opens it."""
    description = describe("pangolin")
    assert description is not None
    connector = Connector(
        name="tested",
        document="tested",
        document_version=1,
        adapter="pangolin",
        inbound=Inbound(hmac_secret="x"),
        actions=(),
        limits=Limits(batch=description.limits),
        settings={"base_url": url},
        timeouts=AMPLE,
    )
    return open_adapter(connector, {"token": token}, clock=SystemClock(), tokens=NoTokens())
