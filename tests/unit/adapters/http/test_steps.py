"""Operations of several calls: a job that is made, filled, closed and awaited."""

from __future__ import annotations

from typing import Any

import pytest

from adapters import leash
from adapters.contract import Delivered, Rejected
from relay.domain.errors import BatchRefused, PartnerError, TryAgain
from tests.clock import TurnedClock
from tests.unit.adapters.http.conftest import TARGET, Opening, users
from tests.unit.adapters.http.partner import Call, Partner, Reply

JOB = """
operations:
  add:
    effect: add
    fields: {id: }
    steps:
      - {name: job, request: {method: POST, path: /jobs, body: {list: "{{ audience.partner_id }}"}}, save: {id: id}}
      - {name: fill, request: {method: PUT, path: "/jobs/{{ steps.job.id }}/rows", csv: {Id: "{{ row.id }}"}}}
      - {name: close, request: {method: PATCH, path: "/jobs/{{ steps.job.id }}", body: {state: closed}}}
      - name: done
        request: {method: GET, path: "/jobs/{{ steps.job.id }}"}
        until: state == 'complete'
        every: 2s
        for: 20s
        answers: [{status: 200, when: "state == 'failed'", means: refused}]
      - {name: failed, request: {method: GET, path: "/jobs/{{ steps.job.id }}/failed"}}
    rejected: {list: "@", id: Id, field: id}
"""
STATE = "GET /jobs/j%2F1"


def job(states: list[Any], *, at: dict[str, Reply] | None = None) -> Any:
    """A partner whose job is in these states, one after the other, and gives these answers instead where there are any."""
    left = list(states)

    def answer(call: Call) -> Reply:
        if at and call.line in at:
            return at[call.line]
        if call.line == "POST /jobs":
            return Reply(201, {"id": "j/1"})
        if call.line == STATE:
            return Reply(200, {"state": left.pop(0) if len(left) > 1 else left[0]})
        if call.line == STATE + "/failed":
            return Reply(200, b"Id\r\nb\r\n", {"Content-Type": "text/csv"})
        return Reply(200, {})

    return answer


def test_the_steps_are_taken_in_order_and_know_what_earlier_ones_saved(
    open_http: Opening, partner: Partner, clock: TurnedClock
) -> None:
    partner.answer = job(["open", "open", "complete"])
    began = clock.now()
    results = open_http(JOB).send("add", TARGET, users(["a", "b"]))
    assert results == [Delivered(), Rejected("rejected", "The partner refused this user.")]
    assert partner.lines == [
        "POST /jobs", "PUT /jobs/j%2F1/rows", "PATCH /jobs/j%2F1", STATE, STATE, STATE, STATE + "/failed",
    ]  # fmt: skip
    assert partner.calls[1].body == b"Id\r\na\r\nb\r\n"
    assert clock.now() - began == 4


def test_a_job_that_is_not_finished_in_time_may_still_be_done(open_http: Opening, partner: Partner, clock: TurnedClock) -> None:
    partner.answer = job(["open"])
    began = clock.now()
    with pytest.raises(TryAgain) as error:
        open_http(JOB).send("add", TARGET, users(["a"]))
    assert (error.value.code, error.value.applied_unknown) == ("not_finished", True)
    assert partner.lines.count(STATE) == 11
    assert clock.now() - began == 20


ABORT = """
    abort: {request: {method: DELETE, path: "/jobs/{{ steps.job.id }}"}}
"""


def test_a_job_that_the_partner_confirms_to_have_given_up_can_be_sent_again_at_once(open_http: Opening, partner: Partner) -> None:
    partner.answer = job(["open"])
    with pytest.raises(TryAgain) as error:
        open_http(JOB + ABORT).send("add", TARGET, users(["a"]))
    assert (error.value.code, error.value.applied_unknown) == ("not_finished", False)
    assert partner.lines[-1] == "DELETE /jobs/j%2F1"
    assert partner.lines.count("DELETE /jobs/j%2F1") == 1


@pytest.mark.parametrize("status", [404, 409, 500])
def test_a_job_that_the_partner_does_not_give_up_may_still_be_done(open_http: Opening, partner: Partner, status: int) -> None:
    partner.answer = job(["open"], at={"DELETE /jobs/j%2F1": Reply(status)})
    with pytest.raises(TryAgain) as error:
        open_http(JOB + ABORT).send("add", TARGET, users(["a"]))
    assert error.value.applied_unknown is True


def test_a_job_whose_users_are_refused_is_given_up_as_well(open_http: Opening, partner: Partner) -> None:
    partner.answer = job([], at={"PUT /jobs/j%2F1/rows": Reply(400)})
    with pytest.raises(BatchRefused):
        open_http(JOB + ABORT).send("add", TARGET, users(["a"]))
    assert partner.lines == ["POST /jobs", "PUT /jobs/j%2F1/rows", "DELETE /jobs/j%2F1"]


def test_a_job_that_was_never_made_is_not_given_up(open_http: Opening, partner: Partner) -> None:
    partner.answer = job([], at={"POST /jobs": Reply(503)})
    with pytest.raises(TryAgain):
        open_http(JOB + ABORT).send("add", TARGET, users(["a"]))
    assert partner.lines == ["POST /jobs"]


