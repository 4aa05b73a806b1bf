"""A connector for feeds alone has no secret of a DMP, and the public receiver does not know it."""

from __future__ import annotations

import pytest

from relay.backends.interfaces import Backend
from relay.connectors.activation import activation_sheet, place_of
from relay.connectors.completeness import missing
from relay.connectors.publishing import Publishing
from relay.connectors.secret_names import secret_names
from tests.unit.connectors.example import ACME, DOCUMENT, describe

FEEDS = DOCUMENT.replace(
    "{hmac_secret: acme-hmac, basic_auth: acme-basic}", "{source: mediarithmics, feed_settings: [region, account_id]}"
)
BOTH = FEEDS.replace("acme-eu", "both").replace("source: mediarithmics", "hmac_secret: acme-hmac")


def test_the_public_receiver_does_not_know_a_connector_for_feeds_alone(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(FEEDS)
    publishing.apply(BOTH)
    document = backend.inbound.read()
    assert document is not None
    assert [one.name for one in document.connectors] == ["both"]
    assert document.default == "", "it is the first one applied, and answers nobody at / either"
    assert [one.name for one in publishing.all_live()] == ["acme-eu", "both"]


def test_what_feeds_may_set_is_nothing_that_the_receiver_must_know(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(BOTH)
    document = backend.inbound.read()
    assert document is not None
    assert document.connectors[0].inbound.feed_settings == ()
    assert publishing.live("both").inbound.feed_settings == ("region", "account_id")


def test_a_connector_that_becomes_one_for_feeds_alone_is_closed_to_the_dmp(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(DOCUMENT)
    publishing.apply(FEEDS)
    document = backend.inbound.read()
    assert document is not None
    assert document.connectors == ()


def test_it_needs_no_secret_but_the_partners(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(FEEDS)
    connector = publishing.live("acme-eu")
    assert secret_names(connector, describe) == {"acme-token"}
    assert len(missing(connector, ACME, backend.secrets)) == 1
    publishing.set_secret("acme-token", "t")
    assert missing(connector, ACME, backend.secrets) == []


@pytest.mark.parametrize("show", [True, False])
def test_its_sheet_has_nothing_to_sign_with(publishing: Publishing, backend: Backend, show: bool) -> None:
    publishing.apply(FEEDS)
    connector = publishing.live("acme-eu")
    sheet = activation_sheet(connector, "https://relay.example.com", backend.secrets, show_secrets=show)
    assert [(line.field, line.value) for line in sheet] == [("connector", "acme-eu")]
    assert "feed" in place_of(connector)
