"""The delivery of a case, with real parts: the connector applied to an embedded back end, its queue, a worker's turns."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from msgspec.structs import replace

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.domain.audience import Hold
from relay.domain.connector import Connector
from relay.domain.message import VERSION, Direction, Message, Mutation
from relay.domain.outcome import Rejection, Report
from tests.clock import TurnedClock
from tests.contract.adapters.case_file import CaseFile, Given
from tests.contract.adapters.expected import hashes_filled_in
from worker.tick import tick
from worker.turn import Worker

BEGINNING = 1_800_000_000.0
"""Fri, 15 Jan 2027 08:00:00 GMT, in seconds since the epoch."""

AMPLE = {"connect": "20s", "answer": "20s", "batch_answer": "20s"}
REQUEST = "request-1"
HMAC_SECRET = "hmac-secret-value"

_EVERYTHING = 100_000


def document_of(file: CaseFile, url: str, changes: Mapping[str, Any] | None = None) -> str:
    """The connector's document for a partner at this address, as YAML."""
    document = _laid_over({"timeouts": AMPLE}, _laid_over(file.document, changes or {}))
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True)).replace("{partner}", url)


def mutations_of(file: CaseFile, given: Given) -> tuple[Mutation, ...]:
    """The mutations that the DMP sends."""
    wanted = given.mutations or [{"joined": number} for number in range(1, given.users + 1)]
    return tuple(_mutation(file, index, dict(one)) for index, one in enumerate(wanted))


