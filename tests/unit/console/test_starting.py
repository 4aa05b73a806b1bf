"""When the console starts, and when it must not."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from relay.configuration import LOCAL_CONSOLE_PASSWORD, Configuration
from relay.console import create_app
from relay.console.__main__ import command
from relay.domain.errors import ConfigurationError


@pytest.mark.parametrize(
    ("changes", "starts"),
    [
        ({}, True),
        ({"host": "0.0.0.0"}, False),  # noqa: S104
        ({"on_cloud_run": True}, False),
        ({"host": "0.0.0.0", "console_password": "own"}, True),  # noqa: S104
        ({"on_cloud_run": True, "console_password": "own"}, True),
    ],
)
def test_the_password_that_everybody_knows_is_good_on_this_machine_only(changes: dict[str, object], starts: bool) -> None:
    configuration = replace(Configuration(console_password=LOCAL_CONSOLE_PASSWORD), **changes)
    if starts:
        assert create_app(configuration)
        return
    with pytest.raises(ConfigurationError, match="CONSOLE_PASSWORD"):
        create_app(configuration)
    with pytest.raises(ConfigurationError, match="CONSOLE_PASSWORD"):
        command(configuration)


def test_without_a_state_nobody_gets_in(tmp_path: Path) -> None:
    client = create_app(Configuration(state_dir=tmp_path / "none")).test_client()

    answer = client.get("/")

    assert answer.status_code == 503
    assert "There is no state" in answer.text
