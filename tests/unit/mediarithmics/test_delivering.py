"""The four ways in which a feed delivers, through the real queue."""

from __future__ import annotations

import csv
import io
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from handlers.mediarithmics.updating import csv_line
from relay.domain.errors import StoreUnavailable
from relay.domain.message import Message
from relay.domain.reply import Reply
from tests.unit.mediarithmics.conftest import Lines
from tests.unit.mediarithmics.platform import AUDIENCE, IDS, OTHER_POINT, POINT, Platform, replying


def _points(*names: str) -> list[dict[str, str]]:
    return [{"type": "USER_POINT", "user_point_id": name} for name in names]


def _content(user: str, ts: float, direction: str = "joined") -> dict[str, Any]:
    rows = {"add" if direction == "joined" else "remove": {"external_id": user}}
    return {"user": {"id": user}, "direction": direction, "ts": ts, "rows": rows}


def _batch(platform: Platform, *content: object) -> Any:
    return platform.post("batch_update", {"context": IDS, "batch_content": list(content)})


def test_a_queued_update_is_one_that_nobody_waits_for(platform: Platform) -> None:
    platform.pipes.offer(journal_days=3)
    before = time.time()
    platform.update(*_points("p1"), operation="DELETE")
    (message,) = platform.queued()
    assert (message.connector, message.audience, message.kind, message.answer_by) == ("pangolin", AUDIENCE, "change", 0)
    assert (message.mutations[0].direction, message.journal_days) == ("left", 3)
    assert before <= message.received_at <= time.time()


def test_a_direct_update_waits_in_the_audiences_own_order_with_a_limit(platform: Platform) -> None:
    platform.gateway.set_properties(delivery="direct")
    platform.work(replying("delivered"))
    before = time.time()
    assert platform.update(*_points("p1")).status_code == 200
    assert platform.worker is not None
    (message,) = platform.worker.taken
    assert message.audience == AUDIENCE
    assert before + 4 < message.answer_by <= time.time() + platform.bounds.reply_s


def test_why_its_turn_may_not_have_come_is_in_the_log_and_not_in_the_answer(platform: Platform, lines: Lines) -> None:
    platform.serve(reply_s=0.3)
    for delivery in ("direct", "batch"):
        platform.gateway.set_properties(delivery=delivery)
        platform.serve()
        response = platform.update(*_points("p1")) if delivery == "direct" else _batch(platform, _content("p1", 1))
        assert "Not everything was delivered. Its turn has not come in time. Please send" in response.json()["message"]
        (line,) = [each for each in lines() if each["event"] == "feed_request"]
        assert "no worker is running" in line["note"]


def test_direct_updates_at_once_each_get_their_own_reply(platform: Platform) -> None:
    platform.gateway.set_properties(delivery="direct")
    platform.work(replying({f"p{number}": ["rejected", f"code-{number}", ""] for number in range(20)}))
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: platform.update(*_points(f"p{number}")).json(), range(20)))
    for number, answer in enumerate(answers):
        assert answer["stats"] == [
            {"identifier": f"p{number}", "sync_result": "REJECTED", "tags": [{"key": "code", "value": f"code-{number}"}]}
        ]


def test_a_reply_that_leaves_a_mutation_out_is_no_success(platform: Platform) -> None:
    platform.gateway.set_properties(delivery="direct")

    def one_short(message: Message) -> Reply:
        whole = replying("delivered")(message)
        return Reply(whole.version, whole.request_id, whole.part, whole.at, whole.mutations[:1])

    platform.work(one_short)
    assert platform.update(*_points("p1", "p2")).json()["status"] == "retry"


def test_a_direct_update_in_parts_waits_for_all_of_them(platform: Platform) -> None:
    platform.gateway.set_properties(delivery="direct")
    platform.work(replying("delivered"))
    response = platform.update(*_points(*(f"p{number}" for number in range(2_500))))
    assert [each["sync_result"] for each in response.json()["stats"]] == ["SUCCESS"] * 2_500


def test_a_mutation_that_nothing_was_done_for_is_no_success(platform: Platform) -> None:
    platform.gateway.set_properties(delivery="direct")
    platform.work(replying({"p1": "skipped", "p2": "superseded"}))
    stats = platform.update(*_points("p1", "p2")).json()["stats"]
    assert [each["sync_result"] for each in stats] == ["REJECTED", "PROCESSED"]
    assert stats[0]["tags"] == [{"key": "code", "value": "skipped"}]


def test_a_batch_is_sent_in_the_order_of_ts_and_otherwise_as_it_came(platform: Platform) -> None:
    platform.gateway.set_properties(delivery="batch")
    platform.work(replying("delivered"))
    response = _batch(platform, _content("c", 3), _content("a", 1), _content("b", 3, "left"), _content("d", 2))
    assert response.json() == {"status": "OK", "sent_items_in_success": 4, "sent_items_in_error": 0}
    assert platform.worker is not None
    (message,) = platform.worker.taken
    assert [each.user["id"] for each in message.mutations] == ["a", "d", "c", "b"]
    assert [each.direction for each in message.mutations] == ["joined", "joined", "joined", "left"]
    assert message.mutations[0].made["add"] == {"external_id": "a"}
    assert message.answer_by > time.time()


