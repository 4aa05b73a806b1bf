"""A login in a browser, from its address to its access; and what must not pass for one."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from handlers.mediarithmics.login_state import VALID_S
from relay.domain.clock import SystemClock
from tests.unit.mediarithmics.conftest import Lines
from tests.unit.mediarithmics.gateway import CREDENTIALS, TOKEN
from tests.unit.mediarithmics.platform import IDS, POINT, Platform

SOMEONE = {"user_id": "9", "plugin_version_id": "66"}


class _Later(SystemClock):
    def now(self) -> float:
        return super().now() + VALID_S + 1


@pytest.fixture(autouse=True)
def _connectable(platform: Platform) -> None:
    platform.pipes.offer(connectable=True)
    platform.gateway.answers[f"POST {CREDENTIALS}"] = {"status": "ok"}


def _begin(platform: Platform, **fields: Any) -> dict[str, str]:
    url = platform.post("authentication_status_queries", {"datamart_id": "1", **SOMEONE, **fields}).json()["data"]["login_url"]
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def _end(platform: Platform, state: str, **fields: Any) -> Any:
    return platform.post("authentication", {**SOMEONE, **fields, "params": {"code": "c", "state": state}})


def test_a_login_ends_as_it_began(platform: Platform) -> None:
    zebra = [{"technical_name": "connector", "property_type": "STRING", "value": {"value": "zebra"}}]
    platform.pipes.offers["zebra"] = platform.pipes.offers["pangolin"].__class__("zebra", "Zebra", "own", connectable=True)
    query = _begin(platform, properties=zebra)
    response = _end(platform, query["state"])
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    (begun,) = platform.pipes.called("login_address")
    (ended,) = platform.pipes.called("connect")
    assert begun[0] == ended[0] == "zebra"
    assert ended[1] == "user.66.9"
    assert begun[1] == ended[3] == "https://platform.example/back"
    assert begun[3] == ended[4]
    assert len(begun[3]) >= 43  # RFC 7636
    status = platform.post("authentication_status_queries", {**SOMEONE, "properties": zebra})
    assert status.json()["status"] == "authenticated"


def test_a_destinations_login_is_kept_here_and_by_the_platform_and_never_told(platform: Platform, lines: Lines) -> None:
    url = platform.post("oauth_redirect_url", {"feed_destination_id": "55", "plugin_version_id": "66"}).json()["login_url"]
    query = parse_qs(urlsplit(url).query)
    assert query["feed_destination_id"] == ["55"]
    response = _end(platform, query["state"][0], feed_destination_id="55")
    assert response.json() == {"status": "ok"}
    assert platform.gateway.received == [
        (CREDENTIALS, {"scheme": "OAUTH2", "credentials": {"refresh_token": platform.pipes.refresh_token}})
    ]
    assert ("pangolin", "destination.55") in platform.pipes.tokens
    assert platform.pipes.refresh_token not in json.dumps(lines())


@pytest.mark.parametrize(
    "other", [{"user_id": "10"}, {"plugin_version_id": "67"}, {"feed_destination_id": "55"}]
)
def test_a_login_that_somebody_else_began_is_refused(platform: Platform, other: dict[str, str]) -> None:
    response = _end(platform, _begin(platform)["state"], **other)
    assert (response.status_code, response.json()["status"]) == (500, "error")
    assert "somebody else" in response.json()["message"]
    assert platform.pipes.called("connect") == []


def test_a_login_that_took_too_long_is_refused(platform: Platform) -> None:
    state = _begin(platform)["state"]
    platform.clock = _Later()
    platform.serve()
    assert "took too long" in _end(platform, state).json()["message"]
    assert platform.pipes.called("connect") == []


def test_a_state_that_was_changed_is_refused(platform: Platform) -> None:
    payload, _, signature = _begin(platform)["state"].partition(".")
    state = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert (state["connector"], state["key"]) == ("pangolin", "user.66.9")
    other = base64.urlsafe_b64encode(json.dumps({**state, "key": "destination.55"}).encode()).rstrip(b"=").decode()
    for wrong in (f"{other}.{signature}", f"{payload}.", payload, f"{payload}.{signature[:-2]}", ".", "é.ü"):
        assert "not ours" in _end(platform, wrong, feed_destination_id="55").json()["message"]
    assert platform.pipes.called("connect") == []


def test_the_plugins_token_stands_in_no_address(platform: Platform) -> None:
    query = _begin(platform)
    assert TOKEN not in json.dumps(query)


def test_after_a_login_a_feed_uses_it_and_after_a_logout_no_more(platform: Platform) -> None:
    platform.gateway.set_feed(created_by="9")
    for act, login in (
        (lambda: None, ""),
        (lambda: _end(platform, _begin(platform)["state"]), "user.66.9"),
        (lambda: platform.post("logout", {**SOMEONE, "datamart_id": "1"}), ""),
    ):
        act()
        assert platform.update(POINT).status_code == 200
        assert platform.pipes.called("rows")[-1][1].login == login


def test_a_destination_that_nobody_logged_in_to_is_not_served_with_another_access(platform: Platform) -> None:
    platform.post("external_segment_creation", {**IDS, "feed_destination_id": "55"})
    (call,) = platform.pipes.called("create")
    assert call[2].login == "destination.55"


def test_a_key_of_a_destination_is_tried_in_place_of_the_connectors(platform: Platform) -> None:
    kept = {"scheme": "LOGIN_PASSWORD", "credentials": {"user": "u", "password": "w", "port": 3}}
    platform.gateway.answers[f"GET {CREDENTIALS}"] = {"data": kept}
    assert platform.post("test_authentication", {"feed_destination_id": "55"}).status_code == 200
    ((_, use, given),) = platform.pipes.called("check_credentials")
    assert (use.login, given) == ("", {"user": "u", "password": "w"})
