"""Every route's answers, statuses and headers, as the case files in tests/cases/mediarithmics say (their format: README.md)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from relay.domain.feed import OfferedSetting
from tests.unit.mediarithmics.gateway import FEED
from tests.unit.mediarithmics.pipes import error_named
from tests.unit.mediarithmics.platform import IDS, Platform, replying

CASES = Path(__file__).parents[2] / "cases" / "mediarithmics"


def _cases() -> list[Any]:
    files = {file.stem: yaml.safe_load(file.read_text()) for file in sorted(CASES.glob("*.yaml"))}
    return [pytest.param(case, id=f"{name}: {case['title']}") for name, cases in files.items() for case in cases]


@pytest.mark.parametrize("case", _cases())
def test_the_case(platform: Platform, case: dict[str, Any]) -> None:
    _given(platform, case)
    state = ""
    for before in case.get("before", ()):
        state = _state_in(_send(platform, before, state)) or state
    response = _send(platform, case["request"], state)

    expected = case["expected"]
    body = response.json() if response.content else None
    assert (response.status_code, body) == (expected["status"], _Like(expected.get("body")))
    assert response.headers["X-Request-Id"]
    for name, value in expected.get("headers", {}).items():
        assert response.headers.get(name) == (None if value is None else _Like(value))
    if "queued" in expected:
        users = [mutation.user for message in platform.queued() for mutation in message.mutations]
        assert users == expected["queued"]
    if "called" in expected:
        for method, number in expected["called"].items():
            assert len(platform.pipes.called(method)) == number, method
    if "kept" in expected:
        assert [body for _, body in platform.gateway.received] == expected["kept"]


def _given(platform: Platform, case: dict[str, Any]) -> None:
    gateway = case.get("gateway", {})
    for path, answer in gateway.get("answers", {}).items():
        platform.gateway.answers[path.replace("{feed}", FEED)] = tuple(answer) if isinstance(answer, list) else answer
    if "properties" in gateway:
        platform.gateway.set_properties(**gateway["properties"])
    if "feed" in gateway:
        platform.gateway.set_feed(**gateway["feed"])
    destination = case.get("destination", {})
    for method, error in destination.get("raises", {}).items():
        platform.pipes.raises[method] = error_named(**error)
    platform.pipes.delay_s.update(destination.get("delay_s", {}))
    if "accepts" in destination:
        platform.pipes.accepts = tuple(destination["accepts"])
    platform.pipes.keyless = destination.get("keyless", False)
    platform.pipes.choices.update({name: [tuple(one) for one in each] for name, each in destination.get("choices", {}).items()})
    platform.pipes.tokens.update({("pangolin", login): "token" for login in destination.get("connected", ())})
    if "offered" in destination:
        offered = {name: tuple(value) if isinstance(value, list) else value for name, value in destination["offered"].items()}
        if "settings" in offered:
            offered["settings"] = tuple(OfferedSetting(**each) for each in offered["settings"])
        platform.pipes.offer(**offered)
    if destination.get("none"):
        platform.pipes.offers.clear()
    if "replies" in case:
        platform.work(replying(**case["replies"]))
    if "settings" in case or "bounds" in case:
        platform.serve(settings=case.get("settings"), **case.get("bounds", {}))


def _state_in(response: Any) -> str:
    """Of the login to which the answer leads; empty where it leads to none."""
    answered = response.json() if response.content else {}
    url: str = answered.get("login_url") or answered.get("data", {}).get("login_url", "")
    return parse_qs(urlsplit(url).query).get("state", [""])[0]


def _send(platform: Platform, request: dict[str, Any], state: str) -> Any:
    method, path = request["to"].split()
    body = request.get("body")
    if isinstance(body, dict) and body.get("params", {}).get("state") == "STATE":
        body = {**body, "params": {**body["params"], "state": state}}
    if isinstance(body, dict) and request.get("ids", True) and method == "POST":
        body = {**IDS, **body}
    return platform.call(method, path, body, headers=request.get("headers"))


class _Like:
    """Equal to what an expectation describes: a text that begins with ~ is a pattern, ANY is anything, and everything else is
    meant as it stands."""

    def __init__(self, expected: Any) -> None:
        self._expected = expected

    def __eq__(self, other: object) -> bool:
        expected = self._expected
        if expected == "ANY":
            return True
        if isinstance(expected, str) and expected.startswith("~"):
            return isinstance(other, str) and re.search(expected[1:], other) is not None
        if isinstance(expected, dict) and isinstance(other, dict):
            return expected.keys() == other.keys() and all(_Like(value) == other[name] for name, value in expected.items())
        if isinstance(expected, list) and isinstance(other, list):
            return len(expected) == len(other) and all(_Like(one) == two for one, two in zip(expected, other, strict=True))
        return bool(expected == other)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return repr(self._expected)
