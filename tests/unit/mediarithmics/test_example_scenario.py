"""What the platform's public SDK sends in its own example, in that order, against this function."""

from __future__ import annotations

from tests.unit.mediarithmics.platform import IDS, OTHER_POINT, POINT, Platform, replying

USER = {"datamart_id": "1", "user_id": "1000", "plugin_version_id": "123"}


def test_create_connect_update_batch_and_all_the_questions(platform: Platform) -> None:
    platform.gateway.set_feed(selected_identifying_resources=[])
    platform.gateway.set_properties(name="MyAudienceFeedName", delivery="batch")
    platform.work(replying("delivered"))

    created = platform.post("external_segment_creation", IDS)
    assert (created.status_code, created.json()["visibility"]) == (200, "PUBLIC")
    assert platform.post("external_segment_connection", IDS).status_code == 200

    updated = platform.update(POINT | {"creation_ts": 1717494873}, OTHER_POINT | {"creation_ts": 1717494873})
    assert updated.status_code == 200
    assert (len(updated.json()["data"]), len(updated.json()["stats"])) == (2, 2)

    content = [each["content"] for each in updated.json()["data"]]
    sent = platform.post("batch_update", {"context": IDS, "batch_content": content})
    assert sent.status_code == 200
    assert (sent.json()["sent_items_in_success"], sent.json()["sent_items_in_error"]) == (2, 0)

    troubled = platform.post("troubleshoot", {**IDS, "action": "FETCH_DESTINATION_AUDIENCE"})
    assert troubled.json()["status"] == "ok"
    assert platform.post("authentication_status_queries", USER).json()["status"] == "authenticated"
    someone = {"user_id": "1000", "plugin_version_id": "123"}
    assert platform.post("authentication", {**someone, "params": {"creds": "ok"}}).json()["status"] == "ok"
    assert platform.post("logout", USER).json()["status"] == "ok"
    assert platform.post("dynamic_property_values_queries", {"datamart_id": "1", "user_id": "1000"}).json()["status"] == "ok"
