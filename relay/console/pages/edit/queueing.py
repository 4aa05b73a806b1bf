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
_AT = re.compile(r"[0-9]{1,11}")

_OFTEN_S = 60.0
_KNOWN_WITHIN_S = 300.0
"""What is not known of a test by then is hardly found out any more."""


class Queued(NamedTuple):
    """What has become of a test until now. known: whether all of it is. age_s: since it began."""

    steps: list[tuple[Direction, list[Step]]]
    known: bool
    age_s: float

    @property
    def is_old(self) -> bool:
        """So that what is not known by now is hardly found out any more."""
        return self.age_s > _KNOWN_WITHIN_S

    @property
    def is_looked_at(self) -> bool:
        """Whether the page looks again: also for long, where the test waits in a hold."""
        waits = any(step.outcome == "waiting" for _, steps in self.steps for step in steps)
        return not self.known and (waits or not self.is_old)

    @property
    def is_young(self) -> bool:
        """So that it is looked at often."""
        return self.age_s <= _OFTEN_S


def running(name: str) -> Connector | None:
    """The connector of that name as it runs."""
    try:
        return live(backend().connectors, name)
    except NotFound:
        return None


def begin(connector: Connector, user: Mutation) -> dict[str, str]:
    """Sends the user to the queue, joining and leaving. Returns the request IDs, by which `seen` finds them again. Raises
    `Conflict` where it cannot be tested, or what the partner answers to the making of the audience; `Stays`."""
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
    trial, began = QueueTest(backend(), clock, connector, audience), now()
    joined = trial.send(user, "joined")
    try:
        trial.wait(joined, "joined", _PATIENCE_S)
    finally:
        left = trial.leave(user)
    trial.wait(left, "left", _PATIENCE_S / 3)
    place = {} if audience == TEST_AUDIENCE else {"audience": audience}
    return {"joined": joined, "left": left, "at": f"{began:.0f}", **place}


def seen(connector: Connector, asked: Mapping[str, str]) -> Queued | None:
    """What has become of the test that the address names; None: it names none. Only reads."""
    joined, left, at = (asked.get(name, "") for name in ("joined", "left", "at"))
    if not (_REQUEST.fullmatch(joined) and _REQUEST.fullmatch(left) and _AT.fullmatch(at)):
        return None
    trial = QueueTest(backend(), parts().clock, connector, asked.get("audience", "") or TEST_AUDIENCE, since=float(at))
    steps = trial.look({"joined": joined, "left": left})
    known = all(found and all(step.outcome != "waiting" for step in found) for _, found in steps)
    return Queued(steps, known, now() - float(at))
