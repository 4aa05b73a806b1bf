"""From a partner's answers to typed errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from adapters.answers import AnswerTable, Rule, audience_not_ready, batch_refused, try_again
from adapters.contract import HttpAnswer
from relay.domain.errors import AudienceNotReady, BatchRefused, CredentialsRefused, PartnerError, TryAgain
from tests.clock import TurnedClock

CASES = yaml.safe_load((Path(__file__).parents[2] / "cases" / "answers.yaml").read_text())
NOW = 1_792_566_000.0  # 2026-10-21 07:00:00 UTC


def given_answer(status: int, headers: dict[str, str] | None = None, body: Any = None, nested: int = 0) -> HttpAnswer:
    content = b"[" * nested if nested else body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    return HttpAnswer(status, headers or {}, content if body is not None or nested else b"", 1.0)


@pytest.mark.parametrize("case", CASES, ids=[case["title"] for case in CASES])
def test_an_answer_says_what_to_do_next(case: dict[str, Any]) -> None:
    given, expected = dict(case["given"]), dict(case["expected"])
    audience = given.pop("audience", False)
    read = AnswerTable().read

    if "value" in expected:
        assert read(given_answer(**given), clock=TurnedClock(NOW), audience=audience) == expected["value"]
        return
    with pytest.raises(PartnerError) as caught:
        read(given_answer(**given), clock=TurnedClock(NOW), audience=audience)

    error = caught.value
    assert type(error).__name__ == expected.pop("error")
    assert error.status == given["status"]
    assert str(given["status"]) in error.hint
    if isinstance(error, TryAgain):
        usual = {"after_s": None, "account": False, "applied_unknown": False}
        assert {name: getattr(error, name) for name in ("code", *usual)} == {**usual, **expected}


OWN = AnswerTable(
    Rule(audience_not_ready("It is still being made."), (400,), body={"error.code": (1487301, "building")}),
    Rule(try_again("Too much.", code="busy", account=True), (400,), headers={"X-Reason": ("quota",)}),
    Rule(batch_refused("Part of it failed.", code="partial"), range(200, 300), body={"ok": (False,)}),
)


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (given_answer(400, body={"error": {"code": 1487301}}), AudienceNotReady, "audience_not_ready"),
        (given_answer(400, body={"error": {"code": "building"}}), AudienceNotReady, "audience_not_ready"),
        (given_answer(400, {"x-reason": "quota"}), TryAgain, "busy"),
        (given_answer(200, body={"ok": False}), BatchRefused, "partial"),
        (given_answer(400, body={"error": {"code": 1}}), BatchRefused, "refused"),
        (given_answer(400, body={"error": "building"}), BatchRefused, "refused"),
        (given_answer(400, body=["building"]), BatchRefused, "refused"),
        (given_answer(401, body={"error": {"code": 1487301}}), CredentialsRefused, "credentials_refused"),
    ],
)
def test_a_partners_own_rules_come_first(answer: HttpAnswer, kind: type[PartnerError], code: str) -> None:
    with pytest.raises(kind) as caught:
        OWN.read(answer, clock=TurnedClock(NOW))
    assert caught.value.code == code


def test_a_success_that_no_own_rule_calls_a_failure_is_one() -> None:
    assert OWN.read(given_answer(200, body={"ok": True}), clock=TurnedClock(NOW)) == {"ok": True}


def test_hints_do_not_repeat_what_the_partner_wrote() -> None:
    for status in (200, 301, 400, 401, 404, 418, 429, 500, 503):
        with pytest.raises(PartnerError) as caught:
            AnswerTable().read(given_answer(status, {"X-User": "somebody"}, body="<p>somebody"), clock=TurnedClock(NOW))
        assert "somebody" not in caught.value.hint


def test_a_hint_is_one_sentence_with_the_status_in_it() -> None:
    for status in (301, 400, 401, 404, 418, 422, 429, 500, 503):
        with pytest.raises(PartnerError) as caught:
            AnswerTable().read(given_answer(status), clock=TurnedClock(NOW))
        assert caught.value.hint.endswith(f" (status {status}).")


@pytest.mark.parametrize(("status", "kind"), [(200, TryAgain), (401, CredentialsRefused), (400, BatchRefused), (500, TryAgain)])
def test_a_cut_answer_is_no_success_and_a_cut_error_is_known_by_its_status(status: int, kind: type[PartnerError]) -> None:
    beginning = HttpAnswer(status, {}, b"{}" + b" " * 1024 * 1024, 1.0, cut=True)
    with pytest.raises(kind) as caught:
        AnswerTable().read(beginning, clock=TurnedClock(NOW))
    assert caught.value.status == status
    if status == 200:
        assert caught.value.code == "unreadable_answer"


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 409, 413, 422, 429, 503])
def test_the_partners_wish_to_be_left_alone_is_known_whatever_the_error(status: int) -> None:
    with pytest.raises(PartnerError) as caught:
        AnswerTable().read(given_answer(status, {"Retry-After": "3600"}, body="<p>"), clock=TurnedClock(NOW), audience=True)
    assert caught.value.after_s == 3600
