"""The simulated gateway: what it answers, and to whom."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from relay.domain.errors import ConfigurationError
from relay.simulator.mediarithmics import case_file
from relay.simulator.mediarithmics.gateway import Gateway

AUTH = ("worker", "a:token")

CASE = """
title: one
feeds:
  - resource: {id: "9", version_id: "7", selected_identifying_resources: []}
    segment: {id: "20", datamart_id: "1", name: Ä segment}
    properties: {connector: {value: pangolin}, several: [{value: a}, {value: b}]}
configuration: {diy-relay: {delivery: direct}}
realms: {"1": [{id: "5", realm_type: MOBILE}]}
destinations: {"3": {scheme: OAUTH2, credentials: {refresh_token: one}}}
"""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    file = tmp_path / "case.yaml"
    file.write_text(CASE)
    with Gateway(case_file.read(file), *AUTH) as gateway:
        yield gateway


def get(gateway: Gateway, path: str, auth: tuple[str, str] | None = AUTH) -> requests.Response:
    return requests.get(f"{gateway.url}/v1/{path}", auth=auth, timeout=5)


def test_it_answers_from_its_case(gateway: Gateway) -> None:
    feed = get(gateway, "audience_segment_external_feeds/9").json()
    assert feed == {"status": "ok", "data": {"id": "9", "version_id": "7", "selected_identifying_resources": []}}
    properties = get(gateway, "audience_segment_external_feeds/9/properties").json()
    assert properties["count"] == 2
    assert {one["technical_name"]: one["value"] for one in properties["data"]} == {
        "connector": {"value": "pangolin"},
        "several": [{"value": "a"}, {"value": "b"}],
    }
    assert get(gateway, "audience_segment_external_feeds/9/audience_segment").json()["data"]["name"] == "Ä segment"
    assert get(gateway, "configuration/technical_name=diy-relay").json() == {"delivery": "direct"}
    realms = get(gateway, "datamarts/1/user_agent_identifier_realm_selections").json()
    assert realms["data"] == [{"id": "5", "realm_type": "MOBILE"}]
    assert gateway.calls == {"feed": 1, "properties": 1, "segment": 1, "configuration": 1, "realms": 1}


@pytest.mark.parametrize("auth", [None, ("worker", "another"), ("another", "a:token"), ("worker", "")])
def test_without_the_worker_s_credentials_it_tells_nothing(gateway: Gateway, auth: tuple[str, str] | None) -> None:
    answer = get(gateway, "audience_segment_external_feeds/9", auth)
    assert answer.status_code == 401
    assert "data" not in answer.json()
    assert gateway.calls == {"refused": 1}


@pytest.mark.parametrize(
    "path",
    ["audience_segment_external_feeds/8", "audience_segment_external_feeds/8/properties", "configuration/technical_name=other",
     "feed_destinations/4/credentials", "elsewhere"],
)  # fmt: skip
def test_what_is_not_there_is_404(gateway: Gateway, path: str) -> None:
    assert get(gateway, path).status_code == 404


def test_credentials_that_are_posted_are_there_from_then_on(gateway: Gateway) -> None:
    path = f"{gateway.url}/v1/feed_destinations/3/credentials"
    assert requests.get(path, auth=AUTH, timeout=5).json()["data"]["credentials"] == {"refresh_token": "one"}
    new = {"scheme": "OAUTH2", "credentials": {"refresh_token": "two"}}
    assert requests.post(path, json=new, auth=AUTH, timeout=5).status_code == 200
    assert requests.get(path, auth=AUTH, timeout=5).json()["data"] == new == gateway.destinations["3"]
    assert requests.post(path, json={"credentials": {}}, auth=AUTH, timeout=5).status_code == 400


def test_it_can_be_slow_fail_and_go_away(gateway: Gateway) -> None:
    gateway.slow_s, gateway.failing = 0.2, 503
    begun = time.monotonic()
    assert get(gateway, "audience_segment_external_feeds/9").status_code == 503
    assert time.monotonic() - begun >= 0.2
    gateway.slow_s, gateway.failing = 0.0, 0
    with requests.Session() as session:
        kept = f"{gateway.url}/v1/audience_segment_external_feeds/9"
        assert session.get(kept, auth=AUTH, timeout=5).status_code == 200
        gateway.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(kept, auth=AUTH, timeout=5)
    gateway.start()
    assert get(gateway, "audience_segment_external_feeds/9").status_code == 200


def test_a_port_that_is_taken_is_said_in_one_sentence(gateway: Gateway) -> None:
    with pytest.raises(ConfigurationError, match=rf"port {gateway.port} .* GATEWAY_PORT"):
        Gateway(case_file.Case("another"), *AUTH, port=gateway.port).start()


BAD: list[Any] = ["{", "title: one\nunknown: 1", "feeds: []", "title: one\nfeeds: [{resource: {}, segment: {id: '1'}}]"]


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_case_is_refused_with_the_name_of_the_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"bad\.yaml"):
        case_file.read(file)


@pytest.mark.parametrize("file", sorted(case_file.CASES.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_cases_that_come_with_it_can_be_read_and_name_each_feed_once(file: Path) -> None:
    case = case_file.read(file)
    assert case.feeds
    assert len({feed.id for feed in case.feeds}) == len({feed.audience for feed in case.feeds}) == len(case.feeds)


def test_there_is_one_local_feed_for_each_way_of_delivering() -> None:
    assert [feed.delivery for feed in case_file.packaged("local").feeds] == list(case_file.DELIVERIES)
