"""The private functions of main.py, served by functions-framework on the embedded back end."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.end_to_end.stack import DOCUMENT, ROOT, Stack, eventually, free_port

Serve = Callable[[str], str]

pytestmark = pytest.mark.parametrize("stack", ["embedded"], indirect=True)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def serve(stack: Stack) -> Serve:
    """Starts a function and returns its address."""
    stack.start("pangolin", "receiver")

    def start(function: str) -> str:
        port = free_port()
        stack.ports[function] = port
        with (stack.directory / f"{function}.log").open("ab") as output:
            stack.processes[function] = subprocess.Popen(
                [sys.executable, "-m", "functions_framework", "--source", "main.py", "--host", "127.0.0.1",
                 "--target", function, "--port", str(port)],
                cwd=ROOT, env=stack.environment, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        eventually(lambda: stack.listens(function))
        return f"http://127.0.0.1:{port}/"

    return start


def test_deliver_handles_one_message_a_call(stack: Stack, serve: Serve) -> None:
    deliver = serve("deliver")
    assert requests.post(deliver, timeout=10).json() == {"handled": 0}
    assert stack.change("one.1", ["u1"]).status_code == 200
    assert stack.change("two.1", ["u2"]).status_code == 200
    assert requests.post(deliver, timeout=10).json() == {"handled": 1}
    assert (stack.members("one.1"), stack.members("two.1")) == ({"u1"}, set())
    assert requests.post(deliver, timeout=10).json() == {"handled": 1}
    assert stack.members("two.1") == {"u2"}


def test_tick_resumes_holds_whose_reason_is_gone(stack: Stack, serve: Serve) -> None:
    deliver, tick = serve("deliver"), serve("tick")
    stack.publishing.set_enabled("pangolin", False)
    assert stack.change("held.1", ["u1"]).status_code == 200
    assert requests.post(deliver, timeout=10).json() == {"handled": 1}
    assert requests.post(tick, timeout=10).json() == {"resumed": 0}
    stack.publishing.set_enabled("pangolin", True)
    assert requests.post(tick, timeout=10).json() == {"resumed": 1}
    assert requests.post(deliver, timeout=10).json() == {"handled": 1}
    assert stack.members("held.1") == {"u1"}


def test_tick_at_its_path_for_old_records_writes_an_inbound_document_that_was_left_behind(stack: Stack, serve: Serve) -> None:
    tick = serve("tick")
    (stack.state / "inbound.json").write_bytes(b"{}")
    answer = requests.post(f"{tick}tidy", timeout=10)
    assert (answer.status_code, answer.json()) == (200, {"retired": 0})
    assert stack.backend.inbound.read().connectors[0].name == "pangolin"


def test_what_fails_while_tidying_is_named_in_the_answer(stack: Stack, serve: Serve) -> None:
    tick = serve("tick")
    (stack.state / "secrets" / "dmp-hmac").write_bytes(b"{")
    answer = requests.post(f"{tick}tidy", timeout=10)
    assert (answer.status_code, answer.json()["failed"]) == (500, ["refresh_inbound"])


def test_a_function_that_is_told_to_end_begins_no_further_call_and_leaves_the_rest_in_the_hold(
    stack: Stack, serve: Serve
) -> None:
    document = DOCUMENT.format(port=stack.ports["pangolin"], mode="own") + "limits: {batch: {max_items: 1}}\n"
    stack.publishing.apply(document)
    deliver = serve("deliver")
    assert stack.change("ended.1", ["u0"]).status_code == 200
    assert requests.post(deliver, timeout=10).json() == {"handled": 1}
    stack.pangolin("PUT", "/api/faults", latency_ms=300)
    users = [f"u{number}" for number in range(1, 60)]
    assert stack.change("ended.1", users).status_code == 200

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(requests.post, deliver, timeout=30)
        eventually(lambda: len(stack.members("ended.1")) > 2, every_s=0.05)
        assert stack.terminate("deliver") == 0
        assert answer.result().json() == {"handled": 1}

    stack.pangolin("DELETE", "/api/faults")
    hold = stack.backend.audiences.get("pangolin", "ended.1").hold
    assert hold.items == 60 - len(stack.members("ended.1")) > 0
    stack.start("worker")
    eventually(lambda: stack.members("ended.1") == {"u0", *users})


def test_create_makes_an_audience_and_says_whose_turn_it_is_when_it_cannot(stack: Stack, serve: Serve) -> None:
    create = serve("create")
    asked = {"connector": "pangolin", "audience": "created.1", "name": "Created"}
    first = requests.post(create, json=asked, timeout=10)
    assert first.status_code == 200
    assert requests.post(create, json=asked, timeout=10).json() == first.json()
    stack.pangolin("PUT", "/api/faults", status=400)
    refused = requests.post(create, json={**asked, "audience": "created.2"}, timeout=10)
    assert (refused.status_code, bool(refused.json()["error"])) == (422, True)
    stack.pangolin("PUT", "/api/faults", status=500)
    assert requests.post(create, json={**asked, "audience": "created.3"}, timeout=10).status_code == 503
    stack.pangolin("PUT", "/api/faults", unauthorized=True)
    refused = requests.post(create, json={**asked, "audience": "created.4"}, timeout=10)
    assert (refused.status_code, refused.json()["code"]) == (502, "credentials_refused")
    unknown = requests.post(create, json={**asked, "connector": "nobody"}, timeout=10)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    stack.publishing.set_enabled("pangolin", False)
    off = requests.post(create, json={**asked, "audience": "created.5"}, timeout=10)
    assert (off.status_code, off.json()["code"]) == (409, "conflict")


def test_create_tells_to_come_again_while_the_store_is_locked_or_a_secret_cannot_be_read(stack: Stack, serve: Serve) -> None:
    create = serve("create")
    asked = {"connector": "pangolin", "audience": "created.1", "name": "Created"}
    with contextlib.closing(sqlite3.connect(stack.state / "relay.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        locked = requests.post(create, json=asked, timeout=20)
        other.execute("ROLLBACK")
    assert (locked.status_code, locked.json()["code"]) == (503, "store_unavailable")
    (stack.state / "secrets" / "partner-token").write_bytes(b"{")
    unreadable = requests.post(create, json=asked, timeout=10)
    assert (unreadable.status_code, unreadable.json()["code"]) == (503, "configuration_error")
    assert str(stack.state) not in unreadable.text


GOOD = {"connector": "pangolin", "audience": "a.1", "name": "A"}


def test_what_is_no_creation_request_is_400_and_the_partner_is_not_asked(stack: Stack, serve: Serve) -> None:
    create = serve("create")
    bodies = [
        b"",
        b"{",
        b'{"connector": "\xff"}',
        b"[" * 100_000,
        *(
            json.dumps({**GOOD, **odd}).encode()
            for odd in (
                {"audience": ""},
                {"audience": " "},
                {"audience": "a\0"},
                {"audience": "a" * 100_000},
                {"audience": "\ud800"},
                {"audience": 7},
                {"name": "A\0"},
                {"name": "A" * 1_001},
                {"customer": 10**300},
                {"more": 1},
            )
        ),
    ]
    for body in bodies:
        answer = requests.post(create, data=body, timeout=10)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), body[:100]
        assert answer.json()["error"].startswith("This is no creation request")
    assert stack.pangolin("GET", "/api/audiences")["audiences"] == []
    assert "Traceback" not in stack.output("create")


@pytest.mark.parametrize("function", ["create", "deliver", "tick"])
def test_a_private_function_is_not_set_off_by_a_page_in_a_browser_on_this_machine(
    stack: Stack, serve: Serve, function: str
) -> None:
    address = serve(function)
    assert stack.change("kept.1", ["u1"]).status_code == 200
    answer = requests.get(address, timeout=10)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert requests.put(address, timeout=10).status_code == 405
    for headers in ({"Host": "page.example.com"}, {"Origin": "http://page.example.com"}):
        assert requests.post(address, json=GOOD, headers=headers, timeout=10).status_code == 403
    assert stack.backend.queue.depth().messages == 1
    assert stack.pangolin("GET", "/api/audiences")["audiences"] == []


def test_the_message_of_a_function_that_is_killed_is_free_for_others_at_once(stack: Stack, serve: Serve) -> None:
    deliver = serve("deliver")
    assert stack.change("killed.1", ["u0"]).status_code == 200
    assert requests.post(deliver, timeout=10).json() == {"handled": 1}
    stack.pangolin("PUT", "/api/faults", hang=True)
    assert stack.change("killed.1", ["u1"]).status_code == 200
    with pytest.raises(requests.RequestException):
        requests.post(deliver, timeout=1)
    eventually(lambda: stack.backend.queue.depth().leased == 1)
    stack.kill("deliver")
    stack.pangolin("DELETE", "/api/faults")
    stack.start("worker")
    eventually(lambda: stack.members("killed.1") == {"u0", "u1"})
