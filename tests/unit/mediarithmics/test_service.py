"""What the plugin says of itself, and how much the log says."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from handlers.mediarithmics.service import PACKAGES
from relay.wide_log import log, set_threshold, threshold
from tests.unit.mediarithmics.platform import Platform

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _usual_level() -> Iterator[None]:
    yield
    set_threshold("INFO")


def _events(capfd: pytest.CaptureFixture[str]) -> list[str]:
    return [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()]


def test_lines_below_the_threshold_are_left_out_and_it_is_info_at_first(capfd: pytest.CaptureFixture[str]) -> None:
    assert threshold() == "INFO"
    log("quiet", "DEBUG")
    log("usual")
    set_threshold("WARNING")
    log("usual_again")
    log("warned", "WARNING")
    set_threshold("DEBUG")
    log("quiet_again", "DEBUG")
    assert _events(capfd) == ["usual", "warned", "quiet_again"]


def test_the_threshold_holds_in_all_threads(capfd: pytest.CaptureFixture[str]) -> None:
    set_threshold("ERROR")
    thread = threading.Thread(target=log, args=("elsewhere",))
    thread.start()
    thread.join()
    assert _events(capfd) == []


def test_the_packages_named_are_those_that_the_functions_install() -> None:
    pinned = re.findall(r"^([A-Za-z][\w.-]*)==", (ROOT / "requirements.txt").read_text(), re.M)
    assert [each.lower() for each in PACKAGES] == ["diy-relay", *(each.lower() for each in pinned)]


def test_dependencies_are_told_with_their_versions(platform: Platform) -> None:
    dependencies = platform.call("GET", "/v1/metadata").json()["dependencies"]
    assert re.fullmatch(r"\d+(\.\d+)+", dependencies["msgspec"])
    assert dependencies["diy-relay"]
