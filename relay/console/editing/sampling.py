"""What a mapping makes of one user: the sample that nobody is, or one that was typed as the DMP would send it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from adapters.contract import Adapter, Operation, Rejected
from adapters.normalisation import email_rule
from adapters.preparing import prepare_one
from relay.connectors.field_values import of_field
from relay.connectors.mapping import MappingError, compile_mapping, mutation_context
from relay.domain.connector import Connector, Constant
from relay.domain.errors import ConfigurationError, PartnerError
from relay.domain.malformed import Malformed
from relay.domain.message import VERSION, Direction, Message, Mutation
from relay.expressions.expression import Surroundings
from relay.operating.given_user import SAMPLE_AUDIENCE, SAMPLE_NAME, SAMPLE_USER, read_user
from relay.operating.shapes import masked

_PARTNER_ID = "{audience}"


class Sample(NamedTuple):
    """A user to try a mapping with.

    typed    as it was given; empty: the made-up one, or one of whom a change is kept
    problem  why what was asked for could not be had
    place    where the change is kept, as the form says it again; empty: nobody's. Of these people only shapes are shown
    about    a sentence about whose change it is
    """

    user: Mutation
    typed: str = ""
    problem: str = ""
    place: str = ""
    about: str = ""

    @property
    def is_somebody(self) -> bool:
        """Whether it is a person whom nobody has typed."""
        return bool(self.place)

    def shown(self, value: Any) -> str:
        """A value of this user, or made of one, as text."""
        return _shown(masked(value) if self.is_somebody else value)


class FieldResult(msgspec.Struct, frozen=True):
    """What a mapping gives for one field: text for the page, or why there is none."""

    value: str = ""
    problem: str = ""
    note: str = ""


class RowResult(msgspec.Struct, frozen=True):
    """What the partner would get of the sample by one action: JSON, or why nothing."""

    sent: str = ""
    problem: str = ""


def made_up() -> Sample:
    return Sample(Mutation(index=0, user=SAMPLE_USER, fields={"FirstName": "Sam", "Country": "DE"}))


def sample_from(typed: str, connector: Connector | None) -> Sample:
    """The user that was typed as one JSON object, by the DMP's names; the made-up one where nothing was, or nothing readable."""
    if not typed.strip():
        return made_up()
    try:
        given = msgspec.json.decode(typed.encode())
    except (ValueError, RecursionError):
        return Sample(made_up().user, typed, "This is not valid JSON; the made-up user is shown.")
    if not isinstance(given, dict):
        return Sample(made_up().user, typed, "This must be one JSON object; the made-up user is shown.")
    if connector is None:
        return Sample(made_up().user, typed, "The settings must be right first; the made-up user is shown.")
    try:
        return Sample(read_user(given, connector).mutation, typed)
    except ConfigurationError as error:
        return Sample(made_up().user, typed, f"{error} The made-up user is shown.")


def sources_of(sample: Sample) -> list[tuple[str, str]]:
    """Every expression of one step that the sample has a value for, with the value."""
    found = [(f"user.{_key(name)}", sample.shown(value)) for name, value in sample.user.user.items()]
    found += [(f"fields.{_quoted(name)}", sample.shown(value)) for name, value in sample.user.fields.items()]
    found += [("audience.id", SAMPLE_AUDIENCE), ("audience.name", SAMPLE_NAME), ("direction", sample.user.direction)]
    if sample.user.customer is not None:
        found.append(("customer", _shown(sample.user.customer)))
    return [*found, ("request.received_at", "when it came in")]


def results_of(
    mapping: Mapping[str, Any], operation: Operation, sample: Sample, rule: str, direction: Direction, *, now: float
) -> dict[str, FieldResult]:
    """What each field gets of this user. `rule`: what `email()` stands for."""
    context = _context(sample, direction, now)
    around = Surroundings(now, "sample", email_rule(rule))
    results = {}
    for name, source in mapping.items():
        read = source_of(source)
        if isinstance(read, Constant):
            results[name] = _constant(operation, name, read)
            continue
        try:
            value = compile_mapping({name: read}).apply(context, around).get(name)
        except MappingError as error:
            results[name] = FieldResult(problem=error.sentence)
        else:
            shown = FieldResult(sample.shown(value))
            results[name] = shown if value is not None else FieldResult(note="empty: left out for this user")
    return results


def row_of(
    mapping: Mapping[str, Any], operation: Operation, sample: Sample, adapter: Adapter, direction: Direction, *, now: float
) -> RowResult:
    """What is left of it once the partner's rules were applied."""
    around = Surroundings(now, "sample", email_rule(adapter.description.email_rule))
    try:
        sources = {name: source_of(source) for name, source in mapping.items()}
        values = compile_mapping(sources).apply(_context(sample, direction, now), around)
        prepared = prepare_one(adapter, operation.name, values)
    except MappingError as error:
        return RowResult(problem=f"{error.field}: {error.sentence}")
    except PartnerError as error:
        return RowResult(problem=error.hint)
    if isinstance(prepared, Rejected):
        return RowResult(problem=f"This user would be rejected: {prepared.hint}")
    row = {field: masked(value) if sample.is_somebody else value for field, value in prepared.values.items()}
    return RowResult(msgspec.json.format(msgspec.json.encode(row), indent=2).decode())


def source_of(value: Any) -> str | Constant:
    """What stands in a document, as it runs."""
    if isinstance(value, dict) and set(value) == {"constant"}:
        return Constant(value["constant"])
    return value if isinstance(value, str) else Constant(value)


def _constant(operation: Operation, name: str, constant: Constant) -> FieldResult:
    field = operation.field(name)
    try:
        value = of_field(field)(constant.constant) if field else constant.constant
    except Malformed as problem:
        return FieldResult(problem=str(problem))
    return FieldResult(_shown(value), note="the same for everybody")


def _context(sample: Sample, direction: Direction, now: float) -> dict[str, Any]:
    mutation = msgspec.structs.replace(sample.user, direction=direction)
    message = Message(
        version=VERSION, kind="change", connector="sample", audience=SAMPLE_AUDIENCE, request_id="sample", received_at=now,
        mutations=(mutation,),
    )  # fmt: skip
    return mutation_context(message, mutation, audience_name=SAMPLE_NAME, partner_id=_PARTNER_ID)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _key(name: str) -> str:
    family, dot, member = name.partition(".")
    return f"{family}.{_quoted(member)}" if dot else name


def _quoted(name: str) -> str:
    plain = name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit()
    return name if plain else msgspec.json.encode(name).decode()
