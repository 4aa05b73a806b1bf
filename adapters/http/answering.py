"""What a partner's answers mean, as rules of a document: the first that matches says what is done next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from adapters.answers import LONGEST_WAIT_S, Answered, Make, Rule, try_again
from adapters.http.looking import code_of, expression, found, holds
from relay.domain.errors import (
    AudienceGone,
    AudienceNotReady,
    BatchRefused,
    CredentialsRefused,
    Misconfigured,
    PartnerError,
    TryAgain,
)
from relay.domain.malformed import Malformed
from relay.expressions.expression import Expression
from relay.reading import values
from relay.reading.section import Section

DELIVERED = "delivered"

_ERRORS: Mapping[str, tuple[Callable[..., PartnerError], str]] = {
    "refused": (BatchRefused, "The partner refuses what was sent."),
    "try_again": (TryAgain, "The partner could not take this now."),
    "credentials_refused": (CredentialsRefused, "The partner does not accept the credentials."),
    "audience_gone": (AudienceGone, "The partner no longer has this audience."),
    "audience_not_ready": (AudienceNotReady, "The audience cannot take members yet."),
    "misconfigured": (Misconfigured, "The partner does not take such calls."),
}
MEANINGS = (DELIVERED, *_ERRORS)

_KEYS = ("status", "when", "means", "code", "hint", "after")
_WAITING = ("try_again", "audience_not_ready")

_statuses = values.whole(100, 599)


def read_rules(section: Section, key: str = "answers") -> tuple[Rule, ...]:
    """The rules under this key, in their order."""
    listed = section.values.get(key)
    if listed is None:
        return ()
    if not isinstance(listed, list):
        section.problem(key, "This must be a list of rules.")
        return ()
    places = ((*section.path, key, place) for place in range(len(listed)))
    return tuple(
        _read_rule(Section(one, path, section.problems, known=_KEYS)) for one, path in zip(listed, places, strict=True)
    )


def _read_rule(section: Section) -> Rule:
    statuses = section.read("status", read_statuses, None)
    when = section.read("when", expression, None)
    if statuses is None and when is None and not (section.given("status") or section.given("when")):
        section.problem("status", "A rule needs a `status`, a condition (`when`), or both.")
    means = section.require("means", values.choice(*MEANINGS), DELIVERED)
    for name in ("code", "hint", "after"):
        if section.given(name) and (means == DELIVERED or (name == "after" and means not in _WAITING)):
            section.problem(name, f"This has no meaning where an answer means {means}.")
    code = section.read("code", expression, None)
    after = section.read("after", expression, None)
    hint = section.read("hint", sentence, "")
    make = None if means == DELIVERED else _making(means, hint, code, after)
    # A page of a gateway, for instance, is no success whatever its status is.
    return Rule(make, statuses, readable=True if make is None else None, when=_condition(when) if when else None)


def read_delivered(section: Section) -> tuple[Rule, ...]:
    """What `delivered` says: an answer that is neither that, nor a failure by another rule, is unknown and no success. Where it
    says nothing, JSON and an empty answer are a success, a text is not."""
    hint = "The partner's answer is not the one that means success."
    unknown = try_again(hint, code="unreadable_answer", applied_unknown=True)
    if not section.given(DELIVERED):
        return (Rule(unknown, range(200, 300), when=lambda answered: isinstance(answered.body, str)),)
    wanted = section.section(DELIVERED, ("status", "when"))
    statuses = wanted.read("status", read_statuses, tuple(range(200, 300)))
    when = wanted.read("when", expression, None)
    if not wanted.values:
        section.problem(DELIVERED, "This needs a `status`, a condition (`when`), or both; left out, every 2xx is a success.")
    return (
        Rule(None, statuses, readable=True, when=_condition(when) if when else None),
        Rule(unknown, range(200, 300), readable=True),
    )


def read_statuses(value: object) -> tuple[int, ...]:
    """One status or several."""
    if isinstance(value, list) and value:
        return tuple(_statuses(one) for one in value)
    try:
        return (_statuses(value),)
    except Malformed:
        raise Malformed("This must be a status from 100 to 599, or a list of them.") from None


def sentence(value: object) -> str:
    """A hint for whoever reads of it: one line."""
    text = values.text(value).strip()
    if not text or len(text) > 500 or not text.isprintable():
        raise Malformed("This must be a sentence of at most 500 characters.")
    return text


def _condition(when: Expression) -> Callable[[Answered], bool]:
    return lambda answered: holds(when, answered.body)


def _making(means: str, hint: str, code: Expression | None, after: Expression | None) -> Make:
    error, usual = _ERRORS[means]

    def make(answered: Answered) -> PartnerError:
        more: dict[str, Any] = {"code": (code_of(found(code, answered.body)) if code else "") or None}
        wish_s = _seconds(found(after, answered.body)) if after else None
        wish_s = answered.after_s if wish_s is None else wish_s
        if means == "try_again":
            more["account"] = wish_s is not None
        if means == "audience_not_ready":
            more["look_after_s"] = wish_s
        shown = (hint or usual).removesuffix(".")
        made = error(f"{shown} (status {answered.status}).", status=answered.status, **more)
        made.after_s = wish_s
        return made

    return make


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return min(float(value), LONGEST_WAIT_S)
