"""A case, compared with what happened; every difference is a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.contract.adapters.case_file import Case, ExpectedCalls
from tests.contract.adapters.expected import Outcome, Patterns, outcome_difference
from tests.contract.adapters.scripted_partner import Call, ScriptedPartner

_CALL_KEYS = {"call", "query", "json", "form", "text", "count", "headers"}

Outcomes = Sequence[Mapping[str, Mapping[str, Any]]]
"""For each mutation: action → its outcome."""


def outcome_differences(case: Case, outcomes: Outcomes) -> list[str]:
    """What became of the mutations otherwise than expected."""
    expected = case.outcomes if isinstance(case.outcomes, tuple) else (case.outcomes,) * len(outcomes)
    if len(expected) != len(outcomes):
        return [f"{len(expected)} outcomes are expected of {len(outcomes)} mutations"]
    found = []
    for number, (wanted, actual) in enumerate(zip(expected, outcomes, strict=True)):
        by_action = _by_action(wanted, actual)
        if set(by_action) != set(actual):
            found.append(f"mutation {number} has outcomes for {sorted(actual)}")
        found += [
            f"mutation {number} {difference}"
            for action, outcome in by_action.items()
            if action in actual and (difference := outcome_difference(outcome, actual[action]))
        ]
    return found


def _by_action(wanted: Outcome, actual: Mapping[str, Any]) -> dict[str, Outcome]:
    """The outcome of each action; the same for all of them where the case names none."""
    if isinstance(wanted, dict) and any(action in wanted for action in actual):
        return dict(wanted)
    return dict.fromkeys(actual, wanted)


def call_differences(expected: ExpectedCalls, calls: Sequence[Call], partner: ScriptedPartner) -> list[str]:
    """What was called otherwise than expected."""
    if isinstance(expected, dict):
        most = expected["at_most"]
        return [] if 0 < len(calls) <= most else [f"{len(calls)} calls were made; expected are some, and at most {most}"]
    wanted: list[dict[str, Any]] = [{"call": one} if isinstance(one, str) else one for one in expected]
    made = [call.line for call in calls]
    if [one.get("call") for one in wanted] != made:
        return [f"the calls are {made}"]
    patterns = Patterns()
    found = []
    for number, (one, call) in enumerate(zip(wanted, calls, strict=True)):
        place = f"call {number}"
        found += [f"{place} of the case file has an unknown {key!r}" for key in one if key not in _CALL_KEYS]
        found += patterns.differences(one.get("query", {}), call.query, f"{place}: query")
        for name, actual in (("json", call.body), ("form", call.form), ("text", call.text), ("count", partner.users_in(call))):
            if name in one:
                found += patterns.differences(one[name], actual, f"{place}: {name}")
        for name, value in one.get("headers", {}).items():
            found += patterns.differences(value, call.headers.get(name.lower()), f"{place}: header {name}")
    return found
