"""Documents to begin with instead of an empty one: those of docs/examples, where they are installed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from relay.connectors.drafts import Unfinished, begun_from
from relay.connectors.yaml_text import load
from relay.console.editing.configuring import proposed_name
from relay.domain.errors import DocumentError

_FOLDER = Path(__file__).parents[3] / "docs" / "examples"


class Example(NamedTuple):
    """One document. `text`: without the comment at its head, which speaks of commands."""

    name: str
    title: str
    adapter: str
    text: str


@cache
def examples() -> tuple[Example, ...]:
    """All of them; none where the documentation is not installed."""
    found = []
    for path in sorted(_FOLDER.glob("*.yaml")):
        try:
            text = path.read_text("utf-8")
            values = load(text)
        except (OSError, UnicodeDecodeError, DocumentError):
            continue
        found.append(Example(path.stem, str(values.get("title") or path.stem), str(values.get("adapter")), _without_head(text)))
    return tuple(found)


def begun_from_example(example: Example, name: str) -> Unfinished:
    """The example under this name, with names of its own for all secrets."""
    unfinished = begun_from(example.text, name=name)
    values: dict[str, Any] = unfinished.values
    inbound, secrets = values.get("inbound"), values.get("secrets")
    if isinstance(inbound, dict):
        if inbound.get("source") != "mediarithmics":
            inbound["hmac_secret"] = proposed_name(name, "hmac")
        if "basic_auth" in inbound:
            inbound["basic_auth"] = proposed_name(name, "basic")
    if isinstance(secrets, dict):
        values["secrets"] = {field: proposed_name(name, field) for field in secrets}
    return unfinished


def _without_head(text: str) -> str:
    lines = text.splitlines(keepends=True)
    first = next((place for place, line in enumerate(lines) if line.strip() and not line.startswith("#")), 0)
    return "".join(lines[first:])
