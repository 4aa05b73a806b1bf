"""No identifier of a person and no secret stands in a line of the log, in the text of an error, or in an address."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.mediarithmics.conftest import Lines
from tests.unit.mediarithmics.gateway import CREDENTIALS, FEED, TOKEN
from tests.unit.mediarithmics.pipes import error_named
from tests.unit.mediarithmics.platform import IDS, Platform, replying

EMAIL = "someone.private@example.com"
POINT = "point-of-a-person"
PRIVATE = (EMAIL, POINT, TOKEN, "refresh-token-of-the-partner", "code-of-a-login", "profile-of-a-person", "kept-refresh-token")
PEOPLE = [{"type": "USER_EMAIL", "email": EMAIL}, {"type": "USER_POINT", "user_point_id": POINT}]


def _everything(platform: Platform) -> list[Any]:
    update = {**IDS, "user_identifiers": PEOPLE, "user_profiles": [{"$compartment_id": "1", "name": "profile-of-a-person"}]}
    content = [{"user": {"email": EMAIL}, "direction": "joined", "rows": {"add": {"a": EMAIL}}}]
    someone = {"user_id": "9", "plugin_version_id": "66", "feed_destination_id": "55"}
    return [
        platform.post("external_segment_creation", IDS),
        platform.post("external_segment_connection", IDS),
        platform.post("user_segment_update", update),
        platform.post("user_segment_update", {**update, "operation": EMAIL}),
        platform.post("user_segment_update", {**update, "feed_id": EMAIL}),
        platform.post("user_segment_update", {**update, "user_identifiers": [EMAIL]}),
        platform.post("user_segment_update", json.dumps(update)[:-9]),
        platform.post("batch_update", {"context": IDS, "batch_content": content}),
        platform.post("troubleshoot", {**IDS, "action": EMAIL}),
        platform.post("authentication_status_queries", {**IDS, **someone}),
        platform.post("authentication", {**someone, "params": {"code": "code-of-a-login"}}),
        platform.post("authentication", {**someone, "params": {"code": "code-of-a-login", "state": "code-of-a-login"}}),
        platform.post("test_authentication", someone),
    ]


@pytest.mark.parametrize("delivery", ["queued", "direct", "batch"])
@pytest.mark.parametrize("connectable", [True, False])
@pytest.mark.parametrize(
    "raises",
    [{}, {"rows": ValueError(EMAIL), "connect": ValueError("code-of-a-login")}, {"create": error_named("TryAgain", "No.")}],
)
def test_nothing_private_is_told_or_logged(
    platform: Platform, lines: Lines, delivery: str, connectable: bool, raises: dict[str, Exception]
) -> None:
    platform.serve(reply_s=1.0)
    platform.pipes.offer(connectable=connectable)
    platform.pipes.raises = raises
    platform.gateway.set_properties(delivery=delivery)
    kept = {"data": {"scheme": "OAUTH2", "credentials": {"refresh_token": "kept-refresh-token"}}}
    platform.gateway.answers[f"GET {CREDENTIALS}"] = kept
    platform.gateway.answers[f"POST {CREDENTIALS}"] = {"status": "ok"}
    platform.work(replying("delivered"))
    assert platform.call("PUT", "/v1/log_level", {"level": "debug"}).status_code == 200
    responses = _everything(platform)

    written = lines()
    assert len([line for line in written if line["event"] == "feed_request"]) == len(responses) + 1
    for private in PRIVATE:
        assert private not in json.dumps(written)
        assert all(private not in path for _, path in platform.gateway.asked)
        # What the platform sent itself it gets back in data and stats; nowhere else.
        told = [{name: value for name, value in each.json().items() if name not in ("data", "stats")} for each in responses]
        assert private not in json.dumps(told)


def test_an_error_id_leads_to_the_line_that_says_what_it_was(platform: Platform, lines: Lines) -> None:
    platform.gateway.answers[FEED] = (403, {"error": EMAIL})
    message = platform.post("external_segment_creation", IDS).json()["message"]
    (line,) = [line for line in lines() if line["event"] == "feed_request"]
    assert line["error_id"] in message
    assert line["request_id"].startswith(line["error_id"])
    assert (line["severity"], line["error"], line["feed"]) == ("ERROR", "gateway_refused", "1000")
    assert "PLUGIN_WORKER_ID" in line["hint"]
    assert EMAIL not in json.dumps(line)


def test_what_was_not_foreseen_is_logged_with_its_place_and_without_its_text(platform: Platform, lines: Lines) -> None:
    platform.pipes.raises["rows"] = ValueError(EMAIL)
    response = platform.post("user_segment_update", {**IDS, "user_identifiers": PEOPLE})
    (line,) = [line for line in lines() if line["event"] == "feed_request"]
    assert (line["error"], line["exception"], line["severity"]) == ("unexpected", "ValueError", "ERROR")
    assert line["error_id"] in response.json()["message"]
