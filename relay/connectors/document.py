"""A connector document, from YAML to the connectors it stands for; every error in it at once, each with its place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from adapters.contract import Description
from adapters.registry import ADAPTERS
from relay.connectors.environments import Merged
from relay.connectors.reading_actions import read_actions
from relay.connectors.reading_adapter import read_secrets, read_settings
from relay.connectors.reading_inbound import read_inbound
from relay.connectors.reading_limits import read_limits, read_retention, read_timeouts
from relay.connectors.reading_notify import read_notify
from relay.connectors.yaml_text import load
from relay.domain.connector import Action, BatchLimits, Connector, Inbound, Limits, Retention
from relay.domain.errors import DocumentError
from relay.domain.malformed import Malformed, suggestion
from relay.reading import values
from relay.reading.section import Problems, Section, path_of

FORMAT = 1
"""The version of the document's own format (`version`), should it ever change."""

MAX_ENVIRONMENTS = 20


class Describe(Protocol):
    """`adapters.registry.describe`: the description of the adapter of that name, if there is one, in general or with these
    settings. Raises `DocumentError`, with places inside the settings, where it cannot understand them."""

    def __call__(self, name: str, settings: Mapping[str, Any] | None = None, /) -> Description | None: ...


KEYS = (
    "version", "name", "title", "notes", "adapter", "inbound", "settings", "secrets", "actions", "limits", "timeouts",
    "retention", "notify", "environments",
)  # fmt: skip
_TO_ASK = ("name", "adapter", "settings", "secrets", "timeouts")
_NO_ADAPTER = BatchLimits(max_items=1, max_bytes=1)


def expand(text: str, *, describe: Describe, adapters: Collection[str] = tuple(ADAPTERS)) -> tuple[Connector, ...]:
    """The document's own connector, then one for each of its environments, named `name@environment`. `document_version` is 0:
    publishing fills it in. adapters: the names that `describe` knows, to be offered. Raises `DocumentError`."""
    problems = Problems()
    document = load(text)

    connectors = [_read(document, problems, describe, adapters)]
    environments = Section(document.get("environments"), ("environments",), problems, known=None)
    if len(environments.values) > MAX_ENVIRONMENTS:
        problems.add(environments.path, f"There are more than {MAX_ENVIRONMENTS} environments.")
    for environment, override in list(environments.values.items())[:MAX_ENVIRONMENTS]:
        _check_environment_name(environment, environments)
        merged = Merged(document, override, ("environments", environment), problems)
        found = Problems()
        connectors.append(_read(merged.values, found, describe, adapters, environment))
        # What is wrong without the override is said once, there.
        for path, sentence in found.all():
            if (path, sentence) not in problems:
                problems.add(merged.place(path), sentence)
    problems.raise_any(document)
    return tuple(connectors)


def read_to_ask(
    text: str, asked: str = "", *, environment: str = "", describe: Describe, adapters: Collection[str] = tuple(ADAPTERS)
) -> Connector:
    """What it takes to ask the partner something, from a document that is still being written: its `name`, `adapter`, `settings`,
    `secrets` and `timeouts`. Nothing else of it is looked at, nor the setting that is asked for. The connector cannot run. Raises
    `DocumentError`."""
    problems = Problems()
    document = load(text)
    part = {key: document[key] for key in _TO_ASK if key in document}
    merged = None
    if environment:
        override = _environment(document, environment)
        merged = Merged(part, override, ("environments", environment), problems)
        part = {key: value for key, value in merged.values.items() if key in _TO_ASK}
    settings = part.get("settings")
    if isinstance(settings, dict):
        part["settings"] = {key: value for key, value in settings.items() if key != asked}
    found = Problems()
    section = Section(part, (), found, known=None)
    name = section.require("name", values.name, "")
    adapter = section.require("adapter", values.text, "")
    description, usable = read_adapter(section, adapter, describe, adapters)
    connector = Connector(
        name=f"{name}@{environment}" if environment else name,
        document=name,
        document_version=0,
        adapter=adapter,
        inbound=Inbound(),
        actions=(),
        limits=Limits(description.limits if description else _NO_ADAPTER),
        settings=usable,
        secrets=read_secrets(section, description) if description else {},
        timeouts=read_timeouts(section),
        environment=environment,
    )
    for path, sentence in found.all():
        problems.add(merged.place(path) if merged and len(path) > 1 else path, sentence)
    problems.raise_any(document)
    return connector


def _environment(document: dict[str, Any], name: str) -> Any:
    """The overrides of this environment, of what matters for asking."""
    environments = document.get("environments")
    known = environments if isinstance(environments, dict) else {}
    if name not in known:
        raise DocumentError([("environments", f"There is no environment '{name}'.{suggestion(name, known)}")])
    override = known[name]
    return {key: value for key, value in override.items() if key in _TO_ASK} if isinstance(override, dict) else override


def _check_environment_name(environment: str, environments: Section) -> None:
    try:
        values.name(environment)
    except Malformed as problem:
        environments.problem(environment, str(problem))


def _read(
    document: dict[str, Any], problems: Problems, describe: Describe, adapters: Collection[str], environment: str = ""
) -> Connector:
    section = Section(document, (), problems, known=KEYS)
    section.read("version", values.choice(FORMAT), FORMAT)
    name = section.require("name", values.name, "")
    adapter = section.require("adapter", values.text, "")
    description, settings = read_adapter(section, adapter, describe, adapters)
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
        inbound=read_inbound(section, description, settings),
        actions=actions,
        limits=limits,
        settings=settings,
        secrets=read_secrets(section, description) if description else {},
        timeouts=read_timeouts(section),
        retention=retention,
        notify=read_notify(section),
        environment=environment,
        title=section.read("title", values.label, ""),
        notes=section.read("notes", values.text, ""),
    )


def read_adapter(
    section: Section, adapter: str, describe: Describe, adapters: Collection[str]
) -> tuple[Description | None, dict[str, Any]]:
    """The adapter's description and the settings. What it offers can depend on the settings, so it is asked again with them."""
    general = describe(adapter) if adapter else None
    if general is None:
        if adapter:
            near = suggestion(adapter, adapters)
            section.problem("adapter", f"There is no adapter named '{adapter}'. It can be: {', '.join(adapters)}.{near}")
        return None, {}
    settings = read_settings(section, general)
    _check_encryption(section, general, settings)
    try:
        return describe(adapter, settings), settings
    except DocumentError as error:
        for place, sentence in error.problems:
            section.problems.add((*section.path, "settings", *path_of(place)), sentence)
        return None, settings


def _check_encryption(section: Section, description: Description, settings: dict[str, Any]) -> None:
    """What the client would refuse at the first call (`adapters.network`) is said when the document is applied."""
    if any(field.name == "allow_private_network" for field in description.settings) and not settings.get("allow_private_network"):
        for field in description.settings:
            if field.type == "url" and str(settings.get(field.name, "")).startswith("http://"):
                sentence = "This must begin with https://, unless `allow_private_network` is true."
                section.problems.add((*section.path, "settings", field.name), sentence)


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
