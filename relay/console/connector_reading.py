"""What the page of one connector shows, read from its document, its state and its adapter's description."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from adapters.contract import Description, Field, Operation
from adapters.registry import describe
from relay.backends.interfaces import Backend
from relay.configuration import Configuration
from relay.connectors.activation import ActivationField, activation_sheet
from relay.connectors.completeness import missing, missing_for_notices
from relay.connectors.live import document_of
from relay.console import connector_words as words
from relay.console.charts import Bar, bars
from relay.console.connector_secrets import SecretView, secrets_of
from relay.domain.connector import TRIGGERS, Action, Connector, ConnectorState, Constant, Trigger
from relay.health.asking import chosen_connector
from relay.health.survey import ConnectorHealth, health_of

WEEK_H = 7 * 24


class Need(msgspec.Struct, frozen=True):
    """A sentence about something that is missing. place: where on the page it is mended; empty: in the document."""

    sentence: str
    place: str


class Setting(msgspec.Struct, frozen=True):
    """One of the adapter. value: empty where it has none; by_default: nobody has set it. long: it has several lines."""

    name: str
    title: str
    value: str
    help: str
    required: bool
    by_default: bool
    long: bool


class Mapped(msgspec.Struct, frozen=True):
    """A field of the partner and where it comes from: an expression over the mutation, or a constant."""

    title: str
    field: str
    source: str
    is_constant: bool


class ActionView(msgspec.Struct, frozen=True):
    """One action. switched: off by a switch, how; the document can have it off as well (`in_document`)."""

    name: str
    when: str
    operation: str
    help: str
    mapping: tuple[Mapped, ...]
    audiences: tuple[str, ...]
    consent: tuple[str, ...]
    limits: str
    in_document: bool
    switched: Literal["", "paused", "skipped"]


class TriggerView(msgspec.Struct, frozen=True):
    """What is done when something happens. required: without an action on it the connector is incomplete."""

    when: str
    required: bool
    complete: bool


class OperationView(msgspec.Struct, frozen=True):
    """Something that the partner offers; used: an action does it."""

    title: str
    when: str
    help: str
    nature: str
    used: bool


class ConnectorPage(msgspec.Struct, frozen=True):
    """The page.

    published  a version of it runs, which is shown; else it is the newest draft
    siblings   names of all connectors of the document
    default    it answers at `/` as well
    """

    connector: Connector
    state: ConnectorState
    published: bool
    health: ConnectorHealth | None
    partner: str
    description: Description | None
    needs: tuple[Need, ...]
    triggers: tuple[TriggerView, ...]
    operations: tuple[OperationView, ...]
    actions: tuple[ActionView, ...]
    settings: tuple[Setting, ...]
    secrets: tuple[SecretView, ...]
    source: tuple[ActivationField, ...]
    limits: tuple[str, ...]
    times: tuple[str, ...]
    retention: tuple[str, ...]
    ways_in: tuple[str, ...]
    told: tuple[str, ...]
    siblings: tuple[str, ...]
    default: bool
    week: tuple[Bar, ...]

    @property
    def document(self) -> str:
        return self.connector.document

    @property
    def title(self) -> str:
        return self.connector.title or self.connector.document


def read_connector(backend: Backend, configuration: Configuration, name: str, now: float) -> ConnectorPage:
    """Raises `NotFound`, `StoreUnavailable`. Asks no partner."""
    connector = chosen_connector(backend, name)
    states = backend.connectors.states()
    state = next((one for one in states if one.name == name), ConnectorState(name))
    description = describe(connector.adapter, connector.settings)
    hours = backend.reports.by_hour(name, since=now - WEEK_H * 3600.0)
    siblings = [one.name for one in states if document_of(one.name) == connector.document and (one.live or one.name == name)]
    return ConnectorPage(
        connector=connector,
        state=state,
        published=bool(state.live),
        health=health_of(backend, name, now),
        partner=description.title if description else connector.adapter,
        description=description,
        needs=tuple(_needs(connector, description, backend)),
        triggers=tuple(_trigger(trigger, connector, description) for trigger in TRIGGERS),
        operations=tuple(_operation(one, connector) for one in description.operations) if description else (),
        actions=tuple(_action(one, state, description) for one in connector.actions),
        settings=tuple(_setting(field, connector) for field in description.settings) if description else (),
        secrets=secrets_of(connector, backend),
        source=tuple(activation_sheet(connector, configuration.receiver_url, backend.secrets, show_secrets=False)),
        limits=words.limits(connector),
        times=words.times(connector),
        retention=words.retention(connector),
        ways_in=words.ways_in(connector),
        told=words.told(connector),
        siblings=tuple(siblings),
        default=backend.connectors.default() == name,
        week=tuple(bars(hours.get(name, {}), now=now, hours=WEEK_H, each=2)),
    )


def _needs(connector: Connector, description: Description | None, backend: Backend) -> Iterator[Need]:
    if description is None:
        yield Need(f"This program has no adapter {connector.adapter!r}.", "")
        return
    for sentence in (*missing(connector, description, backend.secrets), *missing_for_notices(connector, backend.secrets)):
        what, command, _ = sentence.partition(": diy secrets set ")
        yield Need(f"{what.rstrip('.')}.", "secrets" if command else "")


def _trigger(trigger: Trigger, connector: Connector, description: Description | None) -> TriggerView:
    complete = any(action.trigger == trigger and action.enabled for action in connector.actions)
    required = description is not None and trigger in description.required_triggers
    return TriggerView(words.ON[trigger], required, complete)


def _operation(operation: Operation, connector: Connector) -> OperationView:
    when = " or ".join(words.ON[trigger] for trigger in operation.triggers)
    used = any(action.operation == operation.name for action in connector.actions)
    return OperationView(operation.title, when, operation.help, words.NATURE[operation.kind], used)


def _action(action: Action, state: ConnectorState, description: Description | None) -> ActionView:
    operation = description.operation(action.operation) if description else None
    return ActionView(
        name=action.name,
        when=words.ON[action.trigger],
        operation=operation.title if operation else action.operation,
        help=operation.help if operation else "",
        mapping=tuple(_mapped(name, value, operation) for name, value in action.mapping.items()),
        audiences=action.audiences or (),
        consent=action.consent,
        limits=words.batch(action.limits) if action.limits else "",
        in_document=action.enabled,
        switched=state.actions.get(action.name, ""),
    )


def _mapped(name: str, value: str | Constant, operation: Operation | None) -> Mapped:
    field = operation.field(name) if operation else None
    title = field.title if field and field.name == name else name
    return Mapped(title, name, *((_said(value.constant), True) if isinstance(value, Constant) else (value, False)))


def _setting(field: Field, connector: Connector) -> Setting:
    value = connector.settings.get(field.name)
    by_default = value in (None, "", []) and field.default is not None
    said = _said(field.default if by_default else value)
    return Setting(field.name, field.title, said, field.help, field.required, by_default, "\n" in said)


def _said(value: Any) -> str:
    """A value as one reads it; mappings and lists of more than text as indented JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple) and all(isinstance(one, str | int | float) for one in value):
        return ", ".join(str(one) for one in value)
    if isinstance(value, dict | list | tuple):
        return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() if value else ""
    return str(value)