def test_trouble_before_anything_was_done_is_plain(open_http: Opening, partner: Partner) -> None:
    partner.answer = job([], at={"POST /jobs": Reply(503)})
    with pytest.raises(TryAgain) as error:
        open_http(JOB).send("add", TARGET, users(["a"]))
    assert not error.value.applied_unknown


@pytest.mark.parametrize("place", ["PUT /jobs/j%2F1/rows", "PATCH /jobs/j%2F1", STATE, STATE + "/failed"])
def test_trouble_after_the_first_step_may_have_been_applied(open_http: Opening, partner: Partner, place: str) -> None:
    partner.answer = job(["complete"], at={place: Reply(503, {}, {"Retry-After": "30"})})
    with pytest.raises(TryAgain) as error:
        open_http(JOB).send("add", TARGET, users(["a"]))
    assert (error.value.applied_unknown, error.value.after_s, error.value.account) == (True, 30.0, True)


def test_an_answer_without_what_the_next_step_needs_is_no_success(open_http: Opening, partner: Partner) -> None:
    partner.answer = job([], at={"POST /jobs": Reply(201, {"id": ""})})
    with pytest.raises(TryAgain) as error:
        open_http(JOB).send("add", TARGET, users(["a"]))
    assert (error.value.code, error.value.applied_unknown) == ("unreadable_answer", True)
    assert partner.lines == ["POST /jobs"]


def test_a_step_says_itself_what_its_answers_mean(open_http: Opening, partner: Partner) -> None:
    partner.answer = job(["failed"])
    with pytest.raises(BatchRefused):
        open_http(JOB).send("add", TARGET, users(["a"]))


def test_no_call_begins_that_the_turn_has_no_time_for(open_http: Opening, partner: Partner, clock: TurnedClock) -> None:
    partner.answer = job(["open"])
    http = open_http(JOB)
    until = clock.monotonic() + 41  # 20 s to connect and 20 s to answer
    with leash.within(lambda: until - clock.monotonic()), pytest.raises(TryAgain) as error:
        http.send("add", TARGET, users(["a"]))
    assert (error.value.code, error.value.applied_unknown) == ("out_of_time", True)
    assert not isinstance(error.value, leash.OutOfTime)
    assert partner.lines == ["POST /jobs", "PUT /jobs/j%2F1/rows", "PATCH /jobs/j%2F1", STATE]


def test_where_nothing_was_begun_the_turn_simply_goes_on_later(open_http: Opening, partner: Partner, clock: TurnedClock) -> None:
    with leash.within(lambda: 39.0), pytest.raises(leash.OutOfTime):
        open_http(JOB).send("add", TARGET, users(["a"]))
    assert not partner.calls


def test_what_only_reads_applies_nothing(open_http: Opening, partner: Partner) -> None:
    http = open_http("""
operations:
  add:
    effect: add
    fields: {id: }
    steps:
      - {name: look, request: {method: GET, path: /state}, save: {n: n}}
      - {name: send, request: {method: POST, path: "/{{ steps.look.n }}", body: "{{ rows }}"}}
""")
    partner.answer = [Reply(200, {"n": 3}), Reply(503)]
    with pytest.raises(TryAgain) as error:
        http.send("add", TARGET, users(["a"]))
    assert partner.lines == ["GET /state", "POST /3"]
    assert not error.value.applied_unknown


def test_a_preview_shows_every_step_with_placeholders(open_http: Opening, partner: Partner) -> None:
    shown = open_http(JOB).preview("add", TARGET, users(["a"]))
    assert [f"{one.method} {one.url.removeprefix(partner.url)}" for one in shown] == [
        "POST /jobs",
        "PUT /jobs/{steps.job.id}/rows",
        "PATCH /jobs/{steps.job.id}",
        "GET /jobs/{steps.job.id}",
        "GET /jobs/{steps.job.id}/failed",
    ]
    assert not partner.calls


def test_the_operation_says_how_much_longer_than_one_call_it_takes(open_http: Opening) -> None:
    operation = open_http(JOB).description.operation("add")
    assert operation is not None
    assert operation.takes_s == 10 + 15 + 10 + (10 + 20) + 10 - 15


LATER = {"Retry-After": "30"}


@pytest.mark.parametrize("reply", [Reply(429, {}, LATER), Reply(429), Reply(503, {}, LATER), Reply(401)])
def test_a_partner_that_takes_no_calls_is_not_called_to_give_up(open_http: Opening, partner: Partner, reply: Reply) -> None:
    partner.answer = job([], at={"PUT /jobs/j%2F1/rows": reply})
    with pytest.raises(PartnerError) as error:
        open_http(JOB + ABORT).send("add", TARGET, users(["a"]))
    assert partner.lines == ["POST /jobs", "PUT /jobs/j%2F1/rows"]
    assert getattr(error.value, "applied_unknown", None) is (None if reply.status == 401 else True)


def test_trouble_while_a_changing_call_is_repeated_may_have_been_applied(open_http: Opening, partner: Partner) -> None:
    http = open_http("""
operations:
  add:
    effect: add
    fields: {id: }
    steps:
      - {name: start, request: {method: POST, path: /start, body: "{{ rows }}"}, until: done, every: 1s, for: 5s}
      - {name: result, request: {method: GET, path: /result}}
""")
    partner.answer = [Reply(200, {"done": False}), Reply(503)]
    with pytest.raises(TryAgain) as error:
        http.send("add", TARGET, users(["a"]))
    assert partner.lines == ["POST /start", "POST /start"]
    assert error.value.applied_unknown
