"""The calls of one operation: one, or several that belong together, such as those of a job that is made, filled and awaited."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from adapters import leash
from adapters.answers import AnswerTable, Rule, batch_refused, unreadable
from adapters.contract import HttpRequest
from adapters.http.answering import read_delivered, read_rules
from adapters.http.grammar import Names
from adapters.http.looking import expression, found, holds, identifier
from adapters.http.request import KEYS as REQUEST_KEYS
from adapters.http.request import NOWHERE, RequestTemplate, read_request
from adapters.http.scope import Scope, name_in_templates
from adapters.http.templates import Placeholder
from relay.domain.clock import Clock
from relay.domain.connector import Timeouts
from relay.domain.errors import CredentialsRefused, PartnerError, TryAgain
from relay.domain.malformed import Malformed
from relay.expressions.expression import Expression
from relay.reading import values
from relay.reading.section import Section

MAX_STEPS = 20
LONGEST_S = 110.0
"""All calls of an operation, at their slowest, must end within a worker's turn of 120 s."""

_KEYS = ("name", "request", "save", "until", "every", "for", "delivered", "answers")
_EVERY_S, _FOR_S = 2.0, 45.0


class Step(msgspec.Struct, frozen=True):
    """One call, repeated `until` its answer says that it is done: every `every_s`, for at most `for_s`.

    save  name → where its answer has what later steps need of it
    """

    request: RequestTemplate
    table: AnswerTable
    name: str = ""
    save: Mapping[str, Expression] = {}
    until: Expression | None = None
    every_s: float = _EVERY_S
    for_s: float = 0.0

    @property
    def longest_s(self) -> float:
        """How long it may take with the usual time-outs."""
        usual = Timeouts()
        carries_users = ("rows",) in self.request.uses
        return usual.connect_s + (usual.batch_answer_s if carries_users else usual.answer_s) + self.for_s


Exchange = Callable[[HttpRequest, Step], Any]
"""Makes one call of this step: the JSON of a successful answer."""

# A wrong address is found out all the same: users who are all refused alike are the connector's fault until one is taken.
UNKNOWN_USER = Rule(batch_refused("The partner does not know this user, or the address is wrong."), (404, 410))


def takes_s(steps: Collection[Step]) -> float:
    """Seconds beyond the time of one call that carries several users."""
    usual = Timeouts()
    return max(0.0, sum(step.longest_s for step in steps) - usual.connect_s - usual.batch_answer_s)


def run(
    steps: tuple[Step, ...], base_url: str, scope: Scope, exchange: Exchange, clock: Clock, *, abort: Step | None = None
) -> Any:
    """The answer of the last step. Raises what `exchange` raises, and `Malformed` where a request cannot be made.

    abort: a call that has the partner give up what it has begun, made once when a later step meets trouble, unless this is about
    the whole account: then the partner takes no call. Trouble that comes after the partner may have begun, and that it does not
    confirm to have given up, is `TryAgain` with `applied_unknown`.
    """
    begun = False

    def noting(request: HttpRequest, step: Step) -> Any:
        nonlocal begun
        answer = exchange(request, step)
        begun = begun or step.request.changes
        return answer

    saved: dict[str, dict[str, str]] = {}
    body: Any = None
    for step in steps:
        try:
            body = _carried_out(step, base_url, scope.having(steps=saved), noting, clock)
            saved[step.name] = {name: _saved(look, body) for name, look in step.save.items()}
        except PartnerError as error:
            if not begun:
                raise
            given_up = (
                abort is not None
                and not _of_account(error)
                and _is_given_up(abort, base_url, scope.having(steps=saved), exchange)
            )
            if not isinstance(error, TryAgain):
                raise
            raise TryAgain(
                error.hint,
                after_s=error.after_s,
                applied_unknown=not given_up,
                account=error.account,
                code=error.code,
                status=error.status,
            ) from None
    return body


def _of_account(error: PartnerError) -> bool:
    """Whether the partner would take another call no better."""
    if isinstance(error, TryAgain) and error.account:
        return True
    return error.after_s is not None or isinstance(error, CredentialsRefused)


def _is_given_up(abort: Step, base_url: str, scope: Scope, exchange: Exchange) -> bool:
    try:
        exchange(abort.request.fill(base_url, scope), abort)
    except (PartnerError, Malformed):
        return False
    return True


def requests(steps: tuple[Step, ...], base_url: str, scope: Scope) -> list[HttpRequest]:
    """Each once, with placeholders for what only the partner's answers can tell. Raises `Malformed`."""
    saved = {
        step.name: {name: Placeholder(f"{{steps.{step.name}.{name}}}") for name in step.save} for step in steps
    }
    return [step.request.fill(base_url, scope.having(steps=saved)) for step in steps]


