"""What only the google back end can meet: services that are down, pushes that come again, a partner slower than the queue."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from relay.functions.receiving import REREAD_STAND_IN_S
from tests.emulators import Emulators
from tests.end_to_end.google_stack import GoogleStack
from tests.end_to_end.stack import ROOT, eventually, free_port

pytestmark = pytest.mark.once


@pytest.fixture
def own_emulators(emulators: Emulators) -> Iterator[Emulators]:
    """The emulators behind proxies of this test's own, which it may interrupt."""
    with closing(Emulators(emulators.addresses)) as own:
        yield own


@pytest.fixture
def stack(own_emulators: Emulators, tmp_path: Path) -> Iterator[GoogleStack]:
    made = GoogleStack(tmp_path, own_emulators)
    try:
        yield made
    finally:
        made.stop()


def test_a_creation_has_the_id_of_its_request_in_the_log_of_the_function_that_made_it(stack: GoogleStack) -> None:
    stack.start()
    answer = stack.post("CREATE_AUDIENCE", {"Name": "Traced", "Audience": "traced.1"})
    assert answer.status_code == 200
    eventually(lambda: f'"request_id":"{answer.headers["X-Request-Id"]}"' in stack.output("create"))


def test_while_pubsub_is_down_nothing_is_accepted_and_afterwards_it_goes_on_by_itself(
    stack: GoogleStack, own_emulators: Emulators
) -> None:
    stack.start()
    assert stack.change("down.1", ["u1"]).status_code == 200
    own_emulators.proxies.pubsub.down()
    refused = stack.change("down.1", ["u2"], patient=False)
    assert refused.status_code == 503
    assert "send it again" in refused.json()["error"]
    own_emulators.proxies.pubsub.up()
    eventually(lambda: stack.change("down.1", ["u3"]).status_code == 200)
    eventually(lambda: {"u1", "u3"} <= stack.members("down.1"))


def test_while_firestore_is_down_deliveries_wait_and_nothing_is_lost(stack: GoogleStack, own_emulators: Emulators) -> None:
    stack.start()
    assert stack.change("wait.1", ["u1"]).status_code == 200
    eventually(lambda: stack.members("wait.1") == {"u1"})
    own_emulators.proxies.firestore.down()
    assert stack.change("wait.1", ["u2", "u3"]).status_code == 200
    assert stack.change("wait.1", ["u2"], kind="REMOVE_FROM_AUDIENCE").status_code == 200
    eventually(lambda: "store_unavailable" in stack.output("worker"))
    assert stack.members("wait.1") == {"u1"}
    own_emulators.proxies.firestore.up()
    eventually(lambda: stack.members("wait.1") == {"u1", "u3"}, within_s=90)


_IMPATIENT = """
import relay.backends.google.secrets
import worker.catalog
import worker.partners

relay.backends.google.secrets.KEPT_S = relay.backends.google.secrets.DOWN_FOR_S = 0.2
worker.catalog._SECRETS_GOOD_FOR_S = worker.partners._SECRETS_GOOD_FOR_S = 0.2

from main import deliver
"""


class Impatient(GoogleStack):
    """Its worker asks Secret Manager for what it knows five times a second instead of once a minute."""

    @property
    def commands(self) -> dict[str, list[str]]:
        source = self.directory / "impatient.py"
        source.write_text(_IMPATIENT)
        worker = [part.replace(str(ROOT / "main.py"), str(source)) for part in super().commands["worker"]]
        return {**super().commands, "worker": worker}


def test_while_secret_manager_is_down_known_secrets_go_on_working(own_emulators: Emulators, tmp_path: Path) -> None:
    stack = Impatient(tmp_path, own_emulators)
    try:
        stack.start()
        assert stack.change("known.1", ["u1"]).status_code == 200
        eventually(lambda: stack.members("known.1") == {"u1"})
        own_emulators.proxies.secret_manager.down()

        def has_asked_in_vain() -> bool:
            assert stack.change("known.1", ["u2"]).status_code == 200
            return "secrets_unreachable" in stack.output("worker")

        eventually(has_asked_in_vain, every_s=0.5)
        assert stack.change("known.1", ["u3"]).status_code == 200
        eventually(lambda: stack.members("known.1") == {"u1", "u2", "u3"})
        own_emulators.proxies.secret_manager.up()
        eventually(
            lambda: stack.change("known.1", ["u4"]).status_code == 200
            and "secrets_reachable_again" in stack.output("worker"),
            every_s=0.5,
        )
    finally:
        stack.stop()


