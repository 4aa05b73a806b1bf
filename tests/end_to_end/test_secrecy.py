"""No identifier, secret or token in any output, at debug level, server and access logs included."""

from __future__ import annotations

import base64
import functools
import hashlib
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import requests

from relay.domain.outcome import Report
from tests.end_to_end.google_stack import GoogleStack
from tests.end_to_end.stack import BASIC, HMAC_SECRET, TOKEN, Stack, eventually

USER = "canary user/ä+7f3a"
EMAIL = "canary+7f3a@example.org"

SAID = {"receiver": '"event":"request"', "worker": '"event":"attempt"', "create": '"request_id"', "tick": '"event":"tick"'}
"""What is in the output of a process that has done its work, so that silence is not taken for secrecy."""


def disguises(canary: str) -> set[str]:
    raw = canary.encode()
    hashes = {hashlib.new(name, raw).hexdigest() for name in ("sha1", "sha256", "md5")}
    encoded = {base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("=")}
    quoted = {urllib.parse.quote(canary), urllib.parse.quote(canary, safe=""), urllib.parse.quote_plus(canary)}
    return {canary, raw.hex(), ascii(canary).strip("'"), *hashes, *encoded, *quoted}


@pytest.fixture(params=["embedded", pytest.param("google", marks=pytest.mark.once)])
def talkative(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """A stack on each back end whose processes say all that they can say."""
    if request.param == "embedded":
        stack = Stack(tmp_path, debug=True)
    else:
        stack = GoogleStack(tmp_path, request.getfixturevalue("emulators"), debug=True)
    try:
        yield stack
    finally:
        stack.stop()


def test_no_identifier_and_no_secret_appears_in_any_output(talkative: Stack) -> None:
    stack = talkative
    stack.start()
    mutation = {"Audience": "canary.1", "User": USER, "Email": EMAIL}
    assert stack.post("CREATE_AUDIENCE", {"Name": "Canaries", "Audience": "canary.1"}).status_code == 200
    assert stack.post("ADD_TO_AUDIENCE", {"Mutations": [mutation]}).status_code == 200
    eventually(lambda: stack.members("canary.1") == {USER})
    # every way of going wrong, with identifiers in the data
    answers = [
        stack.post("ADD_TO_AUDIENCE", {"Mutations": [{"Audience": "canary.1", "Useless": EMAIL}]}),
        stack.post("ADD_TO_AUDIENCE", {"Mutations": [mutation]}, secret="wrong"),
        stack.post("NO_SUCH_TYPE", {"Mutations": [mutation]}),
        requests.post(f"{stack.url}?type=ADD_TO_AUDIENCE", data=f'{{"Mutations": [{{"User": "{USER}"'.encode(), timeout=5),
    ]
    for faults in (
        {"reject_users": [USER]},
        {"poison_users": [USER]},
        {"html": True, "calls": 1},
        {"unauthorized": True, "calls": 1},
        {"status": 500, "calls": 1},
    ):
        before = len(attempts(stack))
        stack.pangolin("PUT", "/api/faults", **faults)
        assert stack.post("ADD_TO_AUDIENCE", {"Mutations": [mutation]}).status_code == 200
        eventually(functools.partial(more_attempts, stack, before))
        eventually(functools.partial(is_where_it_belongs, stack))
        stack.pangolin("DELETE", "/api/faults")
        eventually(functools.partial(is_drained_by_hand, stack), every_s=2.0)
    for name, said in SAID.items():
        assert name not in stack.processes or said in stack.output(name)
    printed = stack.outputs() + "".join(answer.text for answer in answers) + kept_of_calls(stack)
    secrets = {HMAC_SECRET, TOKEN, BASIC, BASIC.partition(":")[2], base64.b64encode(BASIC.encode()).decode()}
    canaries = disguises(USER) | disguises(EMAIL) | secrets
    assert not {canary for canary in canaries if canary in printed}


def kept_of_calls(stack: Stack) -> str:
    """What the pages of all attempts show of what was sent and answered."""
    kept = [stack.backend.reports.exchanges(report.attempt_id) for report in attempts(stack)]
    assert any(one and any("‹user 1: " in call.sent.masked for call in one.kept) for one in kept), "something is kept"
    return msgspec.json.encode(kept).decode()


def attempts(stack: Stack) -> list[Report]:
    """Every try to deliver."""
    found: list[Report] = stack.backend.reports.attempts("pangolin", limit=1000)
    return found


def more_attempts(stack: Stack, than: int) -> bool:
    return len(attempts(stack)) > than


def is_drained_by_hand(stack: Stack) -> bool:
    """Asks again and again, since a turn that has not ended may yet write a due time of its own."""
    stack.backend.audiences.make_due("pangolin")
    return stack.drained()


def is_where_it_belongs(stack: Stack) -> bool:
    """Whether what the newest attempt left over has joined its hold, which comes after the attempt is reported."""
    newest = max(attempts(stack), key=lambda report: report.at)
    return not newest.held or bool(stack.backend.audiences.held())
