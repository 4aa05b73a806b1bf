"""A connector document, from YAML to the connectors it stands for; every error in it at once, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from adapters.contract import Description
from adapters.registry import ADAPTERS
from relay.connectors import values
from relay.connectors.environments import Merged
from relay.connectors.quantities import Malformed
from relay.connectors.reading_actions import read_actions
from relay.connectors.reading_adapter import read_secrets, read_settings
from relay.connectors.reading_inbound import read_inbound
from relay.connectors.reading_limits import read_limits, read_retention, read_timeouts
from relay.connectors.section import Problems, Section
from relay.connectors.yaml_text import load
from relay.domain.connector import Action, BatchLimits, Connector, Limits, Retention

FORMAT = 1
"""The version of the document's own format (`version`), should it ever change."""

MAX_ENVIRONMENTS = 20

Describe = Callable[[str], Description | None]
"""The description of the adapter of that name, if there is one."""

_KEYS = (
    "version", "name", "title", "notes", "adapter", "inbound", "settings", "secrets", "actions", "limits", "timeouts",
    "retention", "environments",
)  # fmt: skip
_NO_ADAPTER = BatchLimits(max_items=1, max_bytes=1)


def expand(text: str, *, describe: Describe, adapters: Collection[str] = tuple(ADAPTERS)) -> tuple[Connector, ...]:
    """The document's own connector, then one for each of its environments, named `name@environment`. `document_version` is 0:
    publishing fills it in. adapters: the names that `describe` knows, to be offered. Raises `DocumentError`."""
    problems = Problems()
    document = load(text)

    def describe_or_say(section: Section, adapter: str) -> Description | None:
        description = describe(adapter) if adapter else None
        if adapter and description is None:
            near = values.suggestion(adapter, adapters)
            section.problem("adapter", f"There is no adapter named '{adapter}'. It can be: {', '.join(adapters)}.{near}")
        return description

    connectors = [_read(document, problems, describe_or_say)]
    environments = Section(document.get("environments"), ("environments",), problems, known=None)
    if len(environments.values) > MAX_ENVIRONMENTS:
        problems.add(environments.path, f"There are more than {MAX_ENVIRONMENTS} environments.")
    for environment, override in list(environments.values.items())[:MAX_ENVIRONMENTS]:
        _check_environment_name(environment, environments)
        merged = Merged(document, override, ("environments", environment), problems)
        found = Problems()
        connectors.append(_read(merged.values, found, describe_or_say, environment))
        # What is wrong without the override is said once, there.
        for path, sentence in found.all():
            if (path, sentence) not in problems:
                problems.add(merged.place(path), sentence)
    problems.raise_any(document)
    return tuple(connectors)


def _check_environment_name(environment: str, environments: Section) -> None:
    try:
        values.name(environment)
    except Malformed as problem:
        environments.problem(environment, str(problem))


def _read(
    document: dict[str, Any], problems: Problems, describe: Callable[[Section, str], Description | None], environment: str = ""
) -> Connector:
    section = Section(document, (), problems, known=_KEYS)
    section.read("version", values.choice(FORMAT), FORMAT)
    name = section.require("name", values.name, "")
    adapter = section.require("adapter", values.text, "")
    description = describe(section, adapter)
    limits = read_limits(section, description.limits if description else _NO_ADAPTER)
    retention = read_retention(section)
    actions = read_actions(section, description, limits.batch)
    if description:
        _check_limits(section, description, limits, actions)
    _check_ages(section, limits.batch, actions, retention)
    return Connector(
        name=f"{name}@{environment}" if environment else name,
        document=name,
        document_version=0,
        adapter=adapter,
        inbound=read_inbound(section),
        actions=actions,
        limits=limits,
        settings=read_settings(section, description) if description else {},
        secrets=read_secrets(section, description) if description else {},
        timeouts=read_timeouts(section),
        retention=retention,
        environment=environment,
        title=section.read("title", values.label, ""),
        notes=section.read("notes", values.text, ""),
    )


def _check_limits(section: Section, description: Description, limits: Limits, actions: tuple[Action, ...]) -> None:
    """Limits that no call could use, or that no call could ever keep."""
    used = [(action, description.operation(action.operation)) for action in actions]
    most = {action.name: operation.max_items for action, operation in used if operation and operation.kind != "create"}
    if not most:
        return
    batch = section.section("limits", None).section("batch", None)
    if batch.given("max_items") and limits.batch.max_items > max(most.values()):
        batch.problem("max_items", f"No operation used here takes more than {max(most.values()):,} users a call.")
    largest = max(min((action.limits or limits.batch).max_items, most.get(action.name, 1)) for action in actions)
    if limits.rate.items is not None and limits.rate.items < largest:
        rate = section.section("limits", None).section("rate", None)
        rate.problem("items", f"One call may carry {largest:,} users, so it could never be made; lower `batch.max_items` first.")


def _check_ages(section: Section, batch: BatchLimits, actions: tuple[Action, ...], retention: Retention) -> None:
    for path, age in [
        (("limits", "batch", "max_age"), batch.max_age_s),
        *((("actions", index, "limits", "max_age"), one.limits.max_age_s) for index, one in enumerate(actions) if one.limits),
    ]:
        if age >= retention.warning_s:
            section.problems.add(path, "Batches may not gather for so long that they count as forgotten (`retention.warning`).")
