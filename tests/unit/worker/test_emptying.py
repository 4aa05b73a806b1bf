"""Emptying a hold: however small the batches in it are, the partner gets them in the largest calls that it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend, audience_rows
from relay.connectors.publishing import Publishing
from relay.domain import audience as policy
from relay.domain.audience import HoldRequest
from relay.domain.message import Direction, Message, Mutation, encode
from tests.clock import TurnedClock
from tests.partners.serving import Answer, Call, Serving
from worker.tick import tick
from worker.turn import Worker

LARGEST = 1_000

DOCUMENT = """
name: lists
adapter: http
inbound: {{hmac_secret: dmp-hmac}}
settings:
  base_url: {url}
  allow_private_network: true
  audience_id: "{{{{ audience.id }}}}"
  operations:
    add:
      effect: add
      fields: &fields {{id: {{title: ID, required: true}}}}
      max_items: 10000
      request: {{method: POST, path: /members, body: {{users: "{{{{ rows }}}}"}}}}
      delivered: {{status: 200}}
    remove:
      effect: remove
      fields: *fields
      max_items: 10000
      request: {{method: DELETE, path: /members, body: {{users: "{{{{ rows }}}}"}}}}
      delivered: {{status: 200}}
actions:
  - {{name: Add, trigger: joined, operation: add, mapping: {{id: user.id}}}}
  - {{name: Remove, trigger: left, operation: remove, mapping: {{id: user.id}}}}
limits: {{batch: {{max_items: {largest}}}}}
"""


class Lists(Serving):
    """A partner that takes what it gets. `calls`: method and number of users of each."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, int]] = []

    def answer(self, call: Call) -> Answer:
        self.calls.append((call.method, len(call.json["users"])))
        return Answer(200, {})


@pytest.fixture
def partner() -> Iterator[Lists]:
    with Lists() as serving:
        yield serving


class Relay:
    """A store, a connector to the partner, and a worker."""

    def __init__(self, state: Path, partner: Lists) -> None:
        self.clock = TurnedClock()
        self.backend = EmbeddedBackend.open(state, self.clock)
        publishing = Publishing(self.backend, describe, "test")
        publishing.set_secret("dmp-hmac", "an-hmac-secret")
        publishing.apply(DOCUMENT.format(url=partner.url, largest=LARGEST))
        self.worker = Worker(self.backend, self.clock)

    def hold(self, directions: Sequence[Direction]) -> None:
        """One mutation for each of these waits, each in a batch and of a request of its own."""
        audience = self.backend.audiences.begin_turn("lists", "a.1", position=0, message_id="first").audience
        request = HoldRequest("partner_unavailable", self.clock.now())
        with self.backend.database.transaction() as connection:
            for number, direction in enumerate(directions):
                mutations = (Mutation(index=0, direction=direction, user={"id": f"u{number}"}),)
                message = Message(1, "change", "lists", "a.1", f"request-{number}", self.clock.now(), mutations=mutations)
                body = encode(message)
                audience, place = policy.join(audience, message, len(body), request, now=self.clock.now())
                audience_rows.add_batch(connection, place, f"m{number}", message, body, now=self.clock.now())
            audience_rows.save(connection, audience)

    def resume(self) -> None:
        tick(self.backend, self.worker.catalog, self.clock)
        while (leased := self.backend.queue.take()) is not None:
            self.worker.handle(leased)
        assert self.backend.audiences.held() == []


@pytest.fixture
def relay(tmp_path: Path, partner: Lists) -> Iterator[Relay]:
    made = Relay(tmp_path / "state", partner)
    yield made
    made.backend.close()


def test_batches_of_one_user_leave_in_the_partners_largest_calls(relay: Relay, partner: Lists) -> None:
    relay.hold(["joined"] * (3 * LARGEST + 1))
    relay.resume()
    assert partner.calls == [("POST", LARGEST)] * 3 + [("POST", 1)]


def test_additions_and_removals_that_wait_in_turns_each_fill_their_calls(relay: Relay, partner: Lists) -> None:
    relay.hold(["joined", "left"] * (2 * LARGEST))
    relay.resume()
    assert sorted(partner.calls) == [("DELETE", LARGEST)] * 2 + [("POST", LARGEST)] * 2


def test_an_attempt_at_thousands_of_requests_names_the_first_thousand(relay: Relay, partner: Lists) -> None:
    relay.hold(["joined"] * (2 * LARGEST))
    relay.resume()
    (report,) = relay.backend.reports.attempts("lists")
    assert report.counts == {"delivered": 2 * LARGEST}
    assert report.request_ids == tuple(f"request-{number}" for number in range(1_000))
