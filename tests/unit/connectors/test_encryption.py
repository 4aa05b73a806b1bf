"""Plain HTTP is refused when the document is applied, and not only at the first call."""

from __future__ import annotations

import pytest

from adapters.registry import describe
from relay.connectors.document import expand
from relay.domain.errors import DocumentError

DOCUMENT = """
name: partner
adapter: {adapter}
inbound: {{hmac_secret: dmp-hmac}}
settings: {{account_id: "1", base_url: "{url}", allow_private_network: {private}}}
actions:
  - {{name: Add, trigger: joined, operation: add, mapping: {{email: user.email}}}}
"""


@pytest.mark.parametrize("adapter", ["rokt", "meta"])
def test_an_address_without_encryption_needs_the_private_network(adapter: str) -> None:
    text = DOCUMENT.format(adapter=adapter, url="http://gateway.example", private="false")
    with pytest.raises(DocumentError) as refused:
        expand(text, describe=describe)
    assert refused.value.problems == [
        ("settings.base_url", "This must begin with https://, unless `allow_private_network` is true.")
    ]


@pytest.mark.parametrize(("url", "private"), [("http://gateway.example", "true"), ("https://gateway.example", "false")])
def test_an_address_with_encryption_or_in_the_private_network_is_taken(url: str, private: str) -> None:
    assert expand(DOCUMENT.format(adapter="meta", url=url, private=private), describe=describe)
