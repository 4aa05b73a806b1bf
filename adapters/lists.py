"""Names of a partner's lists, where a list is made by naming it: an expression over the audience (`settings.list`)."""

from __future__ import annotations

import msgspec

from relay.domain.errors import Misconfigured
from relay.domain.malformed import Malformed
from relay.expressions.expression import Expression, compile_expression

_ROOTS = {"audience": frozenset({"id", "name"})}


def list_expression(text: str) -> Expression:
    """The expression, ready. Raises `Malformed` where it can name no list."""
    try:
        expression = compile_expression(text, _ROOTS)
    except Malformed as problem:
        raise Malformed(f"{problem} A name that is the same for every audience has quotes of its own: \"'Customers'\".") from None
    if expression.needs:
        raise Malformed(f"{min(expression.needs)}() has no meaning in the name of a list.")
    return expression


def is_one_list(text: str) -> bool:
    """Whether two audiences that have nothing in common get the same list. Raises `Malformed` as `list_expression`."""
    expression = list_expression(text)
    try:
        first, second = (expression.search({"audience": {"id": f"{sign}1", "name": f"{sign}2"}}) for sign in "ab")
    except Malformed:
        return False
    return isinstance(first, str) and first == second


class ListNames(msgspec.Struct, frozen=True):
    """The names that `settings.list` gives.

    longest   most characters of a name
    fallback  the list that the partner uses where none is named: never reached by accident, only if the expression is that name
    """

    expression: str
    longest: int
    fallback: str

    def of(self, audience_id: str, audience_name: str) -> str:
        """The name of the audience's list; an audience without a name counts as named by its ID. Raises `Misconfigured`."""
        audience = {"id": audience_id, "name": audience_name or audience_id}
        try:
            found = list_expression(self.expression).search({"audience": audience})
        except Malformed as problem:
            raise Misconfigured(f"`settings.list` gives this audience no list: {problem}", code="bad_list") from None
        name = found.strip() if isinstance(found, str) else ""
        if not name or len(name) > self.longest or not name.isprintable():
            hint = f"`settings.list` gives this audience no list: the name must be one line of 1 to {self.longest} characters."
            raise Misconfigured(hint, code="bad_list")
        asked_for = self.expression.strip() in (f"'{self.fallback}'", f'`"{self.fallback}"`')
        if name.casefold() == self.fallback.casefold() and not asked_for:
            hint = f"{self.fallback} is the partner's default list, used only if `settings.list` is \"'{self.fallback}'\" itself."
            raise Misconfigured(hint, code="default_list")
        return name
