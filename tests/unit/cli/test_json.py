"""What scripts rely on: one JSON document on standard output, nothing else, stable keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.cli.conftest import Diy

SNAKE = re.compile(r"[a-z][a-z0-9_]*")

READING = {
    "connectors list": {"name", "document", "adapter", "version", "standing", "enabled", "paused", "default", "actions_off"},
    "connectors show pangolin": {
        "document", "version", "runs", "applied_at", "by", "note", "published_at", "text", "connectors",
    },
    "connectors versions pangolin": {"document", "version", "runs", "applied_at", "by", "note", "published_at"},
    "connectors diff pangolin": {"document", "from", "to", "diff"},
    "connectors default": {"default"},
    "connectors adapters pangolin": {
        "name", "title", "summary", "settings", "secrets", "operations", "required_triggers", "limits", "our_page",
        "partner_page", "credential_headers", "credential_query", "unsupported", "app", "email_rule", "one_audience",
        "connect", "linked", "api_version", "words",
    },
    "connectors activation pangolin": {"place", "fields"},
    "connectors preview pangolin": {"requests", "not_sent", "gathering"},
    "secrets list": {"name", "set", "changed_at", "has_previous", "used_by"},
    "audiences list": {
        "connector", "id", "name", "partner_id", "status", "error", "customer", "paused", "answers_to", "feed", "hold", "replay",
        "created_at", "updated_at",
    },
    "holds list": {
        "connector", "audience", "name", "reason", "detail", "needs_someone", "what_to_do", "since", "due_at", "oldest_at",
        "probes", "batches", "mutations", "bytes",
    },
    "queue": {"messages", "leased", "oldest_s"},
    "audit": {"at", "by", "what", "subject", "detail"},
    "status": {"someone_must_act", "queue", "concerns", "connectors"},
    "rejections list": set(),
    "users find user-1": {"sha256", "users", "traces", "journals", "unseen"},
}  # fmt: skip


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


@pytest.mark.parametrize("command", READING)
def test_a_reading_verb_gives_one_json_document_and_nothing_else(diy: Diy, command: str) -> None:
    diy.apply()
    diy.hold("a.1")
    result = diy(*command.split(), "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    document = json.loads(result.stdout)
    first = document[0] if isinstance(document, list) and document else document
    assert set(first) == READING[command]
    free = {"Add", "Accept", "Authorization", "Content-Type", "connectors"} | {"actions_off", "settings", "headers"}
    assert all(SNAKE.fullmatch(key) for key in keys(document) if key not in free and "-" not in key)


def test_moments_are_utc(diy: Diy) -> None:
    diy.apply()
    (version,) = diy.json("connectors", "versions", "pangolin")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", version["applied_at"])
