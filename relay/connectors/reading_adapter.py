"""The parts `settings` and `secrets` of a document, as the adapter's description asks for them."""

from __future__ import annotations

from typing import Any

from adapters.contract import Description
from relay.connectors.field_values import of_field
from relay.reading import values
from relay.reading.section import Section


def read_settings(document: Section, description: Description) -> dict[str, Any]:
    """Setting → value, defaults filled in. One that is required and not there is no error: the connector is incomplete."""
    section = document.section("settings", [field.name for field in description.settings], what="setting")
    settings = {}
    for field in description.settings:
        value = section.read(field.name, of_field(field), field.default)
        if value is not None:
            settings[field.name] = value
    return settings


def read_secrets(document: Section, description: Description) -> dict[str, str]:
    """Secret field of the adapter → name of the secret."""
    section = document.section("secrets", [field.name for field in description.secrets], what="secret")
    names = {field.name: section.read(field.name, values.secret_name, "") for field in description.secrets}
    return {field: name for field, name in names.items() if name}
