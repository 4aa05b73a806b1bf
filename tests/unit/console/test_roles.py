"""Who may do what."""

from __future__ import annotations

import pytest

from relay.console.roles import Role, RoleList, Visitor, needs, open_to_everybody, role_for
from relay.domain.errors import ConfigurationError

LIST = "Alice@example.com=admin, bob@example.com=operator;*@example.com=viewer"


@pytest.mark.parametrize(
    ("email", "role"),
    [
        ("alice@example.com", "admin"),
        ("ALICE@EXAMPLE.COM", "admin"),
        ("bob@example.com", "operator"),
        ("carol@example.com", "viewer"),
        ("carol@example.org", None),
        ("alice@example.com.evil.example", None),
        ("", None),
    ],
)
def test_the_first_rule_that_matches_an_address_gives_its_role(email: str, role: Role | None) -> None:
    assert RoleList(LIST).role_of(email) == role


def test_without_a_list_whoever_was_let_in_may_look() -> None:
    assert RoleList("").role_of("anybody@example.com") == "viewer"


@pytest.mark.parametrize("text", ["alice@example.com", "a@b.c=owner", "=admin", "a@b.c=admin, nonsense", "admin=a@b.c"])
def test_a_list_that_cannot_be_read_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(ConfigurationError, match="CONSOLE_ROLES"):
        RoleList(text)


@pytest.mark.parametrize(
    ("role", "may"), [("viewer", ["viewer"]), ("operator", ["viewer", "operator"]), ("admin", ["viewer", "operator", "admin"])]
)
def test_a_role_includes_those_below_it(role: Role, may: list[Role]) -> None:
    every: tuple[Role, ...] = ("viewer", "operator", "admin")

    assert [one for one in every if Visitor("somebody", role).may(one)] == may


def test_a_view_says_whom_it_is_for_and_says_nothing_by_itself() -> None:
    def view() -> str:
        return ""

    assert role_for(view) is None
    assert role_for(needs("operator")(view)) == "operator"
    assert role_for(open_to_everybody(view)) == "everybody"
