"""Advice and numbers as pages say them."""

from __future__ import annotations

import pytest

from relay import __version__
from relay.connectors.publishing import Publishing
from relay.console.wording import commands, moment, number, words
from tests.unit.console.conftest import DOCUMENT, Browser


@pytest.mark.parametrize(
    ("advice", "shown"),
    [
        ("diy worker", "<code>diy worker</code>"),
        ("look, then: diy a b; or diy c", "look, then: <code>diy a b</code>; or <code>diy c</code>"),
        ("diy c 'x; y', diy d", "<code>diy c &#39;x; y&#39;</code>, <code>diy d</code>"),
        ("<b>diyx</b>", "&lt;b&gt;diyx&lt;/b&gt;"),
        ("", ""),
    ],
)
def test_commands_are_set_apart_from_words(advice: str, shown: str) -> None:
    assert commands(advice) == shown


def test_numbers_moments_and_names_are_said_as_people_read_them() -> None:
    assert number(1234567) == "1,234,567"
    assert moment(1_800_000_000.0) == "2027-01-15 08:00:00 UTC"
    assert moment(0) == "–"
    assert words("come_back_later") == "come back later"


@pytest.mark.parametrize("path", ["/", "/edit/start?name=shop", "/edit/promote?name=shop", "/edit/action?name=shop"])
def test_a_whole_document_stands_in_the_foot_of_a_page_instead_of_the_programs_version(
    browser: Browser, publishing: Publishing, path: str
) -> None:
    publishing.apply(DOCUMENT)
    foot = browser.text(path).partition("<footer")[2]
    assert f"DIY Relay {__version__} ·" in foot
    assert "DocumentVersion" not in foot
