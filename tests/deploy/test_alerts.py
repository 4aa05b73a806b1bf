"""The metrics and alerts of deploy/monitoring: every field that a filter names is in a line that the code really writes, and each
metric counts the lines it is for and no others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handlers.mapp.request_log import RequestRecord
from handlers.mapp.tally import Tally
from relay.domain.audience import VERSION, Audience, Hold
from relay.domain.message import Message
from tests.clock import TurnedClock
from tests.deploy.scripts import ROOT, commands, shown
from worker.report import log_attempt, make_report
from worker.tick import log_tick

MONITORING = ROOT / "deploy" / "monitoring"
METRICS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((MONITORING / "metrics").glob("*.json"))
}
POLICIES: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((MONITORING / "policies").glob("*.json"))
}
NOW = 1_800_000_000.0

Line = dict[str, Any]


@pytest.fixture
def written(capfd: pytest.CaptureFixture[str]) -> Callable[[], list[Line]]:
    """The lines written since it was asked last."""
    capfd.readouterr()
    return lambda: [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def attempt(*, delivered: int, rejected: int = 0) -> None:
    counts = {"delivered": delivered, "rejected": rejected, "retry": 0, "superseded": 0, "skipped": 0}
    message = Message(version=1, kind="change", connector="acme", audience="7", request_id="r", received_at=NOW)
    log_attempt(
        make_report(
            attempt_id="a",
            connector_version=1,
            messages=[message],
            results=[],
            counts={name: number for name, number in counts.items() if number},
            calls=[],
            began_at=NOW,
            ended_at=NOW + 1,
            problem="",
            hint="",
            held="",
            due_at=None,
        )
    )


def accept(mutations: int) -> None:
    record = RequestRecord("r")
    record.mutations = mutations
    Tally(TurnedClock()).add(record)


def refuse(status: int) -> None:
    record = RequestRecord("r")
    record.mutations = 5
    record.write(status, 1.0)


def tick(*holds: Hold) -> None:
    held = [Audience(version=VERSION, connector="acme", id=str(number), hold=hold) for number, hold in enumerate(holds)]
    log_tick(0, held, NOW)


def hold(reason: Any, *, age_s: float = 60.0) -> Hold:
    """As a turn makes it: it is tried again even where someone must act."""
    due_at = None if reason in ("connector_off", "paused") else NOW + 30
    return Hold(reason, NOW - age_s, due_at=due_at, batches=1, items=5, oldest_at=NOW - age_s)


def conditions(metric: str) -> Iterator[tuple[str, str, str]]:
    """(field, sign, value) of each condition of the metric's filter. Only what the filters use is known here."""
    for part in METRICS[metric]["filter"].split(" AND "):
        found = re.fullmatch(r'([\w.]+)(=|>)("[^"]*"|[\d.]+)', part)
        assert found, part
        yield found[1], found[2], found[3]


def counts(metric: str, line: Line) -> bool:
    """Whether the metric counts this line, wherever it came from."""
    return all(
        field in line and (line[field] == json.loads(value) if sign == "=" else line[field] > json.loads(value))
        for field, sign, value in ((path.removeprefix("jsonPayload."), sign, value) for path, sign, value in conditions(metric))
        if not field.startswith("resource.")
    )


@pytest.mark.parametrize("metric", METRICS)
def test_every_field_that_a_filter_names_is_in_a_line_of_its_event(written: Callable[[], list[Line]], metric: str) -> None:
    attempt(delivered=1)
    accept(1)
    tick()
    lines = written()

    named = {path.removeprefix("jsonPayload.") for path, _, _ in conditions(metric) if path.startswith("jsonPayload.")}
    event = next(json.loads(value) for path, _, value in conditions(metric) if path == "jsonPayload.event")
    assert any(line["event"] == event and named <= line.keys() for line in lines)


CASES: list[tuple[str, Callable[[], None], Callable[[], None]]] = [
    ("diy-relay-ticks", tick, lambda: accept(5)),
    ("diy-relay-mutations-on-hold", lambda: tick(hold("partner_unavailable")), lambda: tick(hold("gathering"))),
    ("diy-relay-old-hold", lambda: tick(hold("paused", age_s=22_000)), lambda: tick(hold("paused", age_s=21_000))),
    *(
        (
            "diy-relay-hold-needs-someone",
            lambda reason=reason: tick(hold("partner_unavailable"), hold(reason)),
            lambda: tick(hold("partner_unavailable"), hold("connector_off"), hold("gathering")),
        )
        for reason in ("credentials_refused", "audience_gone", "misconfigured", "crashed")
    ),
    ("diy-relay-credentials-refused", lambda: tick(hold("credentials_refused")), lambda: tick(hold("partner_unavailable"))),
    ("diy-relay-received", lambda: accept(5), lambda: refuse(503)),
    ("diy-relay-delivered", lambda: attempt(delivered=1), lambda: attempt(delivered=0, rejected=1)),
]