def test_what_updates_gave_back_comes_again_as_a_batch(platform: Platform) -> None:
    platform.gateway.set_properties(delivery="batch")
    platform.work(replying("delivered"))
    data = platform.update(POINT, OTHER_POINT).json()["data"]
    assert {each["grouping_key"] for each in data} == {AUDIENCE}
    response = _batch(platform, *(each["content"] for each in data))
    assert response.json()["sent_items_in_success"] == 2
    assert platform.worker is not None
    assert [each.user for each in platform.worker.taken[0].mutations] == [
        {"id": POINT["user_point_id"]}, {"id": OTHER_POINT["user_point_id"]}
    ]  # fmt: skip


def test_a_batch_of_thousands_is_delivered_in_parts(platform: Platform) -> None:
    platform.gateway.set_properties(delivery="batch")
    platform.work(replying({"p7": ["rejected", "no", ""]}))
    response = _batch(platform, *(_content(f"p{number}", number) for number in range(3_000)))
    assert response.json() == {"status": "OK", "sent_items_in_success": 2_999, "sent_items_in_error": 1}


def test_bad_contents_of_a_batch_count_and_cost_no_neighbour(platform: Platform) -> None:
    platform.gateway.set_properties(delivery="batch")
    platform.work(replying("delivered"))
    bad: list[Any] = [
        None, 7, "text", [], {}, {**_content("x", 1), "user": {}}, {**_content("x", 1), "user": {"id": ""}},
        {**_content("x", 1), "user": {"favourite_colour": "red"}}, {**_content("x", 1), "direction": "up"},
        {**_content("x", 1), "rows": {}}, {**_content("x", 1), "rows": {"other": {}}},
        {**_content("x", 1), "ts": "now"},
    ]  # fmt: skip
    response = _batch(platform, *bad, _content("good", 1))
    assert response.json() == {"status": "OK", "sent_items_in_success": 1, "sent_items_in_error": len(bad)}


def test_a_queue_that_takes_nothing_makes_the_platform_come_again(platform: Platform) -> None:
    class Away:
        async def publish(self, messages: object) -> None:
            raise StoreUnavailable("No room left.")

        async def close(self) -> None: ...

    kept, platform.publisher = platform.publisher, Away()
    platform.serve()
    response = platform.update(POINT)
    assert (response.status_code, response.json()["status"]) == (429, "retry")
    assert response.headers["x-mics-next-msg-delay"] == "5000"
    platform.publisher = kept


def test_a_file_is_put_together_byte_for_byte(platform: Platform) -> None:
    platform.gateway.set_properties(delivery="file", destination_token="tok")
    platform.pipes.accepts = ("id", "email")
    names = ['plain', 'with,comma', 'with "quotes"', "=formula", "ligne\nbrisée", " spaced "]
    data = [each for name in names for each in platform.update(*_points(name)).json()["data"]]
    data += platform.update({"type": "USER_EMAIL", "email": "a@example.com"}, operation="DELETE").json()["data"]
    files: dict[str, str] = {}
    for each in data:
        assert (each["type"], each["destination_token"]) == ("FILE_DELIVERY", "tok")
        files[each["grouping_key"]] = files.get(each["grouping_key"], "") + each["content"]
    assert {name: text.encode() for name, text in files.items()} == {
        "mics.1.100/add": (
            b'plain,id\n"with,comma",id\n"with ""quotes""",id\n=formula,id\n"ligne\nbris\xc3\xa9e",id\n spaced ,id\n'
        ),
        "mics.1.100/remove": b"a@example.com\n",
    }


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00")), min_size=2, max_size=5))
def test_a_line_of_csv_is_read_back_as_it_was(values: list[str]) -> None:
    assert list(csv.reader(io.StringIO(csv_line(values), newline=""))) == [values]


def test_values_that_are_no_text_are_written_as_json() -> None:
    assert csv_line([None, True, 3, 1.5, {"a": [1]}]) == ',true,3,1.5,"{""a"":[1]}"\n'


def test_accepted_updates_share_a_line_a_minute_and_have_one_each_at_debug(platform: Platform, lines: Lines) -> None:
    for _ in range(3):
        platform.update(POINT)
    assert [(line["event"], line["requests"], line["identifiers"]) for line in lines()] == [("feed_received", 1, 1)]
    platform.call("PUT", "/v1/log_level", {"level": "debug"})
    platform.update(POINT)
    (line,) = [line for line in lines() if line["severity"] == "DEBUG"]
    assert (line["event"], line["accepted"], line["connector"], line["delivery"]) == ("feed_request", 1, "pangolin", "queued")
    assert (line["feed"], line["datamart"], line["segment"]) == ("1000", "1", "100")
