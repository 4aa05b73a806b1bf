"""What every adapter must do, whatever its partner: its case file, run through the real delivery against a scripted partner.

How a case file is written, and what is checked beside what it says, is described in cases/README.md.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from adapters.registry import names
from relay.domain.outcome import hash_user
from tests.contract.adapters.case_file import (
    BAD_IN_A_HUNDRED,
    CASES,
    TITLES,
    Answer,
    Case,
    CaseFile,
    Given,
    read_case_file,
)
from tests.contract.adapters.comparing import Outcomes, call_differences, outcome_differences
from tests.contract.adapters.delivery import HMAC_SECRET, Delivery
from tests.contract.adapters.expected import mentioned
from tests.contract.adapters.harness import case_file_of, with_case_file
from tests.contract.adapters.scripted_partner import ScriptedPartner

MOST_CALLS = 16
BAD = 37
MOST_LOOKS = 30
"""At what waits, after the partner is well again."""

WRITTEN = [(name, case) for name in with_case_file() for case in case_file_of(name).cases]
COME_BACK_LATER = [(name, case) for name, case in WRITTEN if case.title == "429 with seconds"]
IN_BATCHES = [name for name in with_case_file() if case_file_of(name).refusal]


@pytest.mark.parametrize("adapter", names())
def test_every_adapter_has_a_case_file_with_every_title_or_the_reason_why_not(adapter: str) -> None:
    assert (CASES / f"{adapter}.yaml").exists(), f"the adapter {adapter} has no case file"
    file = read_case_file(adapter)
    made = [case.title for case in file.cases] + ([BAD_IN_A_HUNDRED] if file.refusal else [])
    assert len(set(made)) == len(made), "a title is there twice"
    assert set(TITLES) - set(made) == set(file.not_applicable)
    assert all(len(reason.split()) > 3 for reason in file.not_applicable.values())
    assert file.document["adapter"] == adapter


def test_every_case_file_is_one_of_an_adapter() -> None:
    assert {path.stem for path in CASES.glob("*.yaml")} == set(names())


@pytest.mark.parametrize(("adapter", "case"), WRITTEN, ids=[f"{name}: {case.title}" for name, case in WRITTEN])
def test_delivery(adapter: str, case: Case, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = case_file_of(adapter)
    with delivered(file, case.given, case.answers, tmp_path) as (partner, delivery):
        assert partner.faults == []
        outcomes = delivery.outcomes()
        assert outcome_differences(case, outcomes) == []
        assert call_differences(case.calls, partner.calls, partner) == []
        assert_explained(delivery)
        log = capfd.readouterr().err
        assert '"attempt"' in log, "the log is seen"
        assert_nobody_is_told_of(file, case.given, partner, delivery, log)
        assert_left_alone_until_due(partner, delivery)
        assert_heals(partner, delivery, outcomes, twice=any(answer.do == "hang" for answer in case.answers))
        assert_nobody_is_told_of(file, case.given, partner, delivery, capfd.readouterr().err)
        assert partner.faults == []


@pytest.mark.parametrize("adapter", IN_BATCHES)
def test_one_bad_row_in_a_hundred_that_the_partner_does_not_name_costs_only_itself(
    adapter: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = case_file_of(adapter)
    assert file.refusal is not None
    refusal = msgspec.structs.replace(file.refusal, holds=file.row_of(BAD), times="always")
    given = Given(users=100, document={"limits": {"batch": {"max_items": 100}}})
    with delivered(file, given, (refusal,), tmp_path) as (partner, delivery):
        outcomes = [one["outcome"] for of_mutation in delivery.outcomes() for one in of_mutation.values()]
        assert [number for number, outcome in enumerate(outcomes, 1) if outcome != "delivered"] == [BAD]
        assert outcomes[BAD - 1] == "rejected"
        assert 2 <= sum(1 for call in partner.calls if partner.users_in(call)) <= MOST_CALLS
        assert_explained(delivery)
        assert_nobody_is_told_of(file, given, partner, delivery, capfd.readouterr().err)
        assert partner.faults == []


@pytest.mark.parametrize(("adapter", "case"), COME_BACK_LATER, ids=[name for name, _ in COME_BACK_LATER])
def test_a_partner_that_asks_to_come_back_later_is_left_alone_by_every_audience(
    adapter: str, case: Case, tmp_path: Path
) -> None:
    with delivered(case_file_of(adapter), case.given, case.answers, tmp_path) as (partner, delivery):
        hold = delivery.hold()
        assert hold is not None
        assert hold.due_at is not None
        called = len(partner.calls)
        delivery.publish_for_another_audience()
        delivery.work()
        delivery.pass_time(hold.due_at - 1 - delivery.clock.now())
        assert len(partner.calls) == called


@contextmanager
def delivered(
    file: CaseFile, given: Given, answers: tuple[Answer, ...], tmp_path: Path
) -> Iterator[tuple[ScriptedPartner, Delivery]]:
    """The batch of a case, after all turns that the worker takes before time passes."""
    with ScriptedPartner(file.well, file.count) as partner:
        delivery = Delivery(tmp_path / "state", file, given, partner.url)
        try:
            partner.play(answers)
            delivery.publish()
            delivery.work()
            yield partner, delivery
        finally:
            delivery.close()


# --- what holds for every case ---------------------------------------------------------------------------------------


def assert_explained(delivery: Delivery) -> None:
    """Whoever sees a rejection or a hold is told in one line what it is about."""
    for rejection in delivery.rejections():
        assert rejection.code
        assert rejection.user_hash == hash_user(delivery.mutations[rejection.index].user_key), "it can be found again"
        assert_one_line(rejection.hint)
    hold = delivery.hold()
    if hold is not None:
        assert_one_line(hold.detail)


def assert_one_line(text: str) -> None:
    assert text.strip()
    assert text.isprintable()
    assert len(text) <= 500


def assert_left_alone_until_due(partner: ScriptedPartner, delivery: Delivery) -> None:
    """Nobody is called before a hold is due."""
    hold = delivery.hold()
    if hold is None or hold.due_at is None or hold.due_at - 1 <= delivery.clock.now():
        return
    before = len(partner.calls)
    delivery.pass_time(hold.due_at - 1 - delivery.clock.now())
    assert len(partner.calls) == before, "the partner was called before the hold was due"


def assert_heals(partner: ScriptedPartner, delivery: Delivery, before: Outcomes, *, twice: bool) -> None:
    """The partner is well again: what waits is delivered by itself; what was settled stays as it was and is not sent again.

    twice: what waits may be sent more than once, since a short time-out of the case can be too short for a busy machine.
    """
    partner.play(())
    called = len(partner.calls)
    looks = 0
    while delivery.hold() is not None:
        looks += 1
        assert looks <= MOST_LOOKS, "it does not heal"
        delivery.pass_time(60 if looks > 1 else 2)
    pairs = [
        (was, became[action])
        for of_mutation, became in zip(before, delivery.outcomes(), strict=True)
        for action, was in of_mutation.items()
    ]
    assert [became for was, became in pairs if was["outcome"] != "waiting" and became != was] == []
    assert {became["outcome"] for was, became in pairs if was["outcome"] == "waiting"} <= {"delivered"}
    waited = sum(was["outcome"] == "waiting" for was, _ in pairs)
    carried = sum(partner.users_in(call) for call in partner.calls[called:])
    assert carried == waited or (twice and carried >= waited), "what was settled was sent again"


def exchanged(delivery: Delivery) -> str:
    """What is kept of what was sent and answered, without what stands there of the connector's own."""
    reports = delivery.backend.reports
    kept = [reports.exchanges(one.attempt_id) for one in delivery.reports()]
    assert any(kept) or not any(one.calls for one in delivery.reports()), "it is kept"
    hashes = {hash_user(value) for mutation in delivery.mutations for value in mutation.user.values()}
    text = msgspec.json.encode(kept).decode()
    assert not {one for one in hashes if one in text or one[:12] in text}, "no hash either, that would have to be forgotten"
    return text