@pytest.mark.parametrize(("metric", "does", "does_not"), CASES, ids=[case[0] for case in CASES])
def test_a_metric_counts_what_it_is_for_and_nothing_else(
    written: Callable[[], list[Line]], metric: str, does: Callable[[], None], does_not: Callable[[], None]
) -> None:
    does()
    (counted,) = written()
    does_not()
    (other,) = written()

    assert counts(metric, counted)
    assert not counts(metric, other)


def test_every_metric_is_tried() -> None:
    assert {case[0] for case in CASES} == METRICS.keys()


@pytest.mark.parametrize("policy", POLICIES)
def test_an_alert_looks_at_metrics_and_services_that_there_are(policy: str) -> None:
    text = json.dumps(POLICIES[policy]["conditions"]).replace('\\"', '"')
    deployed = {word for words in commands(shown("deploy")) for word in words}

    by_name = {name.replace("-", "_"): name for name in METRICS}
    named = {*re.findall(r"logging.googleapis.com/user/([\w-]+)", text)}
    named |= {by_name[found] for found in re.findall(r"logging_googleapis_com:user_(\w+)\{", text)}
    assert named <= METRICS.keys()
    assert set(re.findall(r'(?:service_name|subscription_id)="([\w-]+)"', text)) <= deployed
    assert named or "googleapis.com/" in text


def test_every_metric_has_an_alert() -> None:
    text = json.dumps(POLICIES)

    assert [name for name in METRICS if name not in text and f"user_{name.replace('-', '_')}" not in text] == []


@pytest.mark.parametrize("policy", POLICIES)
def test_an_alert_says_what_is_the_matter_and_what_to_do(policy: str) -> None:
    written = POLICIES[policy]

    assert written["displayName"].startswith("DIY Relay: ")
    assert len(written["documentation"]["content"]) > 100
    assert len(written["conditions"]) == 1
    assert written["userLabels"] == {"app": "diy-relay"}


@pytest.mark.parametrize("policy", POLICIES)
def test_an_alert_that_says_what_missing_data_mean_waits_for_a_minute_at_least(policy: str) -> None:
    """`duration`: https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#MetricThreshold"""
    for condition in POLICIES[policy]["conditions"]:
        threshold = condition.get("conditionThreshold", {})
        if "evaluationMissingData" in threshold:
            duration_s = int(threshold["duration"].removesuffix("s"))
            assert duration_s >= 60
            assert duration_s % 60 == 0


def test_an_alert_in_promql_can_be_made_before_its_metric_was_ever_written() -> None:
    kind = "conditionPrometheusQueryLanguage"
    written = [one[kind] for policy in POLICIES.values() for one in policy["conditions"] if kind in one]

    assert written
    assert all(one["disableMetricValidation"] is True for one in written)


def test_the_alerts_have_different_names_since_deploy_finds_them_by_these() -> None:
    assert len({policy["displayName"] for policy in POLICIES.values()}) == len(POLICIES)


def test_what_can_go_wrong_has_an_alert() -> None:
    assert POLICIES.keys() == {
        "credentials-refused",
        "hold-needs-someone",
        "journal-behind",
        "mutations-on-hold",
        "nothing-delivered",
        "old-hold",
        "receiver-errors",
        "receiver-slow",
        "tick-missing",
        "unacknowledged",
    }


def test_each_service_of_a_filter_writes_the_line_it_is_about() -> None:
    services = {metric: {path: value for path, _, value in conditions(metric)} for metric in METRICS}
    writers = {'"tick"': '"diy-relay-tick"', '"received"': '"diy-relay-diy"', '"attempt"': '"diy-relay-deliver"'}

    for metric, fields in services.items():
        assert fields["resource.labels.service_name"] == writers[fields["jsonPayload.event"]], metric
        assert fields["resource.type"] == '"cloud_run_revision"'


def test_the_files_are_where_deploy_looks() -> None:
    files = {word.partition("=")[2] for words in commands(shown("deploy")) for word in words if "-from-file=" in word}

    assert files == {
        str(Path("deploy/monitoring") / kind / f"{name}.json")
        for kind, names in (("metrics", METRICS), ("policies", POLICIES))
        for name in names
    }
