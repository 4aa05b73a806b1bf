"""A document is read as a whole; every error in it is listed with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.connectors.document import expand
from relay.domain.connector import Action, BatchLimits, Connector, Constant, Inbound, RateLimits, Retention, Timeouts
from relay.domain.errors import DocumentError
from tests.unit.connectors.example import DOCUMENT, describe, expanded

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parents[2] / "cases" / "documents.yaml").read_text())


def lay_over(base: Any, change: Any) -> Any:
    """The change laid over the base: mappings by key, lists by index (as a mapping of indexes), anything else replaced."""
    if isinstance(base, list) and isinstance(change, dict):
        return [lay_over(one, change[index]) if index in change else one for index, one in enumerate(base)] + [
            change[index] for index in sorted(change) if index >= len(base)
        ]
    if isinstance(base, dict) and isinstance(change, dict):
        return {**base, **{key: lay_over(base.get(key), value) for key, value in change.items()}}
    return change


def changed(change: dict[str, Any]) -> str:
    return yaml.safe_dump(lay_over(yaml.safe_load(DOCUMENT), change))


def problems(text: str) -> dict[str, str]:
    with pytest.raises(DocumentError) as caught:
        expand(text, describe=describe, adapters=("acme",))
    found = caught.value.problems
    assert len(found) == len(dict(found)), "one sentence for each place"
    return dict(found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["title"]))
def test_a_wrong_document_names_every_wrong_place(case: dict[str, Any]) -> None:
    found = problems(changed(case["change"]))
    assert sorted(found) == sorted(case["problems"])
    for place, part in case["problems"].items():
        assert part in found[place]


def test_all_errors_of_a_document_come_at_once_in_its_order() -> None:
    text = """\
limits: 5
actions:
  - {operation: add, trigger: join, name: Add, mapping: {id: user.id}}
  - {name: Remove, mapping: {id: 'user.['}, operation: remove}