def test_a_receiver_that_had_no_processor_while_a_secret_was_rotated_accepts_the_first_request_signed_with_it(
    own_emulators: Emulators, tmp_path: Path
) -> None:
    """As on Cloud Run the document is a mounted file, and the processor is taken away between requests. Neither needs Secret
    Manager to answer the receiver."""
    stack = GoogleStack(tmp_path, own_emulators, mounted=True)
    try:
        stack.start("receiver")
        assert stack.change("quiet.1", ["u1"]).status_code == 200
        group = stack.processes["receiver"].pid
        os.killpg(group, signal.SIGSTOP)
        stack.publishing.rotate_secret("dmp-hmac", "another-hmac-secret")
        stack.publishing.retire_secret("dmp-hmac")
        stack.mount()
        own_emulators.proxies.secret_manager.down()
        time.sleep(REREAD_STAND_IN_S)
        os.killpg(group, signal.SIGCONT)
        assert stack.change("quiet.1", ["u2"], secret="another-hmac-secret").status_code == 200
        assert stack.change("quiet.1", ["u3"]).status_code == 401
    finally:
        stack.stop()


def test_a_partner_slower_than_the_acknowledgement_deadline_is_called_by_one_worker_at_a_time(
    own_emulators: Emulators, tmp_path: Path
) -> None:
    """The time-outs of the worker's calls end the turn before Pub/Sub hands the message out again: no second turn begins while
    the first one calls. (What becomes of a turn that is frozen for longer than that is shown in tests/promise.)"""
    stack = GoogleStack(tmp_path, own_emulators, ack_deadline_s=20)
    try:
        stack.start()
        assert stack.change("slow.1", ["u0"]).status_code == 200
        eventually(lambda: stack.members("slow.1") == {"u0"})
        stack.pangolin("PUT", "/api/faults", latency_ms=30_000, calls=2)
        assert stack.change("slow.1", ["u1"]).status_code == 200
        assert stack.change("slow.1", ["u1"], kind="REMOVE_FROM_AUDIENCE").status_code == 200
        eventually(stack.backend.audiences.held, within_s=60)
        stack.pangolin("DELETE", "/api/faults")
        stack.backend.audiences.make_due("pangolin")
        eventually(lambda: stack.drained() and stack.members("slow.1") == {"u0"}, within_s=120)
        spans = sorted((one.at, one.at + one.duration_ms / 1000) for one in stack.backend.reports.attempts("pangolin"))
        assert len(spans) >= 3
        assert all(ended <= began + 0.05 for (_, ended), (began, _) in itertools.pairwise(spans))
    finally:
        stack.stop()


def test_every_push_may_come_twice(own_emulators: Emulators, tmp_path: Path) -> None:
    """Between Pub/Sub and `deliver` stands one who makes every successful call a second time before he answers."""
    port = free_port()
    stack = GoogleStack(tmp_path, own_emulators, pushed_to=port)
    twice: list[tuple[int, int]] = []

    class Repeating(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            statuses = []
            with suppress(requests.RequestException):
                statuses = [requests.post(stack.worker_url, data=body, timeout=60).status_code for _ in range(2)]
            if len(statuses) == 2:
                twice.append((statuses[0], statuses[1]))
            self.send_response(statuses[-1] if statuses else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Repeating)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        stack.start()
        expected: set[str] = set()
        for number in range(12):
            user, leaves = f"u{number % 4}", number % 3 == 2
            kind = "REMOVE_FROM_AUDIENCE" if leaves else "ADD_TO_AUDIENCE"
            assert stack.change("twice.1", [user], kind=kind).status_code == 200
            (expected.discard if leaves else expected.add)(user)
        eventually(lambda: len(twice) >= 12 and stack.members("twice.1") == expected)
        assert set(twice) == {(204, 204)}
    finally:
        stack.stop()
        server.shutdown()
        server.server_close()
