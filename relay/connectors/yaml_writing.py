"""From plain values to the YAML text of a document, as a person would write it; `yaml_text` reads these values from it."""

from __future__ import annotations

from typing import Any

import yaml

from relay.connectors.yaml_text import IMPLICIT

WIDTH = 120
_FLOW_WIDTH = 100


class _Dumper(yaml.SafeDumper):
    """Puts in quotes whatever YAML 1.1 or 1.2 would read as something else than text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - everything is written out
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - as people write lists
        super().increase_indent(flow, False)


class _Document(dict[str, Any]):
    """The outermost mapping, never on one line."""


_Dumper.yaml_implicit_resolvers = {
    first: [*IMPLICIT.get(first, []), *yaml.SafeDumper.yaml_implicit_resolvers.get(first, [])]
    for first in {*IMPLICIT, *yaml.SafeDumper.yaml_implicit_resolvers}
}


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_quotes(text) or ("|" if "\n" in text else None))


def _represent_text_on_one_line(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_quotes(text))


def _quotes(text: str) -> str | None:
    """YAML 1.1 takes these for ends of lines; between double quotes they are escaped."""
    return '"' if any(one in text for one in "\x85\u2028\u2029") else None


def _represent_mapping(dumper: yaml.SafeDumper, mapping: dict[str, Any]) -> yaml.MappingNode:
    node = dumper.represent_mapping("tag:yaml.org,2002:map", mapping.items())
    node.flow_style = not isinstance(mapping, _Document) and _fits_a_line(mapping)
    return node


def _represent_list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.SequenceNode:
    node = dumper.represent_sequence("tag:yaml.org,2002:seq", values)
    node.flow_style = not values or (not any(isinstance(one, dict | list) for one in values) and _length(values) <= _FLOW_WIDTH)
    return node


class _OneLineDumper(_Dumper):
    """Writes everything in braces and brackets."""


_OneLineDumper.add_representer(str, _represent_text_on_one_line)
_OneLineDumper.add_representer(dict, yaml.SafeDumper.represent_dict)
_OneLineDumper.add_representer(list, yaml.SafeDumper.represent_list)

_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(dict, _represent_mapping)
_Dumper.add_representer(_Document, _represent_mapping)
_Dumper.add_representer(list, _represent_list)


def written(values: Any) -> str:
    """The values as YAML; a mapping inside that is short and holds nothing but single values is on one line."""
    outer = _Document(values) if isinstance(values, dict) else values
    text: str = yaml.dump(
        outer, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH, default_flow_style=False, indent=2
    )
    return text.removesuffix("...\n")


def written_on_one_line(value: Any) -> str:
    """The value as it can stand behind a key."""
    text: str = yaml.dump(
        value, Dumper=_OneLineDumper, sort_keys=False, allow_unicode=True, width=10**6, default_flow_style=True
    )
    return text.removesuffix("...\n").rstrip("\n")


def _fits_a_line(mapping: dict[str, Any]) -> bool:
    plain = not any(isinstance(one, dict | list) or "\n" in str(one) for one in mapping.values())
    return plain and _length(mapping) <= _FLOW_WIDTH


def _length(value: Any) -> int:
    return len(str(value))