adaptor: 1
environments: {sandbox: {timeouts: {answer: 5}, settings: {base_uri: x}}, b: 7}
inbound: {basic_auth: 'A B', hmac_secret: x}
name: Acme
"""
    assert list(problems(text)) == [
        "limits",
        "actions[0].trigger",
        "actions[1].mapping.id",
        "actions[1].trigger",
        "adaptor",
        "environments.sandbox.timeouts.answer",
        "environments.b",
        "inbound.basic_auth",
        "name",
        "adapter",
    ]


def test_the_errors_read_as_lines_of_place_and_sentence() -> None:
    with pytest.raises(DocumentError) as caught:
        expand(changed({"adaptor": "x", "name": 5}), describe=describe)
    assert str(caught.value).splitlines() == [
        "adaptor: There is no key 'adaptor' here. Did you mean 'adapter'?",
        "name: A name has 1 to 63 small letters, digits and hyphens, and begins with a letter.",
    ]


def test_no_error_repeats_a_value() -> None:
    change = {"settings": {"base_url": "https://u:hunter2@x.example", "dry": "hunter2", "share": "hunter2", "region": "hunter2"},
              "secrets": {"token": "Hunter2"}, "inbound": {"basic_auth": "mapp:hunter2", "max_body": "hunter2"}}  # fmt: skip
    found = problems(changed(change))
    assert len(found) == 7
    assert "hunter2" not in " ".join(found.values()).lower()


def test_a_document_with_little_in_it_gets_every_default() -> None:
    (connector,) = expanded()
    assert connector.limits.batch == BatchLimits(max_items=100, max_bytes=1024 * 1024, max_age_s=0)
    assert connector.limits.rate == RateLimits(calls=None, items=None, per_s=1, concurrency=8)
    assert connector.timeouts == Timeouts(connect_s=5, answer_s=5, batch_answer_s=10)
    assert connector.retention == Retention(rejections_s=2_592_000, holds_s=2_592_000, warning_s=604_800)
    assert connector.inbound == Inbound("acme-hmac", "acme-basic", "own", "create", None, 10 * 1024 * 1024)
    assert connector.settings == {"base_url": "https://api.acme.example/v1", "region": "eu", "dry": False}
    assert connector.secrets == {"token": "acme-token"}
    assert connector.actions[1] == Action("Add", "joined", "add", {"id": "user.id"}, consent=("display_ads",))
    assert (connector.name, connector.document, connector.environment) == ("acme-eu", "acme-eu", "")
    assert connector.document_version == 0


def test_everything_that_can_be_written_is_read() -> None:
    (connector,) = expanded(
        changed(
            {
                "version": 1,
                "title": "Acme in Europe",
                "notes": "Ask Ada\nfirst.",
                "inbound": {
                    "audience_id": "partner",
                    "unknown_audience": "reject",
                    "customers": [12, "acme"],
                    "max_body": "1MB",
                    "fields": {
                        "user": "Uid",
                        "audience": ["Seg", "Segment"],
                        "identifiers": {"Mail": "email", "Crm": "account.crm"},
                    },
                },
                "settings": {"account_id": 12345, "region": "us", "share": 0.5, "dry": True, "tags": ["a", 1]},
                "secrets": {"proxy": "acme_proxy"},
                "actions": {
                    1: {
                        "mapping": {"note": {"constant": "hello"}},
                        "audiences": ["vip*", 77],
                        "enabled": False,
                        "limits": {"max_items": 10, "max_age": "30s"},
                    },
                    3: {
                        "name": "Track",
                        "trigger": "left",
                        "operation": "track",
                        "mapping": {"id": "lower(user.email)", "kind": {"constant": "b"}},
                    },
                },
                "limits": {
                    "batch": {"max_items": 50, "max_bytes": "512KB", "max_age": "1m"},
                    "rate": {"calls": 5, "items": 500, "per": "1m", "concurrency": 2},
                },
                "timeouts": {"connect": "1s", "answer": "2s", "batch_answer": "1m"},
                "retention": {"rejections": "90d", "holds": "10d", "warning": "1d"},
            }
        )
    )  # fmt: skip
    assert (connector.title, connector.notes) == ("Acme in Europe", "Ask Ada\nfirst.")
    assert connector.inbound.customers == (12, "acme")
    assert connector.inbound.max_body_bytes == 1024 * 1024
    assert connector.inbound.fields.user == ("Uid",)
    assert connector.inbound.fields.audience == ("Seg", "Segment")
    assert connector.inbound.fields.identifiers == {"Mail": "email", "Crm": "account.crm"}
    assert connector.settings == {
        "base_url": "https://api.acme.example/v1", "account_id": "12345", "region": "us", "share": 0.5, "dry": True,
        "tags": ["a", "1"],
    }  # fmt: skip
    assert connector.secrets == {"token": "acme-token", "proxy": "acme_proxy"}
    add, track = connector.actions[1], connector.actions[3]
    assert add.mapping == {"id": "user.id", "note": Constant("hello")}
    assert add.audiences == ("vip*", "77")
    assert add.limits == BatchLimits(max_items=10, max_bytes=512 * 1024, max_age_s=30)
    assert not add.enabled
    assert track.mapping == {"id": "lower(user.email)", "value": Constant(1), "kind": Constant("b")}
    assert connector.limits.rate == RateLimits(calls=5, items=500, per_s=60, concurrency=2)
    assert connector.timeouts == Timeouts(1, 2, 60)
    assert connector.retention == Retention(90 * 86_400, 10 * 86_400, 86_400)


@pytest.mark.parametrize("given_constant", [5, 2.5])
def test_a_bare_number_in_a_mapping_is_a_constant(given_constant: float) -> None:
    track = {"name": "T", "trigger": "joined", "operation": "track", "mapping": {"id": "user.id", "value": given_constant}}
    assert expanded(changed({"actions": {3: track}}))[0].actions[3].mapping["value"] == Constant(given_constant)


def test_removing_on_joined_and_other_unusual_pairs_are_the_operators_choice() -> None:
    track = {"name": "T", "trigger": "left", "operation": "track", "mapping": {"id": "user.id"}}
    assert len(expanded(changed({"actions": {3: track}}))[0].actions) == 4


def test_a_connector_survives_storage_unchanged() -> None:
    (connector,) = expanded(changed({"actions": {1: {"mapping": {"note": {"constant": "x"}}}}, "settings": {"tags": ["a"]}}))
    assert msgspec.json.decode(msgspec.json.encode(connector), type=Connector) == connector


# environments


def environment(override: dict[str, Any]) -> Connector:
    base, sandbox = expanded(changed({"environments": {"sandbox": override}}))
    assert base == expanded()[0]
    assert (sandbox.name, sandbox.document, sandbox.environment) == ("acme-eu@sandbox", "acme-eu", "sandbox")
    return sandbox


def test_an_environment_without_overrides_is_the_document_under_another_name() -> None:
    assert environment({}) == replace(expanded()[0], name="acme-eu@sandbox", environment="sandbox")


def test_an_environment_changes_only_what_it_names() -> None:
    sandbox = environment(
        {
            "settings": {"account_id": "test"},
            "secrets": {"token": "acme-sandbox-token"},
            "inbound": {"hmac_secret": "acme-sandbox-hmac"},
            "limits": {"rate": {"calls": 1}},
            "timeouts": {"answer": "20s"},
        }
    )
    (base,) = expanded()
    assert sandbox.settings == {**base.settings, "account_id": "test"}
    assert sandbox.secrets == {"token": "acme-sandbox-token"}
    assert sandbox.inbound == replace(base.inbound, hmac_secret="acme-sandbox-hmac")
    assert sandbox.limits == replace(base.limits, rate=RateLimits(calls=1))
    assert sandbox.timeouts == Timeouts(answer_s=20)
    assert sandbox.actions == base.actions


def test_an_environment_changes_actions_by_name_and_can_add_one() -> None:
    sandbox = environment(
        {
            "actions": [
                {"name": "Remove", "enabled": False},
                {"name": "Add", "mapping": {"note": "fields.Note"}},
                {"name": "Track", "trigger": "joined", "operation": "track", "mapping": {"id": "user.id"}},
            ]
        }
    )
    assert [(action.name, action.enabled) for action in sandbox.actions] == [
        ("Create", True), ("Add", True), ("Remove", False), ("Track", True),
    ]  # fmt: skip
    assert sandbox.actions[1].mapping == {"id": "user.id", "note": "fields.Note"}


def test_an_empty_value_in_an_environment_takes_away_what_the_document_says() -> None:
    sandbox = environment({"inbound": {"basic_auth": None}, "limits": None})
    assert sandbox.inbound.basic_auth is None
    assert expanded()[0].inbound.basic_auth == "acme-basic"


def test_environments_stand_in_the_order_of_the_document() -> None:
    text = DOCUMENT + "environments: {sandbox: {}, production: {}}\n"
    assert [one.name for one in expanded(text)] == ["acme-eu", "acme-eu@sandbox", "acme-eu@production"]


words = st.sampled_from(["", "add", "user.id", "5s", "a" * 64, "[", "eu"])
leaf = st.none() | st.booleans() | st.integers() | st.floats() | words
value = st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
    ["id", "name", "trigger", "operation", "mapping", "batch", "rate", "fields", "constant", "limits", "actions", "sandbox"]
), inner, max_size=3), max_leaves=8)  # fmt: skip


@given(st.dictionaries(st.sampled_from([
    "name", "adapter", "inbound", "settings", "secrets", "actions", "limits", "timeouts", "retention", "environments", "title",
]), value, max_size=4))  # fmt: skip
def test_any_document_is_read_or_refused(change: dict[str, Any]) -> None:
    try:
        expand(yaml.safe_dump({**yaml.safe_load(DOCUMENT), **change}), describe=describe)
    except DocumentError as error:
        found = error.problems
    else:
        found = []
    assert all(isinstance(place, str) and sentence.endswith((".", "?")) for place, sentence in found)
