"""What the simulated platform sends, collects, assembles and sends again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from relay.simulator.mediarithmics import case_file, deliveries, people
from relay.simulator.mediarithmics.gateway import Gateway
from relay.simulator.mediarithmics.platform import DELAY_HEADER, Platform
from relay.simulator.mediarithmics.summary import FeedSummary, as_text
from relay.simulator.mediarithmics.traffic import FeedSimulation
from tests.unit.simulator.feed_function import FeedFunction, feed_function


@pytest.fixture
def function() -> Iterator[FeedFunction]:
    with feed_function() as function:
        yield function


def played(function: FeedFunction, delivery: str = "queued", **wishes: Any) -> tuple[FeedSimulation, FeedSummary]:
    function.delivery = delivery
    case = case_file.packaged("local")
    [feed] = [feed for feed in case.feeds if feed.delivery == delivery]
    with Gateway(case, "worker", "token") as gateway:
        platform = Platform(function.url, timeout_s=5)
        wanted = {"users": 50, "rate": 200.0, "duration_s": 0.2, **wishes}
        simulation = FeedSimulation(platform, gateway, [feed], **wanted)
        summary = simulation.run()
        platform.close()
    return simulation, summary


def test_a_feed_is_created_and_connected_and_each_user_is_an_update_of_its_own(function: FeedFunction) -> None:
    simulation, summary = played(function)
    place = {"feed_id": "1001", "datamart_id": "1", "segment_id": "2001"}
    assert function.received["external_segment_creation"] == [place]
    assert function.received["external_segment_connection"] == [place]
    updates = function.received["user_segment_update"]
    assert len(updates) == 40 == summary.joined + summary.left
    assert summary.left > 0
    for update in updates:
        assert update.items() >= place.items()
        types = [identifier["type"] for identifier in update["user_identifiers"]]
        assert types == ["USER_POINT", "USER_ACCOUNT", "USER_EMAIL", "USER_AGENT", "USER_DEVICE_POINT"]
        assert update["operation"] in ("UPSERT", "DELETE")
        assert update["ts"] == pytest.approx(time.time() * 1000, abs=60_000)
    assert summary.passed
    [(audience, members)] = simulation.ledger.members.items()
    assert audience == "mics.1.2001"
    assert members <= set(people.users(50))


def test_a_retry_is_sent_again_after_the_delay_of_the_header_before_that_of_the_field(function: FeedFunction) -> None:
    retry = {"status": "retry", "next_msg_delay_in_ms": 60_000}
    function.troubles["user_segment_update"] = [(429, retry, {DELAY_HEADER: "150"})]
    begun = time.monotonic()
    _, summary = played(function, duration_s=0.005)
    assert time.monotonic() - begun >= 0.15
    first, second = function.received["user_segment_update"]
    assert first == second
    assert (summary.retries, summary.joined, summary.passed) == (1, 1, True)


@pytest.mark.parametrize(
    ("route", "trouble"),
    [
        ("external_segment_creation", (500, {"status": "retry"}, {DELAY_HEADER: "10"})),
        ("external_segment_connection", (502, {"status": "external_segment_not_ready_yet"}, {DELAY_HEADER: "10"})),
        ("user_segment_update", (429, {"status": "RETRY", "message": "overloaded"}, {DELAY_HEADER: "10"})),
        ("batch_update", (503, {"status": "RETRY"}, {DELAY_HEADER: "10"})),
    ],
)
def test_what_is_not_ready_yet_or_overloaded_is_sent_again(function: FeedFunction, route: str, trouble: Any) -> None:
    function.troubles[route] = [trouble]
    _, summary = played(function, "batch")
    assert summary.retries == 1
    assert summary.passed


def test_after_enough_patience_it_is_a_problem_and_nothing_is_known_of_the_user(function: FeedFunction) -> None:
    function.troubles["user_segment_update"] = [(429, {"status": "retry", "message": "Later."}, {DELAY_HEADER: "50"})] * 50
    simulation, summary = played(function, duration_s=0.005, patience_s=0.3)
    assert not summary.passed
    [problem] = summary.problems
    assert (problem.request_type, problem.status, problem.error) == ("update", 429, "Later.")
    assert simulation.ledger.members == {}
    assert "1 x update answered 429: Later." in as_text(summary)


def test_rows_are_collected_by_their_grouping_key_and_sent_back_as_they_came(function: FeedFunction) -> None:
    _, summary = played(function, "batch", users=5000, rate=1000.0, duration_s=0.25)
    batches = function.received["batch_update"]
    assert summary.passed
    assert sum(len(batch["batch_content"]) for batch in batches) == summary.joined + summary.left == 250
    assert 2 < len(batches) < 100
    for batch in batches:
        assert len(batch["batch_content"]) <= deliveries.LARGEST_BATCH
        assert batch["batch_content"][0].keys() == {"user", "direction"}
        assert batch["context"].items() >= {"feed_id": "1003", "segment_id": "2003", "grouping_key": "mics.1.2003"}.items()


def test_a_batch_with_items_in_error_is_a_problem(function: FeedFunction) -> None:
    answer = {"status": "OK", "sent_items_in_success": 0, "sent_items_in_error": 1}
    function.troubles["batch_update"] = [(200, answer, {})]
    simulation, summary = played(function, "batch", duration_s=0.005)
    [problem] = summary.problems
    assert problem.error == "1 of 1 items were not taken"
    assert simulation.ledger.members == {}


def test_lines_are_assembled_to_a_file_byte_for_byte(function: FeedFunction) -> None:
    simulation, summary = played(function, "file")
    [(key, content)] = simulation.files.contents.items()
    assert key == "mics.1.2004/Add"
    lines = content.decode().splitlines()
    assert len(lines) == summary.lines == 40
    assert lines[0].endswith('",é')
    assert simulation.files.tokens[key] == {"local-destination"}
    assert summary.passed


def test_a_file_whose_lines_run_into_each_other_is_a_problem() -> None:
    files = deliveries.Files()
    files.add("a/Add", "1", "token")
    files.add("a/Add", "2\n", "token")
    files.add("b/Add", '"1\n2"\n', "token")
    assert files.torn == ["a/Add"]


def test_a_rejected_user_is_no_member_and_no_problem(function: FeedFunction) -> None:
    stat = {"identifier": people.users(1)[0], "sync_result": "REJECTED", "tags": [{"key": "code", "value": "bad"}]}
    function.troubles["user_segment_update"] = [(200, {"status": "ok", "stats": [stat]}, {})]
    simulation, summary = played(function, "direct", users=1, rate=2.0, duration_s=1)
    assert (summary.rejected, summary.joined, summary.problems) == (1, 1, ())
    assert simulation.ledger.members == {"mics.1.2002": set(people.users(1))}


def test_an_error_is_shown_and_the_run_has_failed(function: FeedFunction) -> None:
    function.troubles["user_segment_update"] = [(500, {"status": "error", "message": "Something broke."}, {})]
    _, summary = played(function)
    assert not summary.passed
    assert "1 x update answered 500: Something broke." in as_text(summary)


def test_a_feed_that_cannot_be_created_gets_no_traffic(function: FeedFunction) -> None:
    function.troubles["external_segment_creation"] = [(500, {"status": "error", "message": "No such connector."}, {})]
    _, summary = played(function)
    assert not function.received["user_segment_update"]
    assert "1 x creation answered 500: No such connector." in as_text(summary)


@pytest.mark.parametrize(
    ("route", "answer", "problem"),
    [
        ("troubleshoot", (500, {"status": "error", "message": "Out of order."}), "troubleshoot answered 500: Out of order."),
        ("troubleshoot", (400, {"status": "not_implemented"}), "it says 'not_implemented' where 'ok' is right"),
        ("troubleshoot", (500, {"status": "ok"}), "troubleshoot answered 500"),
        ("troubleshoot", (200, {}), "it says 'answered 200' where 'ok' is right"),
        (
            "authentication_status_queries",
            (200, {"status": "not_authenticated", "data": {"login_url": "https://partner.example"}}),
            "it says 'not_authenticated' where 'authenticated' is right",
        ),
        ("authentication_status_queries", (500, {"status": "error"}), "where 'authenticated' is right"),
        ("dynamic_property_values_queries", (200, {"status": "empty", "data": []}), "it says 'empty' where 'ok' is right"),
        ("dynamic_property_values_queries", (429, {"status": "RETRY", "message": "Busy."}), "answered 429: Busy."),
    ],
)
def test_a_question_that_is_not_answered_rightly_fails_the_run_and_no_user_is_lost_by_it(
    function: FeedFunction, route: str, answer: tuple[int, dict[str, Any]], problem: str
) -> None:
    function.troubles[route] = [(*answer, {})]
    simulation, summary = played(function)
    assert not summary.passed
    assert len(summary.problems) == 1
    assert problem in as_text(summary)
    assert summary.joined + summary.left == 40
    assert simulation.ledger.members


def test_what_is_asked_is_asked_about_the_feed(function: FeedFunction) -> None:
    _, summary = played(function, "batch")
    assert summary.asked == {"troubleshoot": "ok", "authentication status": "authenticated", "dynamic property values": "ok"}
    for route in ("authentication_status_queries", "dynamic_property_values_queries"):
        [asked] = function.received[route]
        assert {"technical_name": "delivery", "value": {"value": "batch"}} in asked["properties"]
    [troubleshoot] = function.received["troubleshoot"]
    assert troubleshoot["feed_id"] == "1003"
