"""`diy secrets rotate`, cut short and repeated: the value that the DMP has stays good."""

from __future__ import annotations

from tests.unit.cli.conftest import Diy


def values(diy: Diy, name: str) -> tuple[str, ...]:
    with diy.backend() as backend:
        return backend.secrets.get(name)


def test_repeating_a_generated_rotation_does_not_drop_the_value_that_the_dmp_has(diy: Diy) -> None:
    diy.apply()
    diy.fine("secrets", "rotate", "pangolin-hmac", "--generate")
    rotated = values(diy, "pangolin-hmac")
    again = diy("secrets", "rotate", "pangolin-hmac", "--generate")
    assert again.exit_code == 1
    assert "diy secrets retire pangolin-hmac" in again.stderr
    assert "--show-secrets" in again.stderr
    assert not any(value in again.output for value in rotated)
    assert values(diy, "pangolin-hmac") == rotated
    assert rotated[1] == "an-hmac-secret"


def test_the_value_that_a_rotation_generated_can_still_be_seen(diy: Diy) -> None:
    diy.apply()
    diy.fine("secrets", "rotate", "pangolin-hmac", "--generate")
    assert values(diy, "pangolin-hmac")[0] in diy.fine("connectors", "activation", "pangolin", "--show-secrets")


def test_after_the_previous_value_is_retired_the_next_rotation_begins(diy: Diy) -> None:
    diy.apply()
    diy.fine("secrets", "rotate", "pangolin-hmac", "--generate")
    first = values(diy, "pangolin-hmac")[0]
    diy.fine("secrets", "retire", "pangolin-hmac")
    diy.fine("secrets", "rotate", "pangolin-hmac", "--generate")
    assert values(diy, "pangolin-hmac")[1] == first


def test_repeating_a_rotation_to_the_same_value_changes_nothing(diy: Diy) -> None:
    diy.apply()
    for _ in range(2):
        diy.fine("secrets", "rotate", "pangolin-hmac", input="the next one")
        assert values(diy, "pangolin-hmac") == ("the next one", "an-hmac-secret")


def test_the_help_says_how_to_repeat_it(diy: Diy) -> None:
    shown = " ".join(diy.fine("secrets", "rotate", "--help").split())
    assert "If the command was cut short, repeat it" in shown
    assert "diy secrets retire" in shown