def assert_nobody_is_told_of(
    file: CaseFile, given: Given, partner: ScriptedPartner, delivery: Delivery, log: str
) -> None:
    """No identifier and no secret is where it does not belong."""
    secrets = [*file.secrets.values(), HMAC_SECRET]
    people = {value for mutation in delivery.mutations for value in mutation.user.values() if len(value) > 2}
    numbers = [number for one in given.mutations for number in one.values() if isinstance(number, int)]
    people |= {file.row_of(number) for number in numbers or range(1, given.users + 1)}
    rejections = [msgspec.structs.replace(one, user_hash="") for one in delivery.rejections()]
    record = delivery.backend.audiences.get(delivery.connector.name, file.audience.id)
    texts = {
        "the log": log,
        "a report": msgspec.json.encode(delivery.reports()).decode(),
        "a rejection": msgspec.json.encode(rejections).decode(),
        "what is kept of an exchange": exchanged(delivery),
        "the audience's record": msgspec.json.encode(record).decode(),
    }
    for place, text in texts.items():
        assert not mentioned([*people, *secrets], text), f"{place} tells of somebody, or a secret"
    description = delivery.worker.partners.open(delivery.connector).description
    credentials = {name.lower() for name in description.credential_headers}
    encoded = [base64.b64encode(value.encode()).decode().rstrip("=")[:-1] for value in secrets]
    for call in partner.calls:
        assert not mentioned([*people, *secrets], call.path), "a path tells of somebody, or a secret"
        assert not mentioned(people, " ".join(call.query.values())), "a query tells of somebody"
        carrying = {name for name, value in call.headers.items() if any(one in value for one in (*secrets, *encoded))}
        assert carrying <= credentials, "a header carries a secret, and the description does not say so"
