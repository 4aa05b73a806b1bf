"""The private functions of main.py as Google calls them: what they answer to Pub/Sub and to Cloud Scheduler."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from relay.domain.message import VERSION, Message, Mutation, encode
from tests.emulators import Emulators
from tests.end_to_end.google_stack import GoogleStack
from tests.end_to_end.stack import eventually

pytestmark = pytest.mark.once

CANARY = "canary-person"


class Functions(GoogleStack):
    """Called by the test alone: nothing ticks, and what is published is the test's own to push."""

    ticks = False

    def call(self, name: str, body: Any = None, *, path: str = "", **options: Any) -> requests.Response:
        return requests.post(f"http://127.0.0.1:{self.ports[name]}/{path}", json=body, timeout=90, **options)

    def deliver(self, data: bytes) -> requests.Response:
        message = {"data": base64.b64encode(data).decode(), "messageId": "1", "publishTime": datetime.now(UTC).isoformat()}
        return self.call("worker", {"message": message, "subscription": "projects/p/subscriptions/diy-relay-deliver"})

    def records(self, name: str, event: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.output(name).splitlines() if line.startswith("{")]
        return [record for record in found if record["event"] == event]


@pytest.fixture
def functions(tmp_path: Path, emulators: Emulators) -> Iterator[Functions]:
    made = Functions(tmp_path, emulators)
    yield made
    made.stop()


def change(audience: str, *users: str) -> bytes:
    mutations = tuple(Mutation(index, user={"id": user}) for index, user in enumerate(users))
    return encode(Message(VERSION, "change", "pangolin", audience, "request-1", time.time(), mutations=mutations))


def test_a_message_that_is_settled_is_acknowledged_by_204(functions: Functions) -> None:
    functions.start("pangolin", "worker")

    answer = functions.deliver(change("a.1", "u1"))

    assert (answer.status_code, answer.content) == (204, b"")
    assert functions.members("a.1") == {"u1"}


def test_trouble_at_the_partner_is_acknowledged_too_since_the_batch_is_in_its_hold(functions: Functions) -> None:
    functions.start("pangolin", "worker")
    functions.pangolin("PUT", "/api/faults", status=503)

    assert functions.deliver(change("a.1", "u1")).status_code == 204

    [held] = functions.backend.audiences.held()
    assert held.hold.batches == 1


def test_a_message_that_cannot_be_read_stays_in_the_queue(functions: Functions) -> None:
    functions.start("pangolin", "worker")

    assert functions.deliver(b'{"version": 99}').status_code == 503


@pytest.mark.parametrize("body", [{}, {"message": {}}, {"message": {"data": CANARY, "messageId": "1"}}, [CANARY], CANARY])
def test_what_is_no_push_is_refused_and_logged_without_its_content(functions: Functions, body: Any) -> None:
    functions.start("worker")

    answer = functions.call("worker", body)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("This is no message that Pub/Sub pushed")
    [record] = functions.records("worker", "push_unreadable")
    assert record["severity"] == "ERROR"
    assert CANARY not in functions.output("worker")


@pytest.mark.parametrize("name", ["worker", "tick", "create"])
def test_on_cloud_run_iam_guards_the_function_and_elsewhere_only_programs_on_the_machine_may_call(
    functions: Functions, name: str
) -> None:
    strange = {"Host": "deliver-abc-ew.a.run.app"}
    functions.start(name)
    assert functions.call(name, {}, headers=strange).status_code == 403
    functions.kill(name)

    functions.place["K_SERVICE"] = name
    functions.start(name)
    assert functions.call(name, {}, headers=strange).status_code != 403
    assert requests.get(f"http://127.0.0.1:{functions.ports[name]}/", headers=strange, timeout=10).status_code == 405


def test_tick_waits_for_a_hold_that_becomes_due_within_its_minute(functions: Functions) -> None:
    functions.start("pangolin", "worker", "tick")
    functions.pangolin("PUT", "/api/faults", retry_after=4)
    assert functions.deliver(change("a.1", "u1")).status_code == 204
    functions.pangolin("DELETE", "/api/faults")
    [held] = functions.backend.audiences.held()
    assert held.hold.due_at > time.time()

    assert functions.call("tick").json() == {"resumed": 1}

    assert time.time() >= held.hold.due_at
    [record] = functions.records("tick", "tick")
    assert (record["resumed"], record["held_audiences"], record["held_mutations"]) == (1, 1, 1)


def test_what_fails_while_tidying_is_named_and_the_other_parts_are_done(functions: Functions, emulators: Emulators) -> None:
    functions.start("tick")
    functions.backend.connectors.set_default("pangolin")
    with emulators.proxies.secret_manager.unreachable():
        answer = functions.call("tick", path="tidy")

    assert (answer.status_code, answer.json()["failed"]) == (503, ["refresh_inbound"])
    [record] = functions.records("tick", "tidied")
    assert (record["severity"], record["failed"]) == ("ERROR", ["refresh_inbound"])
    eventually(lambda: functions.call("tick", path="tidy").json() == {"retired": 0})


def test_tick_says_that_the_store_cannot_be_reached(functions: Functions, emulators: Emulators) -> None:
    functions.start("tick")

    with emulators.proxies.firestore.unreachable():
        assert functions.call("tick").status_code == 503

    assert functions.call("tick").json() == {"resumed": 0}
