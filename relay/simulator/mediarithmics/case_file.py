"""What the simulated platform knows, as data: feeds with properties and segments, datamarts, configurations, destinations."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import yaml
from msgspec.structs import replace

from relay.domain.errors import ConfigurationError

CASES = Path(__file__).parent / "cases"

Delivery = Literal["queued", "direct", "batch", "file"]
DELIVERIES: tuple[Delivery, ...] = get_args(Delivery)


class Feed(msgspec.Struct, frozen=True):
    """A feed as the gateway shows it.

    resource    its own: id, plugin_id, version_id, selected_identifying_resources, ...
    segment     the audience segment that it feeds: id, name, datamart_id, ...
    properties  technical name → value, written as the platform does: an object, or a list of objects
    destination the feed destination's ID; empty: none
    """

    resource: dict[str, Any]
    segment: dict[str, Any]
    properties: dict[str, Any] = {}
    destination: str = ""

    @property
    def id(self) -> str:
        """Its ID at the platform."""
        return str(self.resource["id"])

    @property
    def delivery(self) -> str:
        """How it delivers, by its property; queued where that says nothing."""
        value = self.properties.get("delivery")
        first = value[0] if isinstance(value, list) and value else value
        return str(first.get("value", "queued")) if isinstance(first, dict) else "queued"

    @property
    def audience(self) -> str:
        """The ID that the relay gives its audience."""
        return f"mics.{self.segment['datamart_id']}.{self.segment['id']}"

    @property
    def place(self) -> dict[str, str]:
        """What each request about it names."""
        place = {"feed_id": self.id, "datamart_id": str(self.segment["datamart_id"]), "segment_id": str(self.segment["id"])}
        return {**place, "feed_destination_id": self.destination} if self.destination else place

    def with_properties(self, **values: str) -> Feed:
        """The same feed with these texts as properties; an empty one takes the property away."""
        left = {name: value for name, value in self.properties.items() if name not in values}
        return replace(self, properties={**left, **{name: {"value": value} for name, value in values.items() if value}})

    def copy(self, number: int) -> Feed:
        """Another feed like it, of another segment: the number stands behind both IDs. 0: this one."""
        if not number:
            return self
        name = f"{self.segment.get('name', self.segment['id'])} {number + 1}"
        return replace(
            self,
            resource={**self.resource, "id": f"{self.id}{number:03d}"},
            segment={**self.segment, "id": f"{self.segment['id']}{number:03d}", "name": name},
        )


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that one gateway answers from.

    configuration  technical name → the content of that configuration file
    realms         datamart's ID → its realm selections
    destinations   feed destination's ID → {scheme, credentials}
    """

    title: str
    feeds: tuple[Feed, ...] = ()
    configuration: dict[str, Any] = {}
    realms: dict[str, list[dict[str, Any]]] = {}
    destinations: dict[str, dict[str, Any]] = {}


def read(file: Path) -> Case:
    """The case that this YAML document tells. Raises `ConfigurationError`."""
    try:
        case = msgspec.convert(yaml.safe_load(file.read_text(encoding="utf-8")), Case)
    except OSError as error:
        raise ConfigurationError(f"The case file {file} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ConfigurationError(f"{file} is no case file: {error}") from None
    for feed in case.feeds:
        if not feed.resource.get("id") or not feed.segment.get("id") or not feed.segment.get("datamart_id"):
            raise ConfigurationError(f"{file}: each feed needs resource.id, segment.id and segment.datamart_id.")
    return case


def packaged(name: str) -> Case:
    """One of the cases that come with the simulator."""
    return read(CASES / f"{name}.yaml")
