"""Every `diy …` that the scripts run or that a page shows: the parser of `diy` takes it."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from adapters.registry import describe
from relay.backends.embedded.secrets import EmbeddedSecrets
from relay.connectors.completeness import missing
from relay.connectors.document import expand
from relay.connectors.publishing import generate_secret
from tests.clock import TurnedClock
from tests.deploy.diy_words import parse
from tests.deploy.scripts import EVERYWHERE, PAGES, ROOT, answered, commands, shown, shown_on

POLICIES = sorted((ROOT / "deploy" / "monitoring" / "policies").glob("*.json"))


@pytest.mark.parametrize("title", ["smoke", "smoke with a connector"])
def test_diy_takes_what_the_smoke_test_calls_it_with(monkeypatch: pytest.MonkeyPatch, title: str) -> None:
    monkeypatch.chdir(ROOT)
    found = commands(shown(title), "diy")

    assert found
    for words in found:
        parse(answered(words))


@pytest.mark.parametrize("page", [*PAGES, *EVERYWHERE, *POLICIES], ids=lambda page: f"{page.parent.name}/{page.name}")
def test_diy_takes_what_a_page_tells_the_reader_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, page: Path) -> None:
    for document in ("acme.yaml", "my-connector.yaml", "pangolin.yaml"):
        (tmp_path / document).touch()
    monkeypatch.chdir(tmp_path)
    text = page.read_text()

    for words in shown_on(json.loads(text)["documentation"]["content"] if page.suffix == ".json" else text, "diy"):
        parse(words)


def test_the_pages_tell_the_reader_to_type_something() -> None:
    assert all(shown_on(page.read_text(), "diy") for page in (*PAGES, *EVERYWHERE))


@pytest.mark.parametrize("line", ["--quiet holds list", "holds lost", "holds discard acme", "connectors apply no-such.yaml", ""])
def test_diy_does_not_take_just_anything(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(line.split())


def test_the_smoke_tests_connector_is_complete_once_the_secrets_that_it_sets_are_set(tmp_path: Path) -> None:
    [connector] = expand((ROOT / "deploy" / "smoke.yaml").read_text(), describe=describe)
    description = describe(connector.adapter, connector.settings)
    assert description is not None
    secrets = EmbeddedSecrets(tmp_path, TurnedClock())
    assert missing(connector, description, secrets)

    for words in commands(shown("smoke"), "diy"):
        if words[:2] == ["secrets", "set"]:
            secrets.set(words[2], generate_secret())

    assert missing(connector, description, secrets) == []
