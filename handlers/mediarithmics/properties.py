"""What a feed's properties choose: the connector, how it delivers, and settings that the connector lets feeds set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import msgspec

from handlers.mediarithmics.requests import Property
from handlers.mediarithmics.trouble import Trouble
from relay.domain.feed import Offered

Delivery = Literal["queued", "direct", "batch", "file"]

CONNECTOR = "connector"
DELIVERY = "delivery"
DESTINATION_TOKEN = "destination_token"  # noqa: S105 - a property's name

_SHOWABLE = re.compile(r"[A-Za-z0-9_@ .-]{1,64}")


class Chosen(msgspec.Struct, frozen=True):
    """settings: those of the connector that are set, by name."""

    delivery: Delivery = "queued"
    destination_token: str = ""
    settings: dict[str, Any] = {}


def values_of(properties: Iterable[Property], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Name → value of those that are set: a property's value is an object with it, or a list of such objects."""
    found = {name: value for name, value in defaults.items() if not _is_empty(value)}
    for each in properties:
        value = _value_in(each.value)
        if each.technical_name and not _is_empty(value):
            found[each.technical_name] = value
    return found


def connector_in(values: Mapping[str, Any]) -> str:
    """The connector's name; empty: the default one. Raises `Trouble`."""
    return _text(values, CONNECTOR)


def unknown_connector(name: str, known: Iterable[str]) -> Trouble:
    """For a name that no live connector has."""
    return Trouble(
        f"The property {CONNECTOR} names no connector that is in use{_shown(name)}. Please set it to one of: {', '.join(known)}.",
        code="unknown_connector",
    )


def chosen(values: Mapping[str, Any], offered: Offered, *, whole: bool = True) -> Chosen:
    """What the values choose of this connector; properties that it does not offer are somebody else's, and passed over.

    whole: everything that a feed needs must be there. Raises `Trouble`, naming the property.
    """
    delivery = _delivery(_text(values, DELIVERY) or "queued")
    token = _text(values, DESTINATION_TOKEN)
    if whole and delivery == "file" and not token:
        raise Trouble(
            f"The property {DESTINATION_TOKEN} is missing: a feed with {DELIVERY} “file” needs it. Please set it on the feed.",
            code="missing_property",
        )
    settings = {each.name: values[each.name] for each in offered.settings if each.name in values}
    for each in offered.settings:
        if whole and each.required and each.name not in settings:
            sentence = f"The property {each.name} ({each.title}) is missing. Please set it on the feed."
            raise Trouble(sentence, code="missing_property")
        if each.choices and each.name in settings and str(settings[each.name]) not in each.choices:
            raise Trouble(
                f"The property {each.name} ({each.title}) has a value that it cannot have. Please choose one of: "
                f"{', '.join(each.choices)}.",
                code="bad_property",
            )
    return Chosen(delivery, token, settings)


def _delivery(text: str) -> Delivery:
    known: tuple[Delivery, ...] = get_args(Delivery)
    for each in known:
        if each == text:
            return each
    raise Trouble(
        f"The property {DELIVERY} has a value that it cannot have. Please choose one of: {', '.join(known)}.", code="bad_property"
    )


def _value_in(value: Any) -> Any:
    """What the object says, by the first of the names that values have."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return None
    return next((value[name] for name in ("value", "url") if not _is_empty(value.get(name))), None)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name, "")
    if not isinstance(value, str):
        raise Trouble(f"The property {name} must be text.", code="bad_property")
    return value.strip()


def _shown(name: str) -> str:
    """A value that looks like a name is repeated; others are not."""
    return f" (“{name}”)" if _SHOWABLE.fullmatch(name) else ""
