"""Configuration from environment variables."""

from __future__ import annotations

import os
import pwd

import pytest

from relay.configuration import read


@pytest.mark.parametrize("variable", ["USER", "LOGNAME"])
def test_the_environment_says_who_does_it(variable: str) -> None:
    assert read({variable: "the-operator"}).user == "the-operator"


def test_without_such_a_variable_it_is_the_owner_of_the_process() -> None:
    assert read({}).user == pwd.getpwuid(os.getuid()).pw_name


def test_an_owner_without_a_name_is_given_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert read({}).user == f"user {os.getuid()}"
