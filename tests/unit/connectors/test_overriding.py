"""A feed sets what the document offers to feeds, and nothing else; it is read as the document's own settings are."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from relay.connectors.overriding import overridden
from relay.domain.connector import Connector
from relay.domain.errors import DocumentError
from tests.unit.connectors.example import DOCUMENT, describe, expanded

OFFER = "basic_auth: acme-basic, feed_settings: [base_url, account_id, region, share, dry, tags]}"


def connector(offer: str = OFFER) -> Connector:
    return expanded(DOCUMENT.replace("basic_auth: acme-basic}", offer))[0]


def problems(given: dict[str, Any], offer: str = OFFER) -> dict[str, str]:
    with pytest.raises(DocumentError) as caught:
        overridden(connector(offer), given, describe=describe)
    return dict(caught.value.problems)


def test_a_feeds_settings_take_the_place_of_the_connectors() -> None:
    found = overridden(connector(), {"account_id": "7"}, describe=describe)
    assert found.settings == {**connector().settings, "account_id": "7"}
    assert found.inbound == connector().inbound


@pytest.mark.parametrize("nothing", [None, "", [], {}])
def test_what_a_feed_leaves_empty_is_the_connectors(nothing: Any) -> None:
    assert overridden(connector(), {"base_url": nothing}, describe=describe) == connector()
    assert overridden(connector("basic_auth: acme-basic}"), {"share": nothing}, describe=describe).settings["region"] == "eu"


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        ("account_id", "42", "42"),
        ("share", "42", 42),
        ("share", "-0.5", -0.5),
        ("dry", "true", True),
        ("dry", "False", False),
        ("tags", "a\n b \n\n", ["a", "b"]),
        ("tags", ["a"], ["a"]),
        ("region", "us", "us"),
    ],
)
def test_a_text_is_read_as_what_the_setting_asks_for(setting: str, text: Any, value: Any) -> None:
    assert overridden(connector(), {setting: text}, describe=describe).settings[setting] == value


@pytest.mark.parametrize(
    ("given", "place", "part"),
    [
        ({"regoin": "us"}, "regoin", "Did you mean 'region'?"),
        ({"token": "x"}, "token", "A feed does not set this"),
        ({"base_url": "api.acme.example"}, "base_url", "whole URL"),
        ({"share": "much"}, "share", "number"),
        ({"dry": "perhaps"}, "dry", "true or false"),
        ({"region": "uk"}, "region", "one of: eu, us"),
    ],
)
def test_what_cannot_be_is_named_and_not_repeated(given: dict[str, Any], place: str, part: str) -> None:
    found = problems(given)
    assert list(found) == [place]
    assert part in found[place]
    assert str(given[place]) not in found[place]


def test_a_connector_that_offers_nothing_takes_nothing() -> None:
    assert problems({"region": "us"}, "basic_auth: acme-basic}") == {"region": "A feed sets nothing of this connector."}


def test_an_action_that_cannot_be_done_with_it_is_named() -> None:
    def narrow(name: str, settings: Any = None) -> Any:
        found = describe(name)
        assert found is not None
        if settings is None or settings.get("region") != "us":
            return found
        return replace(found, operations=found.operations[:2])

    with pytest.raises(DocumentError) as caught:
        overridden(connector(), {"region": "us"}, describe=narrow)
    assert caught.value.problems == [
        ("region", "With this the adapter has no operation 'remove', which the action 'Remove' does.")
    ]
