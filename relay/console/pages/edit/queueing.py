"""One test user through the queue and the worker, by the version that runs: begun by a form, and looked at until all is known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from relay.connectors.live import live
from relay.console.editing.unpublished import partners
from relay.console.parts import backend, now, parts, visitor
from relay.domain.connector import Connector
from relay.domain.errors import Conflict, NotFound
from relay.domain.message import Direction, Mutation
from relay.operating.queue_test import QueueTest, Step, ask_credentials, audience_for_tests, require_complete, unsendable
from relay.operating.trial_message import TEST_AUDIENCE, TEST_AUDIENCE_NAME

__all__ = ["TEST_AUDIENCE_NAME", "Queued", "begin", "running", "seen"]

_PATIENCE_S = 3.0
"""So long the joining may take before the leaving is queued behind it in any case: nobody stays, whoever closes the page."""

_REQUEST = re.compile(r"test-[0-9a-f]{32}")


class Queued(NamedTuple):
    """What has become of a test until now. known: whether all of it is."""

    steps: list[tuple[Direction, list[Step]]]
    known: bool


def running(name: str) -> Connector | None:
    """The connector of that name as it runs."""
    try:
        return live(backend().connectors, name)
    except NotFound:
        return None


def begin(connector: Connector, user: Mutation) -> dict[str, str]:
    """Sends the user to the queue, joining and leaving. Returns the request IDs, by which `seen` finds them again. Raises
    `Conflict` where it cannot be tested, or what the partner answers to the making of the audience."""
    clock = parts().clock
    require_complete(backend(), connector)
    adapter = partners().open(connector)
    credentials = ask_credentials(backend(), connector, adapter, now=now())
    if not credentials.usable:
        raise Conflict(f"The partner does not accept us: {credentials.hint}")
    if reasons := unsendable(backend(), connector, adapter, None, user, now=now()):
        raise Conflict(" ".join(step.hint for step in reasons))
    backend().audit.add(by=visitor().name, what="test", subject=connector.name)
    audience = audience_for_tests(backend(), clock, connector)
    trial = QueueTest(backend(), clock, connector, audience)
    joined = trial.send(user, "joined")
    trial.wait(joined, "joined", _PATIENCE_S)
    left = trial.send(user, "left")
    trial.wait(left, "left", _PATIENCE_S / 3)
    return {"joined": joined, "left": left, **({} if audience == TEST_AUDIENCE else {"audience": audience})}


def seen(name: str, asked: Mapping[str, str]) -> Queued | None:
    """What has become of the test that the address names; None: it names none. Only reads."""
    connector = running(name)
    joined, left = asked.get("joined", ""), asked.get("left", "")
    if connector is None or not (_REQUEST.fullmatch(joined) and _REQUEST.fullmatch(left)):
        return None
    trial = QueueTest(backend(), parts().clock, connector, asked.get("audience", "") or TEST_AUDIENCE)
    steps: list[tuple[Direction, list[Step]]] = [
        ("joined", trial.look(joined, "joined")),
        ("left", trial.look(left, "left")),
    ]
    known = all(found and all(step.outcome != "waiting" for step in found) for _, found in steps)
    return Queued(steps, known)
