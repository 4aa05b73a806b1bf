"""How much fits in: large bodies, and what is told to come again."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest

from handlers.mediarithmics import batching, receiver, updating
from tests.unit.mapp.edge import eventually
from tests.unit.mediarithmics.platform import IDS, POINT, Platform, replying

LIMIT = 12 * 1024 * 1024


def _body_of(size: int) -> bytes:
    body = json.dumps({**IDS, "user_identifiers": [POINT], "padding": ""}).encode()
    return body[:-2] + b"x" * (size - len(body)) + body[-2:]


def test_a_body_of_12_mb_is_taken_and_a_larger_one_is_not(platform: Platform) -> None:
    assert platform.post("user_segment_update", _body_of(LIMIT)).status_code == 200
    assert [each.user for message in platform.queued() for each in message.mutations] == [{"id": POINT["user_point_id"]}]
    refused = platform.post("user_segment_update", _body_of(LIMIT + 1))
    assert (refused.status_code, refused.json()["status"]) == (413, "error")
    assert "smaller parts" in refused.json()["message"]


def test_an_update_of_ten_thousand_identifiers_is_queued_in_parts_and_in_order(platform: Platform) -> None:
    points = [{"type": "USER_POINT", "user_point_id": f"p{number}"} for number in range(10_000)]
    response = platform.update(*points)
    assert response.status_code == 200
    assert len(response.json()["stats"]) == 10_000
    messages = platform.queued()
    assert [message.part for message in messages] == list(range(10))
    assert [each.user["id"] for message in messages for each in message.mutations] == [each["user_point_id"] for each in points]


def test_while_all_places_are_taken_the_platform_comes_again_except_for_what_must_be_answered(platform: Platform) -> None:
    platform.serve(in_flight=2)
    platform.pipes.delay_s["require_ready"] = 1.0
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(platform.post, "external_segment_connection", IDS) for _ in range(2)]
        eventually(lambda: len(platform.pipes.called("require_ready")) == 2)
        refused = platform.update(POINT)
        assert (refused.status_code, refused.json()["status"]) == (429, "RETRY")
        assert refused.json()["message"]
        assert platform.call("GET", "/v1/status").status_code == 200
        assert platform.call("GET", "/v1/log_level").status_code == 200
        assert platform.call("PUT", "/v1/log_level", {"level": "info"}).status_code == 200
        assert platform.post("init").status_code == 200
        assert [each.result().status_code for each in waiting] == [200, 200]
    assert platform.update(POINT).status_code == 200


def test_bodies_that_are_held_count_until_they_are_done_with(platform: Platform) -> None:
    platform.serve(max_held=25_500_000)
    platform.pipes.delay_s["require_ready"] = 1.0
    body = json.dumps({**IDS, "padding": "x" * 2_000_000}).encode()
    waiting = threading.Thread(target=platform.post, args=("external_segment_connection", body))
    waiting.start()
    eventually(lambda: bool(platform.pipes.called("require_ready")))
    refused = platform.post("user_segment_update", _body_of(2_000_000))
    assert (refused.status_code, refused.json()["status"]) == (429, "RETRY")
    waiting.join()
    assert platform.post("user_segment_update", _body_of(2_000_000)).status_code == 200


def test_what_is_made_of_a_body_counts_as_a_dozen_times_its_size(platform: Platform) -> None:
    platform.serve(max_held=12_000_000)
    assert platform.post("user_segment_update", _body_of(999_999)).status_code == 200
    refused = platform.post("user_segment_update", _body_of(1_000_001))
    assert (refused.status_code, refused.json()["status"]) == (429, "RETRY")
    assert platform.call("GET", "/v1/status").status_code == 200


def test_a_large_batch_is_read_beside_the_event_loop(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else everybody would wait meanwhile: the platform, too, when it asks whether the plugin is well."""
    seen = set()

    def noting(module: ModuleType, name: str) -> None:
        work = getattr(module, name)

        def noted(*given: Any, **named: Any) -> Any:
            seen.add((name, threading.current_thread().name.rpartition("_")[0]))
            return work(*given, **named)

        monkeypatch.setattr(module, name, noted)

    noting(receiver, "read_object")
    noting(batching, "_line")
    noting(updating, "change_messages")
    platform.gateway.set_properties(delivery="batch")
    platform.work(replying("delivered"))
    lines = [
        {"user": {"id": f"u{number}"}, "direction": "joined", "ts": number, "rows": {"add": {"external_id": f"u{number}"}}}
        for number in range(3_000)
    ]
    response = platform.post("batch_update", {"batch_content": lines, "context": IDS})
    assert response.json()["sent_items_in_success"] == 3_000
    assert seen == {(name, "feed-reading") for name in ("read_object", "_line", "change_messages")}


def test_who_waits_for_one_connector_takes_no_places_from_the_others(platform: Platform) -> None:
    platform.serve(waiting=2, reply_s=1.5)
    platform.gateway.set_properties(delivery="direct")  # and nobody delivers
    platform.update(POINT, feed_id="1000")
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(platform.update, POINT) for _ in range(2)]
        time.sleep(0.5)
        began = time.monotonic()
        refused = platform.update(POINT)
        assert (refused.status_code, refused.json()["status"]) == (429, "retry")
        assert "Too many updates wait" in refused.json()["message"]
        assert time.monotonic() - began < 0.8
        assert [each.result().status_code for each in waiting] == [429, 429]
    assert len(platform.queued()) == 3  # the one before, and the two that waited


def test_a_partner_that_does_not_answer_keeps_nobody_else_waiting(platform: Platform) -> None:
    platform.pipes.delay_s["require_ready"] = 1.5
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(platform.post, "external_segment_connection", IDS) for _ in range(20)]
        eventually(lambda: bool(platform.pipes.called("require_ready")))
        began = time.monotonic()
        assert platform.update(POINT).status_code == 200
        assert time.monotonic() - began < 1.0
        for each in waiting:
            each.result()
