"""How audiences come to be at a partner, as a document describes it: found, made, awaited, described."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from adapters.answers import Answered, Rule, unreadable
from adapters.http.answering import read_statuses
from adapters.http.grammar import Names
from adapters.http.looking import expression, found, holds, identifier
from adapters.http.paging import ASKING, Ask, Paged, read_paged
from adapters.http.paging import KEYS as PAGED_KEYS
from adapters.http.scope import NEW_AUDIENCE, Scope
from adapters.http.steps import Step, read_single
from adapters.http.templates import Template, compile_template
from relay.domain.errors import PartnerError, TryAgain
from relay.expressions.expression import Expression
from relay.reading import values
from relay.reading.section import Section

_FIND_KEYS = (*PAGED_KEYS, "match", "id", "absent")
_KEYS = {
    "find": _FIND_KEYS,
    "create": ("request", "id", "delivered", "answers"),
    "ready": ("request", "when", "delivered", "answers"),
    "describe": ("request", "show", "delivered", "answers"),
}


class _Absent(PartnerError):
    """There is no such audience."""


class Find(msgspec.Struct, frozen=True):
    """The audience with our reference, among those of a list or by a question of its own. `match`: what an entry must have."""

    paged: Paged
    id: Expression
    match: tuple[tuple[Expression, Template], ...] = ()

    def run(self, base_url: str, scope: Scope, ask: Ask) -> str:
        """The partner's ID, empty if there is no such audience. Raises what `ask` raises, `TryAgain`, and `Misconfigured`
        where it may be on a page that is not asked for."""
        wanted = [(look, template.text(scope.context)) for look, template in self.match]
        try:
            for entry in self.paged.entries(base_url, scope, ask, to_the_end=True):
                if all(identifier(found(look, entry)) == text for look, text in wanted):
                    made = identifier(found(self.id, entry))
                    if not made and self.paged.listed is not None:
                        raise unreadable("The partner's answer has the audience, and not its ID.")
                    return made
        except _Absent:
            pass
        return ""


class Create(msgspec.Struct, frozen=True):
    """One call that makes an audience. `id`: where its answer has the partner's ID."""

    step: Step
    id: Expression

    def id_of(self, body: Any) -> str:
        """The ID. Raises `TryAgain` for an answer without one: the audience may exist all the same."""
        made = identifier(found(self.id, body))
        if not made:
            hint = "The partner's answer has no ID for the audience; whether it was made is unknown."
            raise TryAgain(hint, code="unreadable_answer", applied_unknown=True)
        return made


class Ready(msgspec.Struct, frozen=True):
    """Whether it can take members: when the call succeeds, and `when` holds."""

    step: Step
    when: Expression | None = None

    def holds(self, body: Any) -> bool:
        """What the answer says."""
        return self.when is None or holds(self.when, body)


class Describe(msgspec.Struct, frozen=True):
    """What a partner says of an audience. `show`: what of it is shown; None: all."""

    step: Step
    show: Expression | None = None

    def shown(self, body: Any) -> dict[str, Any]:
        """By name. Raises `TryAgain`."""
        value = found(self.show, body) if self.show else body
        if not isinstance(value, dict):
            raise unreadable("The partner's answer does not describe the audience.")
        return value


class Audiences(msgspec.Struct, frozen=True):
    """All of it. `named`: the ID where no call makes it; None with `create` None: linked by hand."""

    named: Template | None = None
    find: Find | None = None
    create: Create | None = None
    ready: Ready | None = None
    describe: Describe | None = None


LINKED = "linked"


def read_audiences(settings: Section, names: Names, rules: tuple[Rule, ...], taken: Collection[str]) -> Audiences:
    """What `audiences` and `audience_id` say. `rules`: behind their own; `taken`: headers that the authentication fills."""
    section = settings.section("audiences", tuple(_KEYS))
    parts = {key: section.section(key, keys) for key, keys in _KEYS.items() if section.given(key)}
    new: Names = {**names, "audience": dict.fromkeys(NEW_AUDIENCE)}
    known: Names = {**names, "audience": {"partner_id": None}}
    if settings.given("audience_id") and "create" in parts:
        settings.problem("audience_id", "The partner's answer to `audiences.create` says what the ID is.")
    create = ready = describe = None
    if "create" in parts:
        look = parts["create"].require("id", expression, None)
        step = read_single(parts["create"], new, None, rules, taken)
        create = Create(step, look) if look else None
    if "ready" in parts:
        ready = Ready(_asking(parts["ready"], known, rules, taken), parts["ready"].read("when", expression, None))
    if "describe" in parts:
        describe = Describe(_asking(parts["describe"], known, rules, taken), parts["describe"].read("show", expression, None))
    return Audiences(
        named=None if "create" in parts else _read_named(settings, new),
        find=_read_find(parts["find"], new, rules) if "find" in parts else None,
        create=create,
        ready=ready,
        describe=describe,
    )


def _asking(section: Section, names: Names, rules: tuple[Rule, ...], taken: Collection[str]) -> Step:
    return read_single(section, names, None, (*rules, ASKING), taken)


def _read_named(settings: Section, names: Names) -> Template | None:
    def read(value: object) -> Template | None:
        return None if value == LINKED else compile_template(values.text(value), names)

    usual: Template | None = compile_template("{{ audience.id }}", names)
    return settings.read("audience_id", read, usual)


def _read_find(section: Section, names: Names, rules: tuple[Rule, ...]) -> Find | None:
    nowhere: tuple[int, ...] = ()
    absent = section.read("absent", read_statuses, nowhere)

    def make(_: Answered) -> PartnerError:
        return _Absent("There is no such audience.")

    paged = read_paged(section, names, (Rule(make, absent), *rules) if absent else rules, needs_list=False)
    look = section.require("id", expression, None)
    given = section.section("match", None)
    match = []
    for path in given.values:
        template = given.read(path, lambda value: compile_template(values.text(value), names), None)
        compiled = Section({path: path}, given.path, given.problems, known=None).read(path, expression, None)
        if template is not None and compiled is not None:
            match.append((compiled, template))
    if section.given("list") and not section.given("match"):
        sentence = 'Which entry of the list is it? Say what it has, such as `match: {reference: "{{ audience.reference }}"}`.'
        section.problem("match", sentence)
    return Find(paged, look, tuple(match)) if look else None
