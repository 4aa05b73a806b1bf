"""Whatever the platform sends, the answer is one of the contract's, and nothing happens that nobody foresaw."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.mediarithmics.routes import _ROUTES
from tests.unit.mediarithmics.conftest import Lines
from tests.unit.mediarithmics.gateway import CREDENTIALS, FEED, REALMS, TECHNICAL
from tests.unit.mediarithmics.platform import IDS, Platform, replying

ROUTES = {path: methods["POST"] for path, methods in _ROUTES.items() if "POST" in methods and path != "/v1/init"}

_NAMES = st.sampled_from(
    [
        "feed_id", "datamart_id", "segment_id", "feed_destination_id", "user_identifiers", "user_profiles", "ts", "operation",
        "batch_content", "context", "action", "user_id", "plugin_version_id", "properties", "params", "type", "user_point_id",
        "email", "hash", "mappings", "user_agent_id", "realm_name", "technical_identifiers", "registry_id", "compartment_id",
        "technical_name", "value", "user", "direction", "rows", "code", "state", "data", "scheme",
        "credentials", "selected_identifying_resources", "name", "add", "id", "$compartment_id",
    ]
)  # fmt: skip
_WORDS = st.sampled_from(
    [
        "1000", "1", "100", "55", "USER_POINT", "USER_EMAIL", "USER_AGENT", "USER_DEVICE_POINT", "MOBILE_ADVERTISING_ID",
        "UPSERT", "DELETE", "FETCH_DESTINATION_AUDIENCE", "connector", "delivery", "direct", "batch", "pangolin", "joined",
        "OAUTH2", ".",
    ]
)  # fmt: skip
_NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.text(max_size=6) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES | st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)
_CONTENT = {"user": {"id": "p"}, "direction": "joined", "ts": 1, "rows": {"add": {"external_id": "p"}}}
_DEVICE = {"type": "MOBILE_ADVERTISING_ID", "user_agent_id": "mob:ios:raw:i", "registry_id": "1"}
_WHOLE: dict[str, Any] = {
    **IDS,
    "user_identifiers": [
        {"type": "USER_POINT", "user_point_id": "p"},
        {"type": "USER_ACCOUNT", "user_account_id": "a", "compartment_id": 7},
        {"type": "USER_EMAIL", "email": "a@example.com", "hash": "0" * 64},
        {"type": "USER_AGENT", "mappings": [{"user_agent_id": "u", "realm_name": "r"}]},
        {"type": "USER_DEVICE_POINT", "technical_identifiers": [_DEVICE]},
    ],
    "user_profiles": [{"$compartment_id": "1", "$user_account_id": "a", "age": 3}],
    "ts": 1,
    "operation": "UPSERT",
    "batch_content": [_CONTENT, _CONTENT],
    "context": dict(IDS),
    "action": "FETCH_DESTINATION_AUDIENCE",
    "user_id": "9",
    "plugin_version_id": "66",
    "feed_destination_id": "55",
    "properties": [{"technical_name": "region", "value": {"value": "eu"}}, {"technical_name": "list", "value": [{"value": "l"}]}],
    "params": {"code": "c", "state": "s"},
}
_SELECTED = [{"type": "USER_ACCOUNT", "compartment_id": 1}, {"type": "USER_DEVICE_TECHNICAL_ID", "registry_type": "MUM_ID"}]
_FEED = {"id": "1", "version_id": "6", "created_by": 9, "selected_identifying_resources": _SELECTED}
_GATEWAY: dict[str, Any] = {
    FEED: {"status": "ok", "data": _FEED},
    f"{FEED}/properties": {"data": _WHOLE["properties"]},
    f"{FEED}/audience_segment": {"data": {"id": "1", "name": "n"}},
    TECHNICAL: {"delivery": "queued"},
    REALMS: {"data": [{"realm_type": "WEB_DOMAIN", "web_domain": {"sld_name": "shop.example"}}]},
    CREDENTIALS: {"data": {"scheme": "OAUTH2", "credentials": {"refresh_token": "r"}}},
}


def _places(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places in it, as the keys and indexes that lead there."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [before, *(place for key, each in inner for place in _places(each, (*before, key)))]


def _with(value: Any, place: tuple[Any, ...], other: Any) -> Any:
    """A copy of it that has another value at this place."""
    if not place:
        return other
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = _with(value[place[0]], place[1:], other)
    return copy


_quietly = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _is_foreseen(lines: list[dict[str, Any]]) -> bool:
    return not any(line.get("error") == "unexpected" for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("delivery", ["queued", "direct", "batch", "file"])
def test_a_request_of_any_shape_has_an_answer_of_the_contract(platform: Platform, lines: Lines, delivery: str) -> None:
    platform.serve(reply_s=0.5)
    platform.pipes.offer(connectable=delivery != "queued")
    platform.gateway.set_properties(delivery=delivery, destination_token="t")
    platform.work(replying("delivered"))

    @_quietly
    @given(st.sampled_from(sorted(ROUTES)), st.sampled_from(_places(_WHOLE)), _VALUES)
    def send(path: str, place: tuple[Any, ...], other: Any) -> None:
        response = platform.call("POST", path, msgspec.json.encode(_with(_WHOLE, place, other)))
        answer = response.json()
        if place and "login_url" not in answer:
            assert ROUTES[path].statuses[answer["status"]] == response.status_code

    send()
    assert _is_foreseen(lines())


@pytest.mark.slow
def test_a_gateway_of_any_shape_is_told_in_a_sentence(platform: Platform, lines: Lines) -> None:
    platform.pipes.offer(realms=("shop.example",), connectable=True)

    @_quietly
    @given(st.sampled_from(_places(_GATEWAY)[1:]), _VALUES)
    def send(place: tuple[Any, ...], other: Any) -> None:
        platform.gateway.answers = _with(_GATEWAY, place, other)
        response = platform.post("external_segment_creation", {**IDS, "feed_destination_id": "55"})
        assert response.status_code in (200, 500)
        assert response.json()["visibility"] in ("PUBLIC", "PRIVATE")
        assert platform.post("test_authentication", {"feed_destination_id": "55"}).status_code in (200, 500)

    send()
    assert _is_foreseen(lines())
