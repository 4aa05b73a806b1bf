"""A document may ask for notices only where they are sent: elsewhere whoever relied on one would wait in vain."""

from __future__ import annotations

import pytest

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Backend
from relay.connectors.publishing import Publishing
from relay.domain.errors import DocumentError

DOCUMENT = """\
name: shop
adapter: pangolin
inbound: {hmac_secret: dmp-hmac}
settings: {base_url: "http://127.0.0.1:9"}
secrets: {token: partner-token}
actions:
  - {name: Create audience, trigger: created, operation: create_audience}
  - {name: Add, trigger: joined, operation: add, mapping: {id: user.id}}
  - {name: Remove, trigger: left, operation: remove, mapping: {id: user.id}}
"""

NOTIFY = "notify: {email: ops@example.com}\n"

@pytest.mark.parametrize(
    ("asks", "where"),
    [(NOTIFY, "notify"), (f"environments: {{sandbox: {{{NOTIFY.strip()}}}}}\n", "environments.sandbox.notify")],
)
def test_a_document_that_asks_for_notices_is_taken_where_they_are_sent_and_else_refused(
    backend: Backend, asks: str, where: str
) -> None:
    publishing = Publishing(backend, describe, "ada")
    if isinstance(backend, EmbeddedBackend):
        assert publishing.apply(DOCUMENT + asks, draft=True).number == 1
        return
    with pytest.raises(DocumentError) as caught:
        publishing.apply(DOCUMENT + asks, draft=True)

    [(found, sentence)] = caught.value.problems
    assert found == where
    assert "Cloud Monitoring" in sentence
    assert backend.connectors.documents() == []
    assert publishing.apply(DOCUMENT, draft=True).number == 1
