"""The operations that a document describes: what they take of a user, and the calls that carry it out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from adapters.answers import Rule
from adapters.contract import Field, Operation
from adapters.http.grammar import OF_ROW, Names
from adapters.http.outcomes import Outcomes, read_outcomes
from adapters.http.scope import KNOWN_AUDIENCE, name_in_templates, with_rows
from adapters.http.steps import Step, read_single, read_steps, takes_s
from adapters.normalisation import RULES
from relay.domain.connector import Trigger
from relay.domain.malformed import Malformed
from relay.reading import values
from relay.reading.section import Section

MAX_ITEMS = 1_000
"""Users in a call, unless the document says otherwise."""

MOST_ITEMS = 100_000
MAX_OPERATIONS = 50

_KEYS = (
    "title", "help", "effect", "triggers", "set_name", "named_only", "fields", "key", "max_items", "request", "steps",
    "abort", "delivered", "taken", "rejected", "answers",
)  # fmt: skip
_FIELD_KEYS = ("title", "help", "required", "default", "choices", "normalise", "form", "hashed")


class Described(msgspec.Struct, frozen=True):
    """One operation. `fields`: their names. `abort`: see `steps.run`."""

    operation: Operation
    fields: tuple[str, ...]
    steps: tuple[Step, ...]
    outcomes: Outcomes
    abort: Step | None = None

    @property
    def single(self) -> bool:
        """Whether a call carries one user, so that its templates know `row`."""
        return self.operation.max_items == 1


def read_operations(
    settings: Section, names: Names, rules: tuple[Rule, ...], *, taken: Collection[str], dynamic: Collection[str]
) -> dict[str, Described]:
    """By name. `rules`: behind their own; `taken`: headers that the authentication fills; `dynamic`: fields with options."""
    section = settings.section("operations", None)
    if not section.values:
        settings.problem("operations", "This is missing: what can be done at the partner, each with a name.")
    if len(section.values) > MAX_OPERATIONS:
        settings.problem("operations", f"There are more than {MAX_OPERATIONS} operations.")
    found = {}
    for name in list(section.values)[:MAX_OPERATIONS]:
        try:
            if name_in_templates(name) == CREATE:
                raise Malformed(f"`audiences.create` describes `{CREATE}`.")
        except Malformed as problem:
            section.problem(name, str(problem))
        if not section.given(name):
            section.problem(name, "There is nothing in it.")
            continue
        found[name] = _read_operation(section.section(name, _KEYS), name, names, rules, taken, dynamic)
    return found


CREATE = "create_audience"


def _read_operation(
    section: Section, name: str, names: Names, rules: tuple[Rule, ...], taken: Collection[str], dynamic: Collection[str]
) -> Described:
    fields = _read_fields(section, dynamic)
    field_names = tuple(field.name for field in fields)
    max_items = section.read("max_items", values.whole(1, MOST_ITEMS), MAX_ITEMS)
    known: Names = {**names, "audience": dict.fromkeys(KNOWN_AUDIENCE)}
    known = with_rows(known, field_names, single=max_items == 1)
    if section.given("request") and section.given("steps"):
        section.problem("steps", "An operation has either one `request` or several `steps`.")
    several = section.given("steps") and not section.given("request")
    if section.given("abort") and not several:
        section.problem("abort", "This ends what `steps` have begun; with a single call there is nothing to end.")
    abort = None
    if several:
        if section.given("delivered"):
            section.problem("delivered", "With `steps`, each step says this for itself.")
        steps, abort = read_steps(section, known, field_names, rules, taken)
    else:
        steps = (read_single(section, known, field_names, rules, taken),)
    key = "steps" if several else "request"
    if steps and fields and not _carries_users(steps) and not section.problems.inside((*section.path, key)):
        section.problem(key, "No template here uses `row` or `rows`, so the partner would learn of no user.")
    effect: Any = section.read("effect", values.choice("add", "remove"), None)
    usual: dict[str | None, tuple[Trigger, ...]] = {"add": ("joined",), "remove": ("left",), None: ("joined", "left")}
    return Described(
        Operation(
            name=name,
            title=section.read("title", values.label, name),
            kind="set" if effect else "event",
            triggers=section.each("triggers", values.choice("joined", "left")) or usual[effect],
            effect=effect,
            set_name=section.read("set_name", values.label, "members"),
            key_fields=_read_key(section, field_names),
            fields=fields,
            max_items=max_items,
            help=section.read("help", values.text, ""),
            named_only=section.read("named_only", values.flag, False),
            takes_s=takes_s((*steps, abort) if abort else steps),
        ),
        field_names,
        steps,
        read_outcomes(section, field_names),
        abort,
    )


def _carries_users(steps: tuple[Step, ...]) -> bool:
    roots = {path[0] for step in steps for path in step.request.uses}
    return not roots.isdisjoint({*OF_ROW, "rows"})


def _read_fields(operation: Section, dynamic: Collection[str]) -> tuple[Field, ...]:
    section = operation.section("fields", None)
    if not section.values:
        operation.problem("fields", "This is missing: what the operation can be given of a user.")
    fields = []
    for name in section.values:
        try:
            name_in_templates(name)
        except Malformed as problem:
            section.problem(name, str(problem))
        one = section.section(name, _FIELD_KEYS)
        form: Any = one.read("form", values.choice("raw", "sha256", "auto"), "")
        fields.append(
            Field(
                name=name,
                title=one.read("title", values.label, name),
                type="choice" if one.given("choices") else "text",
                help=one.read("help", values.text, ""),
                required=one.read("required", values.flag, False),
                default=one.values.get("default"),
                choices=one.each("choices", values.text) or (),
                dynamic=name in dynamic,
                normalise=one.read("normalise", values.choice(*RULES), ""),
                form=form,
                hashed=one.read("hashed", values.flag, False),
            )
        )
    return tuple(fields)


def _read_key(section: Section, fields: tuple[str, ...]) -> tuple[str, ...]:
    key = section.each("key", values.choice(*fields)) if fields else None
    if not section.given("effect"):
        for name in ("key", "set_name"):
            if section.given(name):
                section.problem(name, "This is for operations with an `effect`: of others, every change is sent.")
        return ()
    if key is None and len(fields) == 1:
        return fields
    if key is None and fields:
        section.problem("key", "This is missing: the fields by which the partner knows a user.")
    return key or ()
