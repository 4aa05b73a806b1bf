"""A connector for feeds alone, made and shown in the console."""

from __future__ import annotations

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from tests.unit.console.conftest import DOCUMENT, Browser
from tests.unit.console.editing import Editor

FEEDS = DOCUMENT.replace("{hmac_secret: shop-hmac}", "{source: mediarithmics, feed_settings: [base_url]}")


def test_a_connector_for_feeds_alone_is_made_without_a_secret_for_a_dmp(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend, name="acme")
    editor.type(
        "configure",
        {
            "name": "acme",
            "settings.base_url": "http://127.0.0.1:8082",
            "secrets.token:name": "acme-token",
            "secrets.token:value": "t",
            "inbound.source": "mediarithmics",
            "inbound.feed_settings": "base_url",
            "inbound.hmac_secret:name": "",
        },
    )
    assert editor.values["inbound"] == {"source": "mediarithmics", "feed_settings": ["base_url"]}
    assert "X-HMAC" not in editor.see("configure")
    for step in ("actions", "mapping"):
        editor.send(step, do="next")
    assert "Nothing is wrong with it." in editor.see("review")
    assert editor.publish().headers["Location"] == "/connectors/acme"
    (connector,) = backend.connectors.version("acme", 1).connectors
    assert (connector.inbound.source, connector.inbound.feed_settings) == ("mediarithmics", ("base_url",))


def test_a_secret_for_a_dmp_that_is_left_over_is_named_and_can_be_taken_out(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend, name="acme")
    editor.type("configure", {"inbound.source": "mediarithmics", "inbound.hmac_secret:name": "acme-hmac"})
    assert "leave this out" in editor.see("review")
    assert "X-HMAC" in editor.see("configure")
    editor.type("configure", {"inbound.source": "mediarithmics", "inbound.hmac_secret:name": ""})
    assert "leave this out" not in editor.see("review")


def test_its_page_says_who_uses_it_and_has_nothing_to_paste_but_its_name(browser: Browser, publishing: Publishing) -> None:
    publishing.apply(FEEDS)
    publishing.set_secret("shop-token", "t")
    page = browser.text("/connectors/shop")
    assert "the properties of the external feed" in page
    assert "Only feeds of mediarithmics use it" in page
    assert "A feed may set: base_url." in page
    assert "A feed that names no connector uses this one." in page
    assert "X-HMAC" not in page