class Delivery:
    """One connector, one audience, one batch, and what becomes of it."""

    def __init__(self, state: Path, file: CaseFile, given: Given, url: str, *, secrets: bool = True) -> None:
        """secrets: the partner's are set; without them only previews can be made."""
        self.file = file
        self.clock = TurnedClock(BEGINNING)
        self.backend = EmbeddedBackend.open(state, self.clock)
        self.worker = Worker(self.backend, self.clock, random.Random(1))
        publishing = Publishing(self.backend, describe, "suite", self.clock)
        for name, value in {**(file.secrets if secrets else {}), "dmp-hmac": HMAC_SECRET}.items():
            publishing.set_secret(name, value)
        version = publishing.apply(document_of(file, url, given.document))
        self.connector: Connector = version.connectors[0]
        if given.audience == "known":
            audience = file.audience
            self.backend.audiences.link(
                self.connector.name, audience.id, partner_id=audience.partner_id, name=audience.name
            )
        self.mutations = mutations_of(file, given)

    def close(self) -> None:
        """Ends it."""
        self.backend.close()

    @property
    def message(self) -> Message:
        """The batch, as the receiver would queue it."""
        return Message(
            VERSION, "change", self.connector.name, self.file.audience.id, REQUEST, BEGINNING, mutations=self.mutations
        )

    def publish(self) -> None:
        """The batch is in the queue."""
        self.backend.queue.publish([self.message])

    def publish_for_another_audience(self) -> None:
        """The same users, in another audience that the partner has."""
        self.backend.audiences.link(self.connector.name, "another", partner_id="another-at-the-partner", name="Another")
        self.backend.queue.publish([replace(self.message, audience="another")])

    def work(self) -> None:
        """The worker takes turns until nothing is in the queue that may be handed out."""
        for _ in range(1_000):
            leased = self.backend.queue.take()
            if leased is None:
                return
            self.worker.handle(leased)
        raise AssertionError("the worker turns in circles")

    def pass_time(self, seconds: float) -> None:
        """Time passes, holds that are due are resumed, and the worker takes its turns."""
        self.clock.advance(seconds)
        tick(self.backend, self.worker.catalog, self.clock)
        self.work()

    # what became of it

    def hold(self) -> Hold | None:
        """What the audience waits for."""
        record = self.backend.audiences.get(self.connector.name, self.file.audience.id)
        return record.hold if record else None

    def reports(self) -> list[Report]:
        """Of all attempts, oldest first."""
        return self.backend.reports.attempts(self.connector.name, limit=_EVERYTHING)[::-1]

    def rejections(self) -> list[Rejection]:
        """All of them, oldest first."""
        return [one for _, one in self.backend.reports.rejections(self.connector.name, limit=_EVERYTHING)]

    def outcomes(self) -> list[dict[str, dict[str, Any]]]:
        """For each mutation: action → its outcome, see `expected.outcome_difference`; the empty action where it concerns the
        mutation as a whole. Each mutation has exactly one for each action: that is asserted."""
        depth = self.backend.queue.depth()
        assert depth is not None
        assert depth.messages == 0, "the worker gave a message back; the log says why"
        settled = self._settled()
        waiting = self._waiting()
        outcomes: list[dict[str, dict[str, Any]]] = []
        delivered = 0
        for mutation in self.mutations:
            found = settled.get(mutation.index, {})
            if "" in found:
                assert mutation.index not in waiting, f"mutation {mutation.index} is settled and waits"
                outcomes.append({"": found[""]})
                continue
            of_mutation: dict[str, dict[str, Any]] = {}
            for action in self.connector.actions:
                if action.trigger != mutation.direction:
                    continue
                is_waiting = mutation.index in waiting and action.name not in waiting[mutation.index]
                if action.name in found:
                    assert not is_waiting, f"mutation {mutation.index} is settled for {action.name} and waits"
                    of_mutation[action.name] = found[action.name]
                elif is_waiting:
                    of_mutation[action.name] = self._waits()
                else:
                    delivered += 1
                    of_mutation[action.name] = {"outcome": "delivered", "code": "", "hint": ""}
            outcomes.append(of_mutation)
        assert delivered == sum(report.counts.get("delivered", 0) for report in self.reports()), "not all are accounted for"
        return outcomes

    def _settled(self) -> dict[int, dict[str, dict[str, Any]]]:
        """index → action → what was settled otherwise than by delivery; what was rejected is among the rejections too."""
        settled: dict[int, dict[str, dict[str, Any]]] = {}
        for report in self.reports():
            for result in report.exceptions:
                if result.outcome == "retry":
                    continue
                of_mutation = settled.setdefault(result.index, {})
                assert result.action not in of_mutation, f"mutation {result.index} is settled twice"
                of_mutation[result.action] = {"outcome": result.outcome, "code": result.code, "hint": result.hint}
        refused = Counter(
            (index, action) for index, found in settled.items() for action, one in found.items() if one["outcome"] == "rejected"
        )
        kept = Counter((one.index, one.action) for one in self.rejections() if one.code != "unreadable")
        assert refused == kept, "what was rejected is not what is among the rejections"
        return settled

    def _waiting(self) -> dict[int, tuple[str, ...]]:
        """index → actions that are done with, for what is in the hold."""
        batches = self.backend.audiences.peek(self.connector.name, self.file.audience.id, limit=_EVERYTHING)
        found = [(mutation.index, mutation.done) for batch in batches for mutation in batch.message.mutations]
        assert len(dict(found)) == len(found), "a mutation waits twice"
        return dict(found)

    def _waits(self) -> dict[str, Any]:
        hold = self.hold()
        assert hold is not None, "something waits, and there is no hold"
        due_in = None if hold.due_at is None else hold.due_at - self.clock.now()
        return {"outcome": "waiting", "reason": hold.reason, "code": "", "hint": hold.detail, "due_in": due_in}


def _mutation(file: CaseFile, index: int, given: dict[str, Any]) -> Mutation:
    fields = given.pop("fields", {})
    [(direction, who)] = given.items()
    user = {name: hashes_filled_in(value) for name, value in who.items()} if isinstance(who, dict) else file.user_number(who)
    return Mutation(index, cast(Direction, direction), user, fields)


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` on top: mappings are merged, null takes away, everything else replaces."""
    merged = dict(below)
    for name, value in above.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(name), Mapping):
            merged[name] = _laid_over(merged[name], value)
        else:
            merged[name] = value
    return merged
