"""A connector's rate, kept by real processes in front of a partner that counts exactly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.stack import DOCUMENT, Stack, eventually

pytestmark = [pytest.mark.once, pytest.mark.quiet]

ALLOWED = 20
"""Calls a second, at Pangolin and in the connector: few enough for a busy machine."""

A_CALL = 10
"""Users in one."""

AUDIENCES = 5
USERS = 400
"""Of each audience."""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(tmp_path)
    try:
        made.start("pangolin", "receiver")
        yield made
    finally:
        made.stop()


def test_a_backlog_of_new_audiences_is_sent_without_a_429_at_nine_tenths_of_the_allowed_calls_or_more(stack: Stack) -> None:
    limit(stack, f"{{calls: {ALLOWED}, per: 1s}}")
    stack.pangolin("PUT", "/api/faults", limit_per_s=ALLOWED)
    assert_kept_and_used(calls_of_a_backlog(stack))


def test_a_backlog_is_sent_without_a_429_at_nine_tenths_of_the_allowed_items_or_more(stack: Stack) -> None:
    limit(stack, f"{{calls: {10 * ALLOWED}, items: {ALLOWED * A_CALL}, per: 1s}}")
    for number in range(AUDIENCES):  # a creation has next to no items
        assert stack.post("CREATE_AUDIENCE", {"Name": f"Audience {number}", "Audience": f"rate.{number}"}).status_code == 200
    stack.pangolin("PUT", "/api/faults", limit_per_s=ALLOWED)
    assert_kept_and_used([call for call in calls_of_a_backlog(stack) if call["count"]])


def limit(stack: Stack, rate: str) -> None:
    document = DOCUMENT.format(port=stack.ports["pangolin"], mode="own")
    stack.publishing.apply(f"{document}limits: {{batch: {{max_items: {A_CALL}}}, rate: {rate}}}\n")


def calls_of_a_backlog(stack: Stack) -> list[dict[str, Any]]:
    """The calls that Pangolin has got once all of it is delivered, oldest first."""
    for number in range(AUDIENCES):
        assert stack.change(f"rate.{number}", [f"user-{number}-{user}" for user in range(USERS)]).status_code == 200
    stack.start("worker")
    eventually(stack.drained, within_s=60)
    calls: list[dict[str, Any]] = stack.pangolin("GET", "/api/calls")
    return calls


def assert_kept_and_used(calls: list[dict[str, Any]]) -> None:
    assert {call["status"] for call in calls} <= {200, 201}
    assert sum(call["count"] for call in calls) == AUDIENCES * USERS
    assert {call["count"] for call in calls} - {0} == {A_CALL}, "each is as full as it may be"
    lasted = calls[-1]["time"] - calls[0]["time"]
    assert (len(calls) - 1) / lasted >= 0.9 * ALLOWED
