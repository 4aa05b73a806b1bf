"""A connector that may call the own network does not let its feeds say where."""

from __future__ import annotations

import pytest

from adapters.registry import describe
from relay.connectors.document import expand
from relay.domain.errors import DocumentError

META = """
name: partner
adapter: meta
inbound: {source: mediarithmics, feed_settings: [OFFERED]}
settings: {allow_private_network: PRIVATE}
actions:
  - {name: Add, trigger: joined, operation: add, mapping: {email: user.email}}
"""
HTTP = """
name: partner
adapter: http
inbound: {source: mediarithmics, feed_settings: [OFFERED]}
settings:
  base_url: https://api.acme.example
  allow_private_network: PRIVATE
  operations:
    add: {effect: add, fields: {id: {required: true}}, request: {method: POST, path: /a, body: "{{ rows }}"}}
actions:
  - {name: Add, trigger: joined, operation: add, mapping: {id: user.id}}
"""
PANGOLIN = """
name: partner
adapter: pangolin
inbound: {source: mediarithmics, feed_settings: [OFFERED]}
settings: {base_url: "http://127.0.0.1:8082"}
actions:
  - {name: Add, trigger: joined, operation: add, mapping: {id: user.id}}
"""


def written(document: str, offered: str, private: str) -> str:
    return document.replace("OFFERED", offered).replace("PRIVATE", private)


def problems(text: str) -> dict[str, str]:
    with pytest.raises(DocumentError) as refused:
        expand(text, describe=describe)
    return dict(refused.value.problems)


@pytest.mark.parametrize(
    ("document", "offered", "place"),
    [
        (META, "account_id, base_url", "inbound.feed_settings[1]"),
        (HTTP, "base_url, parameters", "inbound.feed_settings[0]"),
        (HTTP, "parameters, auth", "inbound.feed_settings[1]"),
    ],
)
def test_with_the_own_network_open_no_address_is_offered_to_feeds(document: str, offered: str, place: str) -> None:
    found = problems(written(document, offered, "true"))
    assert list(found) == [place]
    assert "your own network" in found[place]


def test_an_environment_that_opens_the_own_network_is_named() -> None:
    sandbox = "environments: {sandbox: {settings: {allow_private_network: true}}}\n"
    found = problems(written(HTTP, "parameters, base_url", "false") + sandbox)
    assert list(found) == ["environments.sandbox.inbound.feed_settings[1]"]
    closing = sandbox.replace("true", "false")
    assert list(problems(written(HTTP, "base_url", "true") + closing)) == ["inbound.feed_settings[0]"]


@pytest.mark.parametrize(
    ("document", "offered", "private"),
    [
        (HTTP, "base_url, auth, parameters", "false"),
        (HTTP, "parameters, partner, follow_redirects", "true"),
        (META, "account_id", "true"),
        (PANGOLIN, "base_url", ""),
    ],
)
def test_what_leads_to_public_addresses_only_or_is_no_address_is_offered(document: str, offered: str, private: str) -> None:
    (connector,) = expand(written(document, offered, private), describe=describe)
    assert connector.inbound.feed_settings == tuple(offered.split(", "))
