"""What a partner lost comes back while the traffic goes on, by the command and real processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from tests.clock import TurnedClock
from tests.end_to_end.stack import DOCUMENT, ROOT, TOKEN, Stack, eventually

ADD, REMOVE = "ADD_TO_AUDIENCE", "REMOVE_FROM_AUDIENCE"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Its journal is on since yesterday."""
    made = Stack(tmp_path)
    try:
        yesterday = EmbeddedBackend.open(made.state, TurnedClock(time.time() - 86_400))
        document = DOCUMENT.format(port=made.ports["pangolin"], mode="own") + "retention: {journal: 7d}\n"
        Publishing(yesterday, describe, "test").apply(document)
        yesterday.close()
        made.start()
        yield made
    finally:
        made.stop()


class Traffic:
    """Users who join and leave an audience, and who of them should be in it."""

    def __init__(self, stack: Stack, audience: str) -> None:
        self._stack, self._audience = stack, audience
        self.meant: set[str] = set()
        self._number = 0

    def send(self, requests: int) -> None:
        for _ in range(requests):
            self._number += 1
            users = [f"u{(self._number * 7 + one * 3) % 40}" for one in range(5)]
            kind = REMOVE if self._number % 3 == 2 else ADD
            assert self._stack.change(self._audience, users, kind=kind).status_code == 200
            self.meant = self.meant - set(users) if kind == REMOVE else self.meant | set(users)

    def arrived(self) -> bool:
        return self._stack.drained() and self._stack.members(self._audience) == self.meant


def diy(stack: Stack, *arguments: str) -> Any:
    """The command as a process; what it says as JSON."""
    command = [sys.executable, "-m", "relay.cli", *arguments, "--yes", "--wait", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=stack.environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def at_pangolin(stack: Stack, audience: str, method: str, path: str, body: Any = None) -> None:
    record = stack.backend.audiences.get("pangolin", audience)
    assert record is not None
    url = f"http://127.0.0.1:{stack.ports['pangolin']}/api/audiences/{record.partner_id}{path}"
    answer = requests.request(method, url, json=body, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=5)
    assert answer.status_code == 200, answer.text


def test_members_that_were_removed_at_the_partner_come_back_while_traffic_goes_on(stack: Stack) -> None:
    traffic = Traffic(stack, "lost.1")
    traffic.send(20)
    eventually(traffic.arrived)
    lost = sorted(traffic.meant)[::2]
    at_pangolin(stack, "lost.1", "DELETE", "/users", {"users": [{"id": user} for user in lost]})
    stack.publishing.set_enabled("pangolin", False)
    traffic.send(5)
    asking = subprocess.Popen(
        [sys.executable, "-m", "relay.cli", "replay", "--connector", "pangolin", "--since", "1h", "--yes", "--wait", "--json"],
        cwd=ROOT, env=stack.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    eventually(lambda: any(one.message.kind == "replay" for one in stack.backend.audiences.peek("pangolin", "lost.1", limit=100)))
    traffic.send(5)
    stack.publishing.set_enabled("pangolin", True)
    stack.kill("worker")
    stack.start("worker")
    traffic.send(5)
    output, errors = asking.communicate(timeout=60)
    assert asking.returncode == 0, errors
    (done,) = json.loads(output)
    assert done["replay"]["sent"] + done["replay"]["overtaken"] == 125, "25 requests with five users each came before it"
    assert done["replay"]["sent"] <= 40, "each user once"
    eventually(traffic.arrived)


def test_a_list_that_the_partner_deleted_is_made_anew_with_the_right_members(stack: Stack) -> None:
    traffic = Traffic(stack, "gone.1")
    traffic.send(12)
    eventually(traffic.arrived)
    at_pangolin(stack, "gone.1", "DELETE", "")
    traffic.send(3)
    eventually(lambda: any(one.hold and one.hold.reason == "audience_gone" for one in stack.backend.audiences.held()))
    diy(stack, "audiences", "resync", "pangolin", "gone.1", "--anew", "--partial")
    traffic.send(3)
    eventually(traffic.arrived)
