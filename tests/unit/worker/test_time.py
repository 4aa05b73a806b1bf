"""What a turn has no time for: it goes on in the next one, or it is trouble that is told and left alone for a while."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.domain.audience import Audience
from relay.domain.message import VERSION, Message, Mutation
from relay.domain.outcome import Report
from tests.clock import TurnedClock
from tests.unit.adapters.http.partner import Call, Partner, Reply
from worker.turn import Worker

ONE_CALL = {"effect": "add", "fields": {"id": {}}, "request": {"method": "POST", "path": "/m", "body": {"m": "{{ rows }}"}}}
JOB: dict[str, Any] = {
    "effect": "add",
    "fields": {"id": {}},
    "steps": [
        {"name": "begin", "request": {"method": "POST", "path": "/j", "body": {"m": "{{ rows }}"}}},
        {"name": "wait", "request": {"method": "GET", "path": "/j"}, "until": "done", "for": "60s"},
    ],
}
LISTS = {
    "find": {
        "request": {"method": "GET", "path": "/l"},
        "list": "data",
        "match": {"ref": "{{ audience.reference }}"},
        "id": "id",
        "next": {"value": "next", "query": "page"},
        "pages": 100,
    },
    "create": {"request": {"method": "POST", "path": "/l", "body": {"n": "{{ audience.name }}"}}, "id": "id"},
}


class Relay:
    """A worker and its store, with one connector and a user who joined an audience of it."""

    def __init__(self, state: Path, partner: Partner, operation: dict[str, Any], **more: Any) -> None:
        self.clock = TurnedClock()
        self.partner = partner
        self.backend = EmbeddedBackend.open(state, self.clock)
        self.stopping = False
        self.worker = Worker(self.backend, self.clock, random.Random(1), stopping=lambda: self.stopping)
        publishing = Publishing(self.backend, describe, "test", self.clock)
        publishing.set_secret("dmp-hmac", "key")
        settings = {"base_url": partner.url, "allow_private_network": True, "operations": {"add": operation}}
        document = {
            "name": "acme",
            "adapter": "http",
            "inbound": {"hmac_secret": "dmp-hmac"},
            "settings": {**settings, **more.pop("settings", {})},
            "actions": [{"name": "Add", "trigger": "joined", "operation": "add", "mapping": {"id": "user.id"}}],
            **more,
        }
        publishing.apply(json.dumps(document))
        joined = Mutation(0, user={"id": "u1"})
        self.backend.queue.publish([Message(VERSION, "change", "acme", "a.1", "r", self.clock.now(), mutations=(joined,))])

    def work(self) -> int:
        """Everything that is in the queue, and what that publishes: how many turns it took, twenty at most."""
        for turns in range(20):
            leased = self.backend.queue.take()
            if leased is None:
                return turns
            self.worker.handle(leased)
        return 20

    def pages(self, number: int, each_s: float) -> Callable[[Call], Reply]:
        """The partner has so many pages of lists, none of them the one looked for. Returns how it answers."""

        def answer(call: Call) -> Reply:
            if call.method == "POST":
                return Reply(201, {"id": "made"})
            self.clock.advance(each_s)
            following = int(call.query.get("page", "0")) + 1
            return Reply(200, {"data": [], "next": following} if following < number else {"data": []})

        self.answers(answer)
        return answer

    def answers(self, answer: Callable[[Call], Reply]) -> None:
        """So the partner answers from now on."""
        self.partner.answer = answer

    @property
    def audience(self) -> Audience:
        found = self.backend.audiences.get("acme", "a.1")
        assert found is not None
        return found

    @property
    def reports(self) -> list[Report]:
        return self.backend.reports.attempts("acme", limit=50)


@pytest.fixture
def partner() -> Iterator[Partner]:
    with Partner() as running:
        yield running


@pytest.fixture
def make(tmp_path: Path, partner: Partner) -> Iterator[Callable[..., Relay]]:
    made: list[Relay] = []

    def relay(operation: dict[str, Any], **more: Any) -> Relay:
        made.append(Relay(tmp_path / f"state-{len(made)}", partner, operation, **more))
        return made[-1]

    yield relay
    for one in made:
        one.backend.close()


def assert_told_and_left_alone(relay: Relay, reason: str, problem: str) -> None:
    hold = relay.audience.hold
    assert hold is not None
    assert hold.due_at is not None
    assert (hold.reason, hold.probes) == (reason, 1)
    assert hold.due_at - relay.clock.now() > 20
    assert [report.problem for report in relay.reports] == [problem]


def test_an_operation_that_no_turn_has_time_for_is_a_mistake_of_the_connector(make: Callable[..., Relay]) -> None:
    relay = make(JOB, timeouts={"connect": "5s", "answer": "60s", "batch_answer": "60s"})
    assert relay.work() == 1
    assert relay.partner.calls == []
    assert_told_and_left_alone(relay, "misconfigured", "never_in_time")
    [report] = relay.reports
    assert "shorten `timeouts`" in report.hint


def test_a_look_up_may_take_most_of_a_turn(make: Callable[..., Relay]) -> None:
    relay = make(ONE_CALL, settings={"audiences": LISTS})
    relay.pages(18, each_s=5.0)
    assert relay.work() == 1
    assert (relay.audience.status, relay.audience.hold) == ("ready", None)


def test_a_look_up_that_takes_longer_than_a_turn_is_told_and_tried_again_later(make: Callable[..., Relay]) -> None:
    relay = make(ONE_CALL, settings={"audiences": LISTS})
    relay.pages(60, each_s=3.0)
    assert relay.work() == 1
    assert_told_and_left_alone(relay, "partner_unavailable", "out_of_time")
    assert {call.method for call in relay.partner.calls} == {"GET"}


def test_while_one_looks_for_the_audience_no_other_creates_it(make: Callable[..., Relay]) -> None:
    relay = make(ONE_CALL, settings={"audiences": LISTS})
    answer, free = relay.pages(60, each_s=3.0), []

    def answer_and_look(call: Call) -> Reply:
        reply = answer(call)
        free.append(relay.audience.claim_until <= relay.clock.now())
        return reply

    relay.answers(answer_and_look)
    relay.work()
    assert free
    assert not any(free)


def test_a_worker_that_stops_in_the_middle_of_a_look_up_leaves_it_to_the_next_turn(make: Callable[..., Relay]) -> None:
    relay = make(ONE_CALL, settings={"audiences": LISTS})
    answer = relay.pages(3, each_s=1.0)

    def answer_and_stop(call: Call) -> Reply:
        relay.stopping = True
        return answer(call)

    relay.answers(answer_and_stop)
    leased = relay.backend.queue.take()
    assert leased is not None
    relay.worker.handle(leased)
    assert [(one.problem, one.counts) for one in relay.reports] == [("postponed", {"retry": 1})], "the page that was read is kept"
    relay.stopping = False
    relay.answers(answer)
    relay.work()
    assert (relay.audience.status, relay.audience.hold) == ("ready", None)


def test_an_operation_whose_first_call_takes_all_of_the_turn_is_told_and_tried_again_later(make: Callable[..., Relay]) -> None:
    asks_first = {**JOB, "steps": [{"name": "look", "request": {"method": "GET", "path": "/j"}}, *JOB["steps"][:1]]}
    relay = make(asks_first)

    def answer(_: Call) -> Reply:
        relay.clock.advance(112.0)
        return Reply(200, {})

    relay.answers(answer)
    assert relay.work() == 1
    assert len(relay.partner.calls) == 1
    assert_told_and_left_alone(relay, "partner_unavailable", "out_of_time")
