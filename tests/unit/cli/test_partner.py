"""`diy connectors check, options, preview, test`: trying a connector out."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import pytest

from relay.domain.clock import SystemClock
from relay.operating.given_user import SAMPLE_AUDIENCE
from relay.pangolin.server import InThread
from relay.simulator.population import audiences
from tests.unit.cli.conftest import NOBODY_LISTENS, TOKEN, Diy
from worker.process import WorkerProcess


@contextmanager
def running_worker(diy: Diy) -> Iterator[None]:
    with diy.backend() as backend:
        process = WorkerProcess(backend, SystemClock(), threads=2)
        thread = threading.Thread(target=process.run)
        thread.start()
        try:
            yield
        finally:
            process.stop()
            thread.join(30)


def set_faults(pangolin: InThread, **faults: object) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    urlopen(Request(f"{pangolin.url}/api/faults", json.dumps(faults).encode(), headers, method="PUT")).close()


def calls(pangolin: InThread) -> list[dict[str, object]]:
    with urlopen(Request(f"{pangolin.url}/api/calls", headers={"Authorization": f"Bearer {TOKEN}"})) as answer:
        found: list[dict[str, object]] = json.load(answer)
    return found


def test_credentials_are_checked_at_the_partner(connected: Diy) -> None:
    assert "accepts" in connected.fine("connectors", "check", "pangolin")


def test_refused_credentials_fail_with_the_partners_reason(connected: Diy) -> None:
    connected.fine("secrets", "set", "pangolin-token", input="a-wrong-token")
    result = connected("connectors", "check", "pangolin")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert "a-wrong-token" not in result.output


def test_an_incomplete_connector_is_not_checked_and_says_what_is_missing(diy: Diy) -> None:
    diy.fine("connectors", "apply", diy.document())
    result = diy("connectors", "check", "pangolin")
    assert result.exit_code == 1
    assert "diy secrets set pangolin-token" in result.stderr


def test_an_unreachable_partner_is_a_sentence(diy: Diy) -> None:
    diy.apply(base_url=NOBODY_LISTENS)
    result = diy("connectors", "check", "pangolin")
    assert result.exit_code == 1
    assert "Traceback" not in result.output


def test_options_that_the_partner_does_not_offer_are_said_to_be_so(connected: Diy) -> None:
    result = connected("connectors", "options", "pangolin", "nonsense", "--set", "account=42")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: ")


def test_a_chosen_value_has_a_name(connected: Diy) -> None:
    assert connected("connectors", "options", "pangolin", "field", "--set", "42").exit_code == 2


def test_a_preview_shows_the_exact_requests_without_secrets_or_calls(diy: Diy, pangolin: InThread) -> None:
    diy.fine("connectors", "apply", diy.document(base_url=pangolin.url))
    shown = diy.json("connectors", "preview", "pangolin")
    assert [(one["action"], one["method"]) for one in shown["requests"]] == [
        ("Create audience", "POST"),
        ("Add", "POST"),
        ("Remove", "DELETE"),
    ]
    assert shown["requests"][1]["body"] == {"users": [{"id": "sample-user"}]}
    assert calls(pangolin) == []


def test_a_preview_shows_the_headers_and_masks_the_credentials(diy: Diy) -> None:
    diy.apply()
    shown = diy.fine("connectors", "preview", "pangolin")
    assert shown.count("Authorization: ***\n") == 3
    assert shown.count("Content-Type: application/json\n") == 3
    assert TOKEN not in shown
    headers = diy.json("connectors", "preview", "pangolin")["requests"][0]["headers"]
    assert headers["Authorization"] == "***"


def test_the_audience_of_a_preview_is_none_of_the_simulated_dmp(diy: Diy) -> None:
    assert SAMPLE_AUDIENCE not in [audience.id for audience in audiences(100)]


def test_a_preview_of_a_request_reads_it_as_the_receiver_does(diy: Diy) -> None:
    diy.apply()
    file = diy.directory / "request.json"
    mutations = [{"Audience": "a.1", "User": "u1"}, {"Audience": "a.1", "Id": "u2", "Type": "REMOVE"}]
    file.write_text(json.dumps({"Type": "ADD_TO_AUDIENCE", "Mutations": mutations}))
    requests = diy.json("connectors", "preview", "pangolin", "--mutation", str(file))["requests"]
    assert [(one["action"], one["body"]) for one in requests] == [
        ("Add", {"users": [{"id": "u1"}]}),
        ("Remove", {"users": [{"id": "u2"}]}),
    ]


def test_a_preview_says_what_would_not_be_sent_and_why(diy: Diy) -> None:
    diy.apply()
    file = diy.directory / "request.json"
    file.write_text(json.dumps({"Type": "ADD_TO_AUDIENCE", "Mutations": [{"Audience": "a.1", "Email": "a@example.com"}]}))
    shown = diy.json("connectors", "preview", "pangolin", "--mutation", str(file))
    assert shown["requests"] == []
    assert [(one["outcome"], one["code"]) for one in shown["not_sent"]] == [("rejected", "missing_field")]
    assert "change 1 (Add) is not sent: rejected" in diy.fine("connectors", "preview", "pangolin", "--mutation", str(file))


@pytest.mark.parametrize("content", ["{", "[]", "", '{"Type": "VALIDATE"}', '{"Type": "ADD_TO_AUDIENCE"}', '{"Type": "DANCE"}'])
def test_a_file_that_is_no_request_is_refused_with_a_sentence(diy: Diy, content: str) -> None:
    diy.apply()
    file = diy.directory / "request.json"
    file.write_text(content)
    result = diy("connectors", "preview", "pangolin", "--mutation", str(file))
    assert result.exit_code in (1, 2)
    assert result.stderr.splitlines()[-1].startswith("Error: ")


def test_a_draft_can_be_previewed(diy: Diy) -> None:
    diy.apply()
    file = diy.document(base_url="http://127.0.0.1:4444")
    diy.fine("connectors", "apply", file, "--draft")
    requests = diy.json("connectors", "preview", "pangolin", "--version", "2")["requests"]
    assert requests[0]["url"].startswith("http://127.0.0.1:4444/")
    assert diy.json("connectors", "preview", "pangolin")["requests"][0]["url"].startswith(NOBODY_LISTENS)


def test_a_document_that_never_ran_can_be_previewed(diy: Diy) -> None:
    diy.fine("connectors", "apply", diy.document(), "--draft")
    assert len(diy.json("connectors", "preview", "pangolin")["requests"]) == 3


@pytest.mark.parametrize("mode", ["own", "partner"])
def test_a_test_user_joins_and_leaves_through_queue_and_worker(diy: Diy, pangolin: InThread, mode: str) -> None:
    diy.apply(base_url=pangolin.url, mode=mode)
    with running_worker(diy):
        tested = diy.json("connectors", "test", "pangolin", "--user-id", "test-1")
    assert tested["passed"]
    assert [(step["direction"], step["outcome"]) for step in tested["steps"]] == [("joined", "delivered"), ("left", "delivered")]
    assert diy.json("audiences", "describe", "pangolin", tested["audience"])["size"] == 0
    assert [call["method"] for call in calls(pangolin) if str(call["path"]).endswith("/users")] == ["POST", "DELETE"]


def test_a_test_user_can_be_kept(connected: Diy) -> None:
    with running_worker(connected):
        tested = connected.json("connectors", "test", "pangolin", "--user-id", "test-1", "--keep")
    assert connected.json("audiences", "describe", "pangolin", tested["audience"])["size"] == 1


def test_a_connector_that_gathers_is_tested_at_once(diy: Diy, pangolin: InThread) -> None:
    diy.apply(base_url=pangolin.url, more="limits: {batch: {max_age: 1h}}\n")
    with running_worker(diy):
        tested = diy.json("connectors", "test", "pangolin", "--user-id", "test-1")
    assert tested["passed"]


def test_a_refused_test_user_fails_the_test_with_the_reason(connected: Diy, pangolin: InThread) -> None:
    set_faults(pangolin, reject_users=["test-1"])
    with running_worker(connected):
        result = connected("connectors", "test", "pangolin", "--user-id", "test-1")
    assert result.exit_code == 1
    assert "joined: rejected by 'Add': " in result.stdout


def test_a_test_that_must_wait_says_why_and_leaves_no_user_behind(connected: Diy, pangolin: InThread) -> None:
    connected.json("audiences", "create", "pangolin", "diy-relay-test", "--name", "Test")
    connected.fine("holds", "pause", "pangolin", "diy-relay-test")
    with running_worker(connected):
        result = connected("connectors", "test", "pangolin", "--user-id", "test-1")
    assert result.exit_code == 1
    assert "joined: waiting: it is paused by an operator" in result.stdout
    assert [(hold["batches"], hold["mutations"]) for hold in connected.json("holds", "list")] == [(2, 2)]


def test_without_a_worker_a_test_says_that_none_took_it(connected: Diy) -> None:
    result = connected("connectors", "test", "pangolin", "--user-id", "test-1", "--timeout", "1")
    assert result.exit_code == 1
    assert "diy worker" in result.stdout


def test_a_test_without_a_user_takes_one_that_is_meant_for_it(connected: Diy, pangolin: InThread) -> None:
    with running_worker(connected):
        assert connected.json("connectors", "test", "pangolin")["passed"]
        set_faults(pangolin, reject_users=["diy-relay-test-user"])
        assert not connected.json("connectors", "test", "pangolin")["passed"]


@pytest.mark.parametrize("options", [["--identifier", "email"], ["--identifier", "=x"]])
def test_an_identifier_has_a_name_and_a_value(connected: Diy, options: list[str]) -> None:
    assert connected("connectors", "test", "pangolin", *options).exit_code == 2
