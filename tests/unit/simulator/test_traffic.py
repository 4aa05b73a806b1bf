"""The simulated DMP, against a receiver over real HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from relay.simulator.dmp import Change, Dmp, DmpAudience
from relay.simulator.population import audiences, users
from relay.simulator.traffic import Simulation
from tests.unit.simulator.receiver import BASIC, SECRET, Received, receiver


@pytest.fixture
def partner() -> Iterator[Received]:
    with receiver() as received:
        yield received


def simulation(received: Received, **options: Any) -> Simulation:
    given: dict[str, Any] = {"audiences": 3, "users": 300, "rate": 200, "duration_s": 0.3, "seed": 7} | options
    return Simulation(received.url, SECRET, BASIC, **given)


def test_every_audience_is_announced_before_its_users_are_sent(partner: Received) -> None:
    simulation(partner).run()

    kinds = [kind for kind, _ in partner.requests]
    assert kinds[:3] == ["CREATE_AUDIENCE"] * 3
    assert "CREATE_AUDIENCE" not in kinds[3:]
    announced = [document["Audience"] for _, document in partner.requests[:3]]
    assert announced == [audience.id for audience in audiences(3)]


def test_a_request_carries_at_most_a_hundred_users_and_some_carry_several_audiences(partner: Received) -> None:
    simulation(partner).run()

    uploads = [document["Mutations"] for kind, document in partner.requests if kind != "CREATE_AUDIENCE"]
    assert 50 <= len(uploads) <= 60  # sixty, unless the machine is busy
    assert max(len(mutations) for mutations in uploads) == 100
    spread = {len({mutation["Audience"] for mutation in mutations}) for mutations in uploads}
    assert spread == {1, 2, 3}


def test_users_join_and_leave(partner: Received) -> None:
    summary = simulation(partner).run()

    assert summary.joined > summary.left > 0
    assert {kind for kind, _ in partner.requests} == {"CREATE_AUDIENCE", "ADD_TO_AUDIENCE", "REMOVE_FROM_AUDIENCE"}


def test_the_expected_members_are_those_of_the_last_mutation(partner: Received) -> None:
    run = simulation(partner, users=30, rate=100, duration_s=0.5, largest=8)

    assert run.run().passed
    assert run.expected == {audience: members for audience, members in partner.members.items() if members}
    assert any(run.ledger.others.values())


def test_a_refused_request_changes_nothing_that_is_expected(partner: Received) -> None:
    run = simulation(partner, users=30)
    partner.troubles = [400] * 20

    summary = run.run()

    assert not summary.passed
    assert {(problem.status, problem.error) for problem in summary.problems} == {(400, "Come back later.")}
    refused = 20 - len(partner.troubles)  # a busy machine may get through fewer in the time
    assert sum(problem.requests for problem in summary.problems) == refused > 0
    assert run.expected == {audience: members for audience, members in partner.members.items() if members}


@pytest.mark.parametrize(("trouble", "status"), [(503, 503), (None, 0)])
def test_nothing_is_claimed_of_users_whose_request_failed_half_way(partner: Received, trouble: int | None, status: int) -> None:
    run = simulation(partner, rate=100, duration_s=0.01, audiences=1)
    partner.troubles = [trouble]

    summary = run.run()

    [(_, document)] = partner.requests[1:]
    touched = {mutation["User"] for mutation in document["Mutations"]}
    assert [problem.status for problem in summary.problems] == [status]
    assert run.expected == {}
    assert run.ledger.unsettled == {audiences(1)[0].id: touched}


def test_requests_start_at_their_time_whatever_became_of_the_earlier_ones(partner: Received) -> None:
    partner.hold_up_s = 0.5

    summary = simulation(partner, rate=100, duration_s=0.2).run()

    assert partner.most_in_hand > 10
    assert summary.uploads.p50_ms >= 500


def test_a_receiver_slower_than_the_dmp_allows_fails(partner: Received) -> None:
    partner.hold_up_s = 1.05

    summary = simulation(partner, rate=10, duration_s=0.1).run()

    assert not summary.problems
    assert not summary.uploads.within
    assert not summary.passed


def test_users_in_a_request_under_way_are_not_drawn_again(partner: Received) -> None:
    partner.hold_up_s = 0.3
    run = simulation(partner, audiences=1, users=2, rate=100, duration_s=0.1)

    summary = run.run()

    uploads = [document["Mutations"] for kind, document in partner.requests if kind != "CREATE_AUDIENCE"]
    assert sum(len(mutations) for mutations in uploads) == 2
    assert summary.skipped == 10 - len(uploads)


def test_the_same_seed_draws_the_same_content(partner: Received) -> None:
    contents = []
    for _ in range(2):
        partner.requests.clear()
        simulation(partner, rate=20, duration_s=0.2, users=100_000).run()
        contents.append(sorted(str(document) for _, document in partner.requests))

    assert contents[0] == contents[1]


def test_the_audience_id_of_the_answer_is_used_from_then_on(partner: Received) -> None:
    partner.answer_id = "12345"

    run = simulation(partner, audiences=[DmpAudience("mine", "Mine")])
    run.run()

    assert set(partner.members) == {"12345"} == set(run.expected)


def test_it_ends_early_and_in_order_when_told_to(partner: Received) -> None:
    stop = threading.Event()
    run = simulation(partner, rate=50, duration_s=3600, stop=stop)
    run.on_progress(stop.set)

    summary = run.run()

    assert summary.uploads.requests == 1
    assert run.ledger.unsettled == {}


def test_where_nothing_listens_every_request_says_so() -> None:
    with receiver() as gone:
        url = gone.url

    answer = Dmp(url, SECRET).change("joined", [Change("a", "u")])

    assert (answer.status, answer.reached) == (0, False)
    assert answer.error == "The connection was refused: nothing listens there."


def test_users_and_audiences_are_the_same_ones_every_time() -> None:
    assert users(3) == ("user-000001", "user-000002", "user-000003")
    assert [audience.name for audience in audiences(2)] == ["Sneaker fans", "Newsletter readers"]
    assert len({audience.id for audience in audiences(50)} | {audience.name for audience in audiences(50)}) == 100
