"""Only identifiers of the selected resources leave, whatever is sent."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.mediarithmics.gateway import Resource
from handlers.mediarithmics.identifiers import Selection, identities, profiles
from handlers.mediarithmics.requests import read
from tests.unit.mediarithmics.platform import Platform

_TYPES = ["MOBILE_ADVERTISING_ID", "NETWORK_DEVICE_ID", "MUM_ID", "IP_V4_ADDRESS_ID"]
_COMPARTMENTS = st.sampled_from([None, "7", 8, "9"])
_REGISTRIES = st.sampled_from(["ios", "android", "3"])

_given_resources = st.lists(
    st.one_of(
        st.fixed_dictionaries({"type": st.just("USER_ACCOUNT"), "compartment_id": st.sampled_from([None, "7", "8"])}),
        st.fixed_dictionaries({"type": st.just("USER_EMAIL")}),
        st.fixed_dictionaries(
            {
                "type": st.just("USER_DEVICE_TECHNICAL_ID"),
                "registry_type": st.sampled_from(_TYPES),
                "registry_id": st.sampled_from([None, "ios", "3"]),
            }
        ),
        st.fixed_dictionaries({"type": st.just("USER_PROFILE"), "compartment_id": st.sampled_from([None, "7"])}),
    ),
    max_size=4,
)


def _account(compartment: Any) -> dict[str, Any]:
    return {"type": "USER_ACCOUNT", "user_account_id": f"account-{compartment}", "compartment_id": compartment}


def _agent(realm: str) -> dict[str, Any]:
    mapped = [{"user_agent_id": "private-agent", "realm_name": realm}]
    return {"type": "USER_AGENT", "vector_id": "private-vector", "mappings": mapped}


_given_identifiers = st.lists(
    st.one_of(
        st.just({"type": "USER_POINT", "user_point_id": "point"}),
        st.builds(_account, _COMPARTMENTS),
        st.just({"type": "USER_EMAIL", "email": "email@example.com", "hash": "e" * 64}),
        st.builds(_agent, st.sampled_from(["shop.example", "other"])),
        st.builds(
            lambda kind, registry: {
                "type": "USER_DEVICE_POINT",
                "technical_identifiers": [
                    {"type": kind, "user_agent_id": f"mob:ios:raw:{kind}-{registry}", "registry_id": registry}
                ],
            },
            st.sampled_from(_TYPES),
            _REGISTRIES,
        ),
    ),
    max_size=12,
)


def _may_leave(name: str, value: str, resources: list[dict[str, Any]]) -> bool:
    """The same rule once more, from the other end: from what has left."""
    if name == "id":
        return True
    if name.startswith("account."):
        compartment = name.removeprefix("account.")
        return any(r["type"] == "USER_ACCOUNT" and r["compartment_id"] in (None, compartment) for r in resources)
    if name.startswith("email"):
        return any(r["type"] == "USER_EMAIL" for r in resources)
    technical = [r for r in resources if r["type"] == "USER_DEVICE_TECHNICAL_ID"]
    if name.startswith("agent."):
        return any(r["registry_type"] == "NETWORK_DEVICE_ID" for r in technical)
    kind, _, registry = value.partition("-")
    return kind == "MOBILE_ADVERTISING_ID" and any(
        r["registry_type"] == kind and r["registry_id"] in (None, registry) for r in technical
    )


@given(_given_identifiers, _given_resources)
@settings(max_examples=400, deadline=None)
def test_no_identifier_of_an_unselected_resource_leaves(sent: list[dict[str, Any]], resources: list[dict[str, Any]]) -> None:
    selection = Selection([read(each, Resource) for each in resources])
    left = identities(sent, selection)
    for identity in left:
        for name, value in identity.user.items():
            assert _may_leave(name, value, resources), (name, value)
    everything = identities(sent, Selection(None))
    assert sum(_all_may(each.user, resources) for each in everything) == len(left)


def _all_may(user: dict[str, str], resources: list[dict[str, Any]]) -> bool:
    return all(_may_leave(name, value, resources) for name, value in user.items())


@given(_given_resources)
@settings(max_examples=200, deadline=None)
def test_no_profile_of_an_unselected_compartment_leaves_nor_any_account_in_one(resources: list[dict[str, Any]]) -> None:
    selection = Selection([read(each, Resource) for each in resources])
    sent = [{"$compartment_id": each, "$user_account_id": f"a{each}", "name": "x"} for each in ("7", "8")]
    for one in profiles(sent, selection):
        compartment = one["$compartment_id"]
        assert any(r["type"] == "USER_PROFILE" and r["compartment_id"] in (None, compartment) for r in resources)
        assert "$user_account_id" not in one


def test_no_unselected_identifier_is_in_a_message_or_in_an_answer(platform: Platform) -> None:
    platform.gateway.set_feed(selected_identifying_resources=[{"type": "USER_EMAIL"}])
    response = platform.update(
        {"type": "USER_POINT", "user_point_id": "point"},
        {"type": "USER_ACCOUNT", "user_account_id": "private-account"},
        _agent("r"),
        {"type": "USER_EMAIL", "email": "a@example.com"},
        user_profiles=[{"$compartment_id": "1", "note": "private-profile"}],
    )
    assert len(response.json()["stats"]) == 2
    messages = platform.queued()
    assert "private" not in response.text + msgspec.json.encode(messages).decode()
    (_, _, shown) = platform.pipes.called("rows")[0]
    assert "private" not in msgspec.json.encode(shown).decode()


def test_profiles_and_the_rest_of_the_request_are_there_for_mappings(platform: Platform) -> None:
    platform.update(
        {"type": "USER_POINT", "user_point_id": "point"},
        user_profiles=[{"$compartment_id": "1", "age": 30}],
        session_id="s", preset_id=4, ts=1_717_494_873_000, unheard="x",
    )  # fmt: skip
    (message,) = platform.queued()
    (mutation,) = message.mutations
    assert mutation.fields == {"profiles": [{"$compartment_id": "1", "age": 30}]}, "a person who is forgotten takes them along"
    assert message.fields == {
        "feed_id": "1000",
        "datamart_id": "1",
        "segment_id": "100",
        "session_id": "s",
        "preset_id": "4",
        "ts": 1_717_494_873_000,
    }


def test_profiles_that_are_too_large_are_refused_with_a_sentence(platform: Platform) -> None:
    response = platform.update({"type": "USER_POINT", "user_point_id": "p"}, user_profiles=[{"note": "x" * 300_000}])
    assert (response.status_code, response.json()["status"]) == (500, "error")
    assert "profiles of the user are larger than 256 KB" in response.json()["message"]
    assert platform.queued() == []
