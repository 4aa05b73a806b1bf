"""A connector with settings that a feed sets itself, read and checked as those of a document are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from adapters.contract import Description, Field, FieldType
from adapters.registry import ADAPTERS
from relay.connectors.document import Describe, read_adapter
from relay.domain.connector import Connector
from relay.domain.errors import DocumentError
from relay.domain.malformed import suggestion
from relay.reading.section import Problems, Section, path_text


def overridden(connector: Connector, given: Mapping[str, Any], *, describe: Describe) -> Connector:
    """The connector with these settings in place of its own. Sources know little but texts, so a text is read as what the setting
    asks for; an empty one, or none, leaves the connector's own.

    Raises `DocumentError` with the names of settings as paths (parts of one behind a dot): for one that the document does not
    offer (`inbound.feed_settings`), that the adapter does not understand, or with which an action cannot be done any more.
    """
    given = {name: value for name, value in given.items() if value not in (None, "", [], {})}
    offered = connector.inbound.feed_settings
    refused = [(name, _not_offered(name, offered)) for name in given if name not in offered]
    if refused:
        raise DocumentError(refused)
    if not given:
        return connector
    general = describe(connector.adapter)
    fields = {field.name: field for field in general.settings} if general else {}
    settings = {**connector.settings, **{name: _typed(fields.get(name), value) for name, value in given.items()}}
    problems = Problems()
    section = Section({"settings": settings}, (), problems, known=None)
    description, read = read_adapter(section, connector.adapter, describe, tuple(ADAPTERS))
    found = [(path_text(path[1:]), sentence) for path, sentence in problems.all()]
    if not found and description is not None:
        found = [(next(iter(given)), sentence) for sentence in _unfit(connector, description)]
    if found:
        raise DocumentError(found)
    return msgspec.structs.replace(connector, settings=read)


def _not_offered(name: str, offered: tuple[str, ...]) -> str:
    if not offered:
        return "A feed sets nothing of this connector."
    return f"A feed does not set this; it may set {', '.join(offered)}.{suggestion(name, offered)}"


def _unfit(connector: Connector, description: Description) -> list[str]:
    """What the actions need and is not there with these settings."""
    found = []
    for action in connector.actions:
        operation = description.operation(action.operation)
        if operation is None:
            found.append(f"With this the adapter has no operation '{action.operation}', which the action '{action.name}' does.")
            continue
        unknown = [name for name in action.mapping if operation.field(name) is None]
        if unknown:
            found.append(f"With this the adapter has no field '{unknown[0]}', which the action '{action.name}' maps.")
    return found


def _typed(field: Field | None, value: Any) -> Any:
    """What a text says, where it says something of the kind; else as it is, so that its reader names the trouble."""
    if field is None or not isinstance(value, str):
        return value
    return _READ.get(field.type, _same)(value)


def _same(text: str) -> Any:
    return text


def _number(text: str) -> Any:
    if re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?[0-9]{1,18}\.[0-9]{1,18}", text) else text


def _flag(text: str) -> Any:
    return {"true": True, "false": False}.get(text.strip().lower(), text)


def _lines(text: str) -> Any:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _structure(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


_READ: Mapping[FieldType, Callable[[str], Any]] = {
    "number": _number,
    "boolean": _flag,
    "list": _lines,
    "object": _structure,
}