def _carried_out(step: Step, base_url: str, scope: Scope, exchange: Exchange, clock: Clock) -> Any:
    began = clock.monotonic()
    while True:
        request = step.request.fill(base_url, scope)
        body = exchange(request, step)
        if step.until is None or holds(step.until, body):
            return body
        if clock.monotonic() - began + step.every_s > step.for_s:
            hint = "The partner has not finished what was asked in time; whether it will is unknown."
            raise TryAgain(hint, code="not_finished", applied_unknown=True)
        if leash.left_s() < step.every_s:
            raise leash.OutOfTime("The turn's time is over while the partner was still at work.")
        clock.sleep(step.every_s)


def _saved(look: Expression, body: Any) -> str:
    text = identifier(found(look, body))
    if not text:
        raise unreadable("The partner's answer lacks what the next call needs.")
    return text


# --- reading ---------------------------------------------------------------------------------------------------------


def read_single(
    operation: Section, names: Names, fields: tuple[str, ...] | None, rules: tuple[Rule, ...], taken: Collection[str]
) -> Step:
    """The one call under `request`. `rules`: behind its own; `taken`: headers that the authentication fills."""
    request = _read_request(operation, names, fields, taken)
    return Step(request, _read_table(operation, rules, request))


def read_steps(
    operation: Section, names: Names, fields: tuple[str, ...], rules: tuple[Rule, ...], taken: Collection[str]
) -> tuple[tuple[Step, ...], Step | None]:
    """The calls under `steps`, in order, and the one under `abort`. What one saves, the next ones know."""
    listed = operation.values.get("steps")
    if not isinstance(listed, list) or not 1 < len(listed) <= MAX_STEPS:
        operation.problem("steps", f"This must be a list of 2 to {MAX_STEPS} steps; a single call is a `request`.")
        return (), None
    own = read_rules(operation)
    steps: list[Step] = []
    known: dict[str, Names | None] = {}
    for place, one in enumerate(listed):
        section = Section(one, (*operation.path, "steps", place), operation.problems, known=_KEYS)
        name = section.require("name", name_in_templates, "")
        if name in known:
            section.problem("name", f"Another step is already named '{name}'.")
        request = _read_request(section, {**names, "steps": dict(known)}, fields, taken)
        step = Step(
            request=request,
            table=_read_table(section, (*own, *rules), request),
            name=name,
            save=_read_save(section),
            until=section.read("until", expression, None),
            every_s=section.read("every", values.duration(0.1, 60), _EVERY_S),
            for_s=section.read("for", values.duration(0.1, LONGEST_S), _FOR_S) if section.given("until") else 0.0,
        )
        for key in ("every", "for"):
            if section.given(key) and not section.given("until"):
                section.problem(key, "This says how a call is repeated; `until` says until when, and is missing.")
        known[name] = {**(known.get(name) or {}), **dict.fromkeys(step.save)}
        steps.append(step)
    abort = _read_abort(operation, {**names, "steps": dict(known)}, fields, (*own, *rules), taken)
    longest = sum(step.longest_s for step in (*steps, *((abort,) if abort else ())))
    if longest > LONGEST_S:
        operation.problem(
            "steps",
            f"At their slowest these calls take {longest:g} seconds, and there is time for {LONGEST_S:g}: "
            "wait less long (`for`), or make fewer calls.",
        )
    return tuple(steps), abort


def _read_abort(
    operation: Section, names: Names, fields: tuple[str, ...], rules: tuple[Rule, ...], taken: Collection[str]
) -> Step | None:
    if not operation.given("abort"):
        return None
    section = operation.section("abort", ("request", "delivered", "answers"))
    request = _read_request(section, names, fields, taken)
    return Step(request, _read_table(section, rules, request))


def _read_request(
    section: Section, names: Names, fields: tuple[str, ...] | None, taken: Collection[str]
) -> RequestTemplate:
    if not section.given("request"):
        section.problem("request", "This is missing.")
        return RequestTemplate("GET", NOWHERE)
    return read_request(section.section("request", REQUEST_KEYS), names, fields=fields, taken=taken)


def _read_table(section: Section, rules: tuple[Rule, ...], request: RequestTemplate) -> AnswerTable:
    of_user = (UNKNOWN_USER,) if request.concerns_user else ()
    return AnswerTable(*read_rules(section), *rules, *read_delivered(section), *of_user)


def _read_save(section: Section) -> dict[str, Expression]:
    saved = section.section("save", None)
    looks = {}
    for name in saved.values:
        try:
            name_in_templates(name)
        except Malformed as problem:
            saved.problem(name, str(problem))
        look = saved.read(name, expression, None)
        if look is not None:
            looks[name] = look
    return looks
