"""The reference of the document says what the program does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from adapters.contract import Description, Field, Operation
from adapters.registry import describe, names
from relay.connectors.document import expand
from relay.reading.quantities import format_duration

PAGE = (Path(__file__).parents[3] / "docs" / "connectors.md").read_text()
EXAMPLE, *FRAGMENTS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_example_can_be_applied_as_it_stands() -> None:
    assert [connector.name for connector in expand(EXAMPLE, describe=describe)] == ["pangolin", "pangolin@sandbox"]


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda text: str(text).split(":")[0])
def test_each_fragment_fits_into_the_example(fragment: str) -> None:
    document = yaml.safe_load(EXAMPLE)
    part = yaml.safe_load(fragment)
    if "fields" in part:
        document["inbound"].update(part)
    else:
        document.update(part)
    assert expand(yaml.safe_dump(document), describe=describe)


def described_here() -> Iterator[Description]:
    """Adapters whose page this is. One that somebody adds may have a page elsewhere, or none."""
    for name in names():
        description = describe(name)
        if description and description.our_page.startswith("docs/connectors.md#"):
            yield description


def test_the_adapters_that_come_with_the_project_are_described_here() -> None:
    assert {"pangolin", "rokt", "meta", "http"} <= {description.name for description in described_here()}


@pytest.mark.parametrize("description", list(described_here()), ids=lambda description: description.name)
def test_each_adapter_has_its_tables_and_they_say_what_its_description_says(description: Description) -> None:
    section = PAGE.partition(f"### {description.title}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    lines = section.splitlines()
    limits = description.limits
    assert f"`adapter: {description.name}`. {description.summary}" in lines
    needed = ", ".join(f"`{trigger}`" for trigger in description.required_triggers)
    usual = f"`max_items` {limits.max_items}, `max_bytes` {limits.max_bytes}"
    if limits.max_age_s:
        usual += f", `max_age` {format_duration(limits.max_age_s)}"
    assert f"Needs enabled actions on: {needed}. `limits.batch`, unless the document says otherwise: {usual}." in lines
    rows = [line for line in lines if line.startswith("| `")]
    assert rows == [
        *(setting_row("settings", field) for field in description.settings),
        *(setting_row("secrets", field) for field in description.secrets),
        *(operation_row(operation) for operation in description.operations),
    ]
    assert [line for line in lines if line.startswith("- Not offered: ")] == [
        f"- Not offered: {what}: {sentence}" for what, sentence in description.unsupported.items()
    ]
    assert description.our_page == f"docs/connectors.md#{description.title.lower().replace(' ', '-')}"


def setting_row(part: str, field: Field) -> str:
    kind = "name of a secret" if part == "secrets" else ", ".join(f"`{choice}`" for choice in field.choices) or field.type
    default = "required" if field.required else "none" if field.default is None else f"`{field.default}`"
    return row(f"`{part}.{field.name}`", field.title, kind, default, field.help)


def operation_row(operation: Operation) -> str:
    kind = f"{operation.kind}, {operation.effect}" if operation.effect else operation.kind
    fields = "; ".join(partner_field(field, operation) for field in operation.fields)
    return row(f"`{operation.name}`", operation.title, ", ".join(operation.triggers), kind, f"{operation.max_items}", fields)


def partner_field(field: Field, operation: Operation) -> str:
    shown = f"**`{field.name}`**" if field.name in operation.key_fields else f"`{field.name}`"
    return f"{shown} {field.title}{', required' if field.required else ''}"


def row(*cells: str) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"
